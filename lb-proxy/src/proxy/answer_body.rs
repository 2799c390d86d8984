//! The body of an answer on its way downstream. The body is streamed frame by frame, and is never held as a whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use stickler_net::Net;
use tokio::time::{Sleep, sleep};

use super::activity::Busy;
use super::lease::Lease;
use super::sender::Sender;

/// An answer's body on its way downstream.
///
/// At its end, the upstream connection is released before the last bytes are sent. Therefore a client that sends its
/// next request at once finds the connection in its place. If the body is dropped before its end, it closes the
/// upstream connection.
pub(super) struct AnswerBody<N: Net> {
    source: Source<N>,
    /// The timer that runs while the next part from the backend is awaited.
    stalled: Option<Pin<Box<Sleep>>>,
    _busy: Busy,
}

/// The reason why the body of an answer breaks off. The client's connection then ends before the body is complete.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the backend's answer broke off: {0}")]
    Off(#[from] hyper::Error),
    #[error("the backend stopped sending its answer")]
    Stalled,
}

enum Source<N: Net> {
    /// The body is short, and no backend sends it.
    Short(Option<Bytes>),
    Streaming(Incoming, Option<(Lease<N>, Sender)>),
}

impl<N: Net> AnswerBody<N> {
    /// Returns a body that the balancer itself sends.
    pub(super) fn short(text: Bytes, busy: Busy) -> Self {
        Self { source: Source::Short((!text.is_empty()).then_some(text)), stalled: None, _busy: busy }
    }

    /// Returns a body that a backend sends.
    pub(super) fn streaming(body: Incoming, lease: Lease<N>, sender: Sender, busy: Busy) -> Self {
        Self { source: Source::Streaming(body, Some((lease, sender))), stalled: None, _busy: busy }
    }
}

impl<N: Net> Body for AnswerBody<N> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { source, stalled, .. } = self.get_mut();
        let (body, held) = match source {
            Source::Short(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Source::Streaming(body, held) => (body, held),
        };
        let frame = match (Pin::new(&mut *body).poll_frame(cx), &*held) {
            (Poll::Ready(frame), _) => frame.map(|frame| frame.map_err(Broken::from)),
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some((lease, _))) => {
                let limit = lease.proxy.shell.limits.body;
                let timer = stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(timer.as_mut().poll(cx));
                Some(Err(Broken::Stalled))
            }
        };
        *stalled = None;
        let last = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || body.is_end_stream(),
            Some(Err(_)) => {
                if let Some((lease, sender)) = held.take() {
                    lease.proxy.traffic(|traffic| traffic.failed(sender.backend));
                }
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
