//! A connection that reads from and writes to a stream, through two buffers that are reused for all messages on it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::body::{BodyDecoder, BodyError};
use crate::framing::FramingError;
use crate::head::{HeadError, HeadLimits, RequestHead, ResponseHead};

/// The number of bytes for which a read makes room. The number is small at first, since most heads are short, and grows
/// as long as reads fill the room.
const READ: std::ops::RangeInclusive<usize> = 2 * 1024..=64 * 1024;

/// A connection for HTTP/1 messages.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
    /// The room for the next read, in bytes.
    room: usize,
    /// Whether the stream must be flushed: TLS keeps the bytes that did not fit into the socket.
    unflushed: bool,
}

/// The progress that a connection has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All output was written.
    Written,
    /// This many bytes were read; 0 if the peer has ended its side.
    Read(usize),
    /// The connection accepts no more output, and the rest of the output was dropped. There may still be something to
    /// read.
    Unwritable,
}

/// The reason why nothing more can be read, or why the bytes that were read are not a message.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer ended its side before the message was complete.
    #[error("the connection closed before the message was complete")]
    Ended,
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The bytes are not a valid head.
    #[error("{0}")]
    Head(#[from] HeadError),
    /// The end of the body cannot be determined.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// The bytes are not the body that was announced.
    #[error("{0}")]
    Body(#[from] BodyError),
}

impl ReadError {
    /// Returns whether the peer has sent bytes that are not HTTP.
    pub fn is_malformed(&self) -> bool {
        !matches!(self, Self::Ended | Self::Io(_))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes over a stream on which nothing has been read or written.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new(), room: *READ.start(), unflushed: false }
    }

    /// Returns the bytes that were read and not consumed yet.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Returns the buffer of bytes to be written. [`Wire::flush`] and [`Wire::progress`] write it.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Polls for bytes to read. The result is ready with the number of bytes read, or 0 if the peer has ended its side.
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

    /// Waits for bytes to read, and reads them. Returns the number of bytes, or 0 if the peer has ended its side.
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

    /// Writes the output and reads input at the same time, and returns as soon as either has made progress.
    ///
    /// # Errors
    /// The connection broke, so nothing more can be read.
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

    /// Reads the head of the next request. Returns `false` if the peer has ended its side instead.
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

    /// Consumes the head of an answer from the bytes that were read. Returns whether the head was complete.
    ///
    /// # Errors
    /// The bytes are not a valid head.
    pub fn take_response(&mut self, head: &mut ResponseHead, limits: HeadLimits) -> Result<bool, HeadError> {
        let length = if self.input.is_empty() { None } else { head.parse(&self.input, limits)? };
        self.input.advance(length.unwrap_or(0));
        Ok(length.is_some())
    }

    /// Reads until more of a body has arrived, and passes it to `data`. Returns whether the body is complete.
    ///
    /// # Errors
    /// The body cannot be completed.
    pub async fn body(&mut self, decoder: &mut BodyDecoder, data: impl FnMut(&[u8])) -> Result<bool, ReadError> {
        if self.input.is_empty() && !decoder.is_complete() && self.fill().await? == 0 {
            return if decoder.end() { Ok(true) } else { Err(ReadError::Ended) };
        }
        let before = self.input.len();
        let complete = decoder.decode(&mut self.input, data)?;
        // The remaining bytes are the start of a line whose end has not arrived yet.
        if !complete && self.input.len() == before && self.fill().await? == 0 {
            return Err(ReadError::Ended);
        }
        Ok(complete)
    }
}
