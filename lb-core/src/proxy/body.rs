//! Bodies in both directions. They stream frame by frame, and neither is ever held whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use stickler_net::Net;

use super::downstream::Busy;
use super::lease::Lease;
use super::upstream::Sender;

/// A request's body on its way upstream.
pub(super) enum RequestBody {
    Empty,
    /// Counts the frames sent, so that a slow client is not taken for a silent backend.
    Streaming(Incoming, Arc<AtomicU64>),
}

impl RequestBody {
    pub(super) fn new(body: Incoming) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(body, Arc::default()) }
    }

    /// How many frames went out so far; `None` where there are none to send.
    pub(super) fn frames(&self) -> Option<Arc<AtomicU64>> {
        match self {
            Self::Empty => None,
            Self::Streaming(_, frames) => Some(Arc::clone(frames)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body, frames) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                frames.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(frame)
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

/// An answer's body on its way downstream.
///
/// At its end the upstream connection is finished with, before the last bytes go out: a client that asks again at
/// once finds it where it belongs. Dropped before the end, it closes the upstream connection.
pub(super) struct AnswerBody<N: Net> {
    source: Source<N>,
    _busy: Busy,
}

enum Source<N: Net> {
    /// Nothing, or nothing more, is to come from a backend.
    Short(Option<Bytes>),
    Streaming(Incoming, Option<(Lease<N>, Sender)>),
}

impl<N: Net> AnswerBody<N> {
    /// A body of the balancer's own.
    pub(super) fn short(text: &'static str, busy: Busy) -> Self {
        let text = (!text.is_empty()).then(|| Bytes::from_static(text.as_bytes()));
        Self { source: Source::Short(text), _busy: busy }
    }

    /// A body that a backend sends.
    pub(super) fn streaming(body: Incoming, lease: Lease<N>, sender: Sender, busy: Busy) -> Self {
        Self { source: Source::Streaming(body, Some((lease, sender))), _busy: busy }
    }
}

impl<N: Net> Body for AnswerBody<N> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let (body, held) = match &mut self.get_mut().source {
            Source::Short(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Source::Streaming(body, held) => (body, held),
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let last = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || body.is_end_stream(),
            Some(Err(_)) => {
                *held = None;
                false
            }
        };
        if last && let Some((lease, sender)) = held.take() {
            lease.finish(sender);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Short(text) => text.is_none(),
            Source::Streaming(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Short(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Source::Streaming(body, _) => body.size_hint(),
        }
    }
}

impl<N: Net> Unpin for AnswerBody<N> {}
