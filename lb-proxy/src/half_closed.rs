//! Connections of which one direction has ended.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What has become of the two directions of a splice.
#[derive(Default)]
pub(crate) struct Directions {
    /// When bytes last arrived, or the last end, once one direction has ended.
    quiet_since: Mutex<Option<Instant>>,
    ended: Notify,
}

impl Directions {
    /// Returns once one direction has ended and the other has been quiet for so long. A peer that lost power never ends its
    /// direction, and nobody else does.
    pub(crate) async fn half_closed_for(&self, limit: Duration) {
        self.ended.notified().await;
        while let Some(until) = self.quiet_since().map(|since| since + limit).filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }

    fn quiet_since(&self) -> Option<Instant> {
        *self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, ended: bool) {
        let mut quiet_since = self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner);
        if ended || quiet_since.is_some() {
            *quiet_since = Some(Instant::now());
        }
        if ended {
            self.ended.notify_one();
        }
    }
}

/// A stream that notes when bytes arrive on it, and when they end.
pub(crate) struct Noted<'s, S> {
    stream: &'s mut S,
    directions: Arc<Directions>,
}

impl<'s, S> Noted<'s, S> {
    pub(crate) fn new(stream: &'s mut S, directions: &Arc<Directions>) -> Self {
        Self { stream, directions: Arc::clone(directions) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            self.directions.note(buf.filled().len() == before);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
