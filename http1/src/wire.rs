//! A connection: reads from and writes to a stream, through two buffers that are used for all messages on it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::body::{BodyDecoder, BodyError};
use crate::framing::FramingError;
use crate::head::{HeadError, HeadLimits, RequestHead, ResponseHead};

/// Bytes that a read makes room for: few at first, since most heads are short, and more as long as reads are full.
const READ: std::ops::RangeInclusive<usize> = 2 * 1024..=64 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
    /// Room for the next read, in bytes.
    room: usize,
    /// Whether the stream has to be flushed: TLS keeps what did not fit into the socket.
    unflushed: bool,
}

/// What a connection has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All output is written.
    Written,
    /// This many bytes were read; 0 if the peer has ended its side.
    Read(usize),
    /// The connection takes no more output, and what was left of it is dropped. There may still be something to read.
    Unwritable,
}

/// Why nothing more can be read, or why what was read is not a message.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer ended its side before the message was complete.
    #[error("the connection closed before the message was complete")]
    Ended,
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The head is not one.
    #[error("{0}")]
    Head(#[from] HeadError),
    /// The end of the body cannot be determined.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// The body is not what was announced.
    #[error("{0}")]
    Body(#[from] BodyError),
}

impl ReadError {
    /// Returns whether the peer has sent what is not HTTP.
    pub fn is_malformed(&self) -> bool {
        !matches!(self, Self::Ended | Self::Io(_))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes over a stream on which nothing was read or written.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new(), room: *READ.start(), unflushed: false }
    }

    /// Returns what was read and not taken yet.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Returns what is to be written. [`Wire::flush`] and [`Wire::progress`] write it.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Reads what there is, once. Ready with the number of bytes; 0 if the peer has ended its side.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.room);
        let spare = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        self.room = if read == spare { (2 * self.room).min(*READ.end()) } else { *READ.start() };
        Poll::Ready(Ok(read))
    }

    /// Reads what there is, as soon as there is something. Returns the number of bytes; 0 if the peer has ended its side.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all output.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes the output and reads at the same time, whichever is possible first.
    ///
    /// # Errors
    /// The connection broke, so that nothing more can be read.
    pub async fn progress(&mut self) -> io::Result<Progress> {
        std::future::poll_fn(|cx| {
            if !self.output.is_empty() || self.unflushed {
                match self.poll_flush(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(Progress::Written)),
                    Poll::Ready(Err(_)) => {
                        self.output.clear();
                        self.unflushed = false;
                        return Poll::Ready(Ok(Progress::Unwritable));
                    }
                    Poll::Pending => {}
                }
            }
            self.poll_fill(cx).map_ok(Progress::Read)
        })
        .await
    }

    /// Ends this side of the connection, once all output is written.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// Reads the head of the next request. Returns whether there is one: `false` if the peer has ended its side instead.
    ///
    /// # Errors
    /// The connection broke, or the bytes are not the head of a request.
    pub async fn request(&mut self, head: &mut RequestHead, limits: HeadLimits) -> Result<bool, ReadError> {
        loop {
            if !self.input.is_empty()
                && let Some(length) = head.parse(&self.input, limits)?
            {
                self.input.advance(length);
                return Ok(true);
            }
            if self.fill().await? == 0 {
                return if self.input.is_empty() { Ok(false) } else { Err(ReadError::Ended) };
            }
        }
    }

    /// Takes the head of an answer from what was read. Returns whether it was complete.
    ///
    /// # Errors
    /// The bytes are not a head.
    pub fn take_response(&mut self, head: &mut ResponseHead, limits: HeadLimits) -> Result<bool, HeadError> {
        let length = if self.input.is_empty() { None } else { head.parse(&self.input, limits)? };
        self.input.advance(length.unwrap_or(0));
        Ok(length.is_some())
    }

    /// Reads until more of a body has come, and gives that to `data`. Returns whether the body is complete.
    ///
    /// # Errors
    /// The body cannot be completed.
    pub async fn body(&mut self, decoder: &mut BodyDecoder, data: impl FnMut(&[u8])) -> Result<bool, ReadError> {
        if self.input.is_empty() && !decoder.is_complete() && self.fill().await? == 0 {
            return if decoder.end() { Ok(true) } else { Err(ReadError::Ended) };
        }
        let before = self.input.len();
        let complete = decoder.decode(&mut self.input, data)?;
        // What is left is the start of a line, of which more has to come.
        if !complete && self.input.len() == before && self.fill().await? == 0 {
            return Err(ReadError::Ended);
        }
        Ok(complete)
    }
}
