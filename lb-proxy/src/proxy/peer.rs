//! The sender of a request: the client's side of a downstream connection, and the traffic after an upgrade.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::request;
use stickler_lb_core::{DownstreamId, Protocol, RequestHead};

use super::activity::HeadWatch;
use crate::BoxFuture;

/// The client's side of a downstream connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) id: DownstreamId,
    pub(super) client: SocketAddr,
    /// The address to which the client connected; known if upstream connections report it.
    pub(super) front: Option<SocketAddr>,
    pub(super) protocol: Protocol,
    pub(super) head: Arc<HeadWatch>,
    /// The traffic of the connection after an upgrade.
    pub(super) upgraded: Arc<Upgraded>,
}

/// Returns a request as a policy sees it.
pub(super) fn view<'a>(parts: &'a request::Parts, peer: &Peer) -> RequestHead<'a> {
    let (client, protocol) = (peer.client, peer.protocol);
    RequestHead { method: &parts.method, uri: &parts.uri, headers: &parts.headers, client, protocol }
}

/// The traffic of a client's connection after an upgrade: none, or a tunnel to a backend. The connection's own task
/// drives it after HTTP has ended.
#[derive(Default)]
pub(super) struct Upgraded(Mutex<Option<BoxFuture<'static, ()>>>);

impl Upgraded {
    /// Sets the traffic to carry.
    pub(super) fn put(&self, carrying: BoxFuture<'static, ()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(carrying);
    }

    /// Takes the traffic to carry.
    pub(super) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
