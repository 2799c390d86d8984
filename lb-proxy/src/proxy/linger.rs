//! A close that does not destroy an answer for a client that is still sending.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::HeadWatch;

/// The number of bytes that are read and dropped at a time.
const CHUNK: usize = 4096;

/// A client's connection whose shutdown lingers (RFC 9112 9.6) if the rest of a request is still to come. The balancer
/// closes its own direction, and continues to read until the client closes as well, or until the time limit has passed.
/// A socket that is closed with unread bytes is reset instead, and a reset makes the client's system discard what it
/// has received, including the answer.
pub(super) struct Lingering<S> {
    stream: S,
    head: Arc<HeadWatch>,
    limit: Duration,
    /// The timer that runs from the end of this direction on.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    /// Returns a stream whose shutdown lingers for at most `limit`.
    pub(super) const fn new(stream: S, head: Arc<HeadWatch>, limit: Duration) -> Self {
        Self { stream, head, limit, patience: None }
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Reads and drops bytes until no more will arrive.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut chunk = [0; CHUNK];
        loop {
            let mut read = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.patience.as_mut().map_or(Poll::Ready(()), |patience| patience.as_mut().poll(cx))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.patience.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.head.is_owing() {
                return Poll::Ready(Ok(()));
            }
            self.patience = Some(Box::pin(sleep(self.limit)));
        }
        self.poll_rest(cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
