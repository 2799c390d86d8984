//! A downstream connection that was accepted, and the report of its end.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_lb_core::DownstreamId;
use stickler_net::Net;

use super::context::Proxy;
use super::shell::CloseSignal;

/// A client's connection, with everything that is known about it.
pub(super) struct Arrival<N: Net> {
    pub(super) registered: Registered<N>,
    pub(super) client: SocketAddr,
    /// The address to which the client connected; known if upstream connections report it.
    pub(super) front: Option<SocketAddr>,
    pub(super) close: CloseSignal,
}

/// Reports the end of the connection in any case, even if its task never starts.
pub(super) struct Registered<N: Net> {
    proxy: Arc<Proxy<N>>,
    id: DownstreamId,
}

impl<N: Net> Registered<N> {
    pub(super) fn new(proxy: &Arc<Proxy<N>>, id: DownstreamId) -> Self {
        Self { proxy: Arc::clone(proxy), id }
    }

    pub(super) fn proxy(&self) -> &Arc<Proxy<N>> {
        &self.proxy
    }

    pub(super) fn id(&self) -> DownstreamId {
        self.id
    }
}

impl<N: Net> Drop for Registered<N> {
    fn drop(&mut self) {
        self.proxy.shell.disconnected(self.id);
        if let Some(gate) = &self.proxy.gate {
            gate.closed(self.id);
        }
    }
}
