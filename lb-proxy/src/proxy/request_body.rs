//! A request's body on its way upstream, frame by frame, and how far it is.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A request's body on its way upstream.
pub(super) enum RequestBody {
    Empty,
    /// Keeps account of its progress, so that a slow client is not taken for a silent backend.
    Streaming(Incoming, Arc<Progress>),
}

impl RequestBody {
    pub(super) fn new(body: Incoming) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(body, Arc::default()) }
    }

    /// How far it is; `None` where there is nothing to send.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streaming(_, progress) => Some(Arc::clone(progress)),
        }
    }
}

/// How far a request's body is on its way.
#[derive(Default)]
pub(super) struct Progress {
    frames: AtomicU64,
    waiting: AtomicBool,
}

impl Progress {
    /// Frames that went out so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Whether the backend would take more than the client has sent.
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
                let frame = Pin::new(body).poll_frame(cx);
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
