//! The body of a request on its way upstream, frame by frame, and its progress. The body can be given up before or
//! after its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use super::activity::HeadWatch;
use super::config::Limits;

/// The body of a request on its way upstream. If it is dropped before its end, it tells its connection that the rest is
/// still to come.
pub(super) enum RequestBody {
    Empty,
    /// The body is streamed. Its progress is recorded, so that a slow client is not mistaken for a silent backend.
    Streaming(Incoming, Arc<Progress>),
}

impl RequestBody {
    pub(super) fn new(body: Incoming, connection: &Arc<HeadWatch>) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        connection.upload_begins();
        Self::Streaming(body, Arc::new(Progress::of(connection)))
    }

    /// Returns the progress of the body, or `None` if there is nothing to send.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streaming(_, progress) => Some(Arc::clone(progress)),
        }
    }

    /// Returns whether the body is known to be longer than what is read of a request that the balancer answers itself.
    pub(super) fn is_too_long(&self, limits: &Limits) -> bool {
        self.size_hint().lower() > limits.drain as u64
    }

    /// Reads the body to its end, so that the next request follows on the connection. Returns `false` if the body is
    /// longer than the limit, breaks off, or makes no progress.
    pub(super) async fn drain(mut self, limits: &Limits) -> bool {
        if self.is_too_long(limits) {
            return false;
        }
        let mut left = limits.drain;
        loop {
            let next = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx));
            let data = match timeout(limits.body, next).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_))) | Err(_) => return false,
            };
            match left.checked_sub(data) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Self::Streaming(_, progress) = self
            && !progress.has_ended()
        {
            progress.connection.owes();
            progress.connection.upload_ends();
        }
    }
}

/// The progress of a request's body.
pub(super) struct Progress {
    connection: Arc<HeadWatch>,
    frames: AtomicU64,
    waiting: AtomicBool,
    ended: AtomicBool,
}

impl Progress {
    fn of(connection: &Arc<HeadWatch>) -> Self {
        let connection = Arc::clone(connection);
        Self { connection, frames: AtomicU64::new(0), waiting: AtomicBool::new(false), ended: AtomicBool::new(false) }
    }

    fn end(&self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.connection.upload_ends();
        }
    }

    /// Returns whether all of the body has arrived from the client.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Returns the number of frames that were sent so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Returns whether the backend would accept more than the client has sent.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body, progress) => {
                let frame = Pin::new(&mut *body).poll_frame(cx);
                if matches!(frame, Poll::Ready(None)) || body.is_end_stream() {
                    progress.end();
                }
                progress.waiting.store(frame.is_pending(), Ordering::Relaxed);
                progress.frames.fetch_add(u64::from(frame.is_ready()), Ordering::Relaxed);
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body, _) => body.size_hint(),
        }
    }
}
