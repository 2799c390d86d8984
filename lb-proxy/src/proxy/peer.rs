//! Who sent a request: the client's side of a downstream connection.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request;
use stickler_lb_core::{DownstreamId, Protocol, RequestHead};

use super::activity::HeadWatch;
use super::upgrade::Upgraded;

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
