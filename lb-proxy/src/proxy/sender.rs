//! The right to send requests on an upstream connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::client::conn::http1::SendRequest;

use super::request_body::RequestBody;

/// The right to send requests on one upstream connection. There is never a second one.
pub(super) struct Sender {
    pub(super) send: SendRequest<RequestBody>,
    /// The backend's.
    pub(super) address: SocketAddr,
    /// The backend's index in the farm.
    pub(super) backend: usize,
    pub(super) received: Arc<AtomicU64>,
}

impl Sender {
    /// Bytes that have come on the connection so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
