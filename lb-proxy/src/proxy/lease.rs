//! The lease that one exchange has on its upstream connection.

use std::sync::Arc;

use stickler_lb_core::Exchange;
use stickler_model::RequestId;
use stickler_net::Net;

use super::context::Proxy;
use super::sender::Sender;

/// The guard of an exchange under way. If it is dropped before [`Lease::finish`] or [`Lease::release`], it closes the
/// upstream connection, because no other request could use the connection after an incomplete exchange.
pub(super) struct Lease<N: Net> {
    pub(super) proxy: Arc<Proxy<N>>,
    pub(super) at: Exchange,
    pub(super) request: Option<RequestId>,
    open: bool,
}

impl<N: Net> Lease<N> {
    pub(super) fn new(proxy: &Arc<Proxy<N>>, at: Exchange, request: Option<RequestId>) -> Self {
        Self { proxy: Arc::clone(proxy), at, request, open: true }
    }

    /// Gives up the lease, because other code has taken care of the upstream connection.
    pub(super) fn release(mut self) {
        self.open = false;
    }

    /// Records that the answer is complete. The upstream connection is released as soon as the request is complete as
    /// well.
    pub(super) fn finish(mut self, mut sender: Sender) {
        if sender.send.is_ready() {
            self.open = false;
            self.proxy.shell.finished(self.at, self.request, sender);
        } else if !sender.send.is_closed() {
            // The backend answered early, and the rest of the request is still on its way.
            let done = self.proxy.shell.finishing(self.at.downstream);
            let proxy = Arc::clone(&self.proxy);
            proxy.net.spawn(async move {
                if sender.send.ready().await {
                    self.open = false;
                    self.proxy.shell.finished(self.at, self.request, sender);
                } else {
                    drop(self);
                }
                drop(done);
            });
        }
    }
}

impl<N: Net> Drop for Lease<N> {
    fn drop(&mut self) {
        if self.open {
            self.proxy.shell.aborted(self.at, self.request);
        }
    }
}
