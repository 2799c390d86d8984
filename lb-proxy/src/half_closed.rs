//! The detection of connections that carry nothing, and of half-closed connections.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The state of the two directions of a splice.
pub(crate) struct Directions {
    /// The time at which bytes or an end last arrived, from either side.
    last: Mutex<Instant>,
    ended: Notify,
}

impl Default for Directions {
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()), ended: Notify::new() }
    }
}

impl Directions {
    /// Returns once one direction has ended and the other has been quiet for this time. If a peer has lost power, its
    /// direction never ends.
    pub(crate) async fn half_closed_for(&self, limit: Duration) {
        self.ended.notified().await;
        self.quiet_for(limit).await;
    }

    /// Returns once nothing has arrived from either side for this time. With `None` it never returns.
    pub(crate) async fn idle_for(&self, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.quiet_for(limit).await,
            None => std::future::pending().await,
        }
    }

    async fn quiet_for(&self, limit: Duration) {
        loop {
            let until = *self.lock() + limit;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn note(&self, ended: bool) {
        *self.lock() = Instant::now();
        if ended {
            self.ended.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that records when bytes and the end arrive on it.
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
