//! A mechanism together with the data plane that it needs.

use stickler_catalogue::{Carriage, Mechanism};
use stickler_lb_core::{Control, Farm, RuleError};
use stickler_lb_proxy::{HttpProxyConfig, SpliceConfig};
use stickler_model::Entropy;

/// A mechanism that is ready to be served.
pub enum DataPlane {
    /// The mechanism is served by [`stickler_lb_proxy::serve_l7`].
    L7(HttpProxyConfig),
    /// The mechanism is served by [`stickler_lb_proxy::serve_l4`], or by a packet router that asks its policy, as
    /// [`Mechanism::carriage`] says.
    L4(SpliceConfig),
}

impl DataPlane {
    /// Returns the mechanism over this farm. All randomness comes from `entropy`; `control` reports drains and the
    /// results of health checks to the policy.
    ///
    /// A mechanism that terminates authentication also needs a [`stickler_lb_proxy::Gate`], which only a world has. The
    /// same holds for TLS: a mechanism at L7 terminates it, with the values that a world sets in
    /// [`HttpProxyConfig::tls`] and [`HttpProxyConfig::upstream_tls`]; a mechanism at L4 passes it on.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    ///
    /// # Panics
    /// The function never panics, because every mechanism works at L7 or at L4.
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
