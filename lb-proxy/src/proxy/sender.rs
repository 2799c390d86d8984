//! The right to send requests on an upstream connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::request_body::RequestBody;

/// The right to send requests on one upstream connection. It exists only once for each connection.
pub(super) struct Sender {
    pub(super) send: Send,
    /// The address of the backend.
    pub(super) address: SocketAddr,
    /// The index of the backend in the farm.
    pub(super) backend: usize,
    pub(super) received: Arc<AtomicU64>,
}

impl Sender {
    /// Returns the number of bytes that have arrived on the connection so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The sender, by the version of HTTP that the connection speaks. Even over HTTP/2, a connection carries one request at
/// a time, as the policy decides. nginx does not multiplex either (nginx/nginx-gateway-fabric#4626).
pub(super) enum Send {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Send {
    /// Sends a request, which must have the form of this version.
    pub(super) async fn request(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Self::Http1(send) => send.try_send_request(request).await,
            Self::Http2(send) => send.try_send_request(request).await,
        }
    }

    /// Waits until another request can be sent, and returns whether it can.
    pub(super) async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(send) => send.ready().await.is_ok(),
            Self::Http2(send) => send.ready().await.is_ok(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(send) => send.is_ready(),
            Self::Http2(send) => send.is_ready(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(send) => send.is_closed(),
            Self::Http2(send) => send.is_closed(),
        }
    }

    pub(super) const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }
}
