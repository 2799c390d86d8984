//! Whole proxies from outside Stickler.

use std::sync::Arc;

use stickler_lb_core::{Control, Farm};
use stickler_lb_proxy::BoxFuture;
use stickler_model::Env;
use stickler_net::{AnyListener, AnyNet, Net};

/// A complete proxy that is not built on Stickler's data planes. [`Balancer::proxy`](crate::Balancer::proxy) puts it to
/// the test.
///
/// The proxy is written once for any network, so the same code runs in simulated time and on real sockets.
pub trait ForeignProxy: Send + Sync + 'static {
    /// Serves the clients that connect to `listener`, over connections to the backends of `farm`, until the future is
    /// dropped. The site calls it at each start of the balancer's host.
    ///
    /// * The proxy must open connections with [`Net::connect`] and start tasks with [`Net::spawn`], so that they end
    ///   with the host. Time is tokio's (`tokio::time`).
    /// * `env` has the balancer's name, clock and randomness.
    /// * `control` reports which backends an operator drains, and what health checks find ([`Control::state`],
    ///   [`Control::attach`]).
    /// * The proxy must pass TLS on unread, unless the balancer is declared
    ///   [`without_tls`](crate::Balancer::without_tls).
    fn serve<N: Net>(
        &self,
        net: N,
        listener: N::Listener,
        env: Env,
        farm: Farm,
        control: Control,
    ) -> impl Future<Output = ()> + Send;
}

/// [`ForeignProxy`] as a trait object. Trait objects cannot have generic methods, so this one runs on [`AnyNet`].
pub(crate) trait ObjectProxy: Send + Sync {
    fn serve(
        self: Arc<Self>,
        net: AnyNet,
        listener: AnyListener,
        env: Env,
        farm: Farm,
        control: Control,
    ) -> BoxFuture<'static, ()>;
}

impl<P: ForeignProxy> ObjectProxy for P {
    fn serve(
        self: Arc<Self>,
        net: AnyNet,
        listener: AnyListener,
        env: Env,
        farm: Farm,
        control: Control,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { ForeignProxy::serve(&*self, net, listener, env, farm, control).await })
    }
}
