//! A mechanism with the data plane that it needs.

use stickler_catalogue::{Carriage, Mechanism};
use stickler_lb_core::{Control, Farm, RuleError};
use stickler_lb_proxy::{HttpProxyConfig, SpliceConfig};
use stickler_model::Entropy;

/// A mechanism, ready to be served.
pub enum DataPlane {
    /// By [`stickler_lb_proxy::serve_l7`].
    L7(HttpProxyConfig),
    /// By [`stickler_lb_proxy::serve_l4`], or by a packet router that asks its policy, as [`Mechanism::carriage`] says.
    L4(SpliceConfig),
}

impl DataPlane {
    /// The mechanism over this farm. What is random comes from `entropy`; `control` hears of drains and health checks.
    ///
    /// A mechanism that ends authentication needs a [`stickler_lb_proxy::Gate`] besides, which only a world has. So it
    /// is with TLS: one at L7 ends it, with what a world puts into [`HttpProxyConfig::tls`] and
    /// [`HttpProxyConfig::upstream_tls`]; one at L4 passes it on.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    ///
    /// # Panics
    /// Never: a mechanism works at L7 or at L4.
    pub fn new(mechanism: &Mechanism, farm: Farm, entropy: Entropy, control: Control) -> Result<Self, RuleError> {
        if let Some(policy) = mechanism.l7(&farm, entropy.clone())? {
            let mut service = HttpProxyConfig::new(farm, policy);
            service.control = control;
            service.passive = mechanism.passive;
            service.pipelining = mechanism.pipelining;
            service.hops = mechanism.hops;
            service.limits = service.limits.reading(mechanism.head);
            service.head = mechanism.head;
            service.limits.idle = mechanism.timers.client_idle;
            service.limits.answer = mechanism.timers.answer;
            service.tls_drifts = mechanism.tls_drifts;
            return Ok(Self::L7(service));
        }
        let policy = mechanism.l4(&farm, entropy)?.expect("a mechanism works at L7 or at L4");
        let mut service = SpliceConfig::new(farm, policy);
        service.control = control;
        service.passive = mechanism.passive;
        service.limits.idle = mechanism.flow_idle;
        if let Carriage::Splice { proxy_protocol } = mechanism.carriage {
            service.send_proxy = proxy_protocol;
        }
        Ok(Self::L4(service))
    }
}
