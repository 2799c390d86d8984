//! Who sent a request: the client's side of a downstream connection, and what that carries once it is no HTTP any more.

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
    /// Where it connected to; known where upstream connections tell it.
    pub(super) front: Option<SocketAddr>,
    pub(super) protocol: Protocol,
    pub(super) head: Arc<HeadWatch>,
    /// What the connection carries after an upgrade.
    pub(super) upgraded: Arc<Upgraded>,
}

/// A request as a policy sees it.
pub(super) fn view<'a>(parts: &'a request::Parts, peer: &Peer) -> RequestHead<'a> {
    let (client, protocol) = (peer.client, peer.protocol);
    RequestHead { method: &parts.method, uri: &parts.uri, headers: &parts.headers, client, protocol }
}

/// What a client's connection carries after an upgrade: nothing, or a tunnel to a backend. It is driven by the connection's
/// own task, after HTTP has ended on it.
#[derive(Default)]
pub(super) struct Upgraded(Mutex<Option<BoxFuture<'static, ()>>>);

impl Upgraded {
    /// Sets what there is to carry.
    pub(super) fn put(&self, carrying: BoxFuture<'static, ()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(carrying);
    }

    /// Takes what there is to carry.
    pub(super) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
