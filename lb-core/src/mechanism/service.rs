//! What a data plane needs to be this mechanism.

use stickler_model::Entropy;

use super::{Carriage, Mechanism};
use crate::{Control, Farm, FlowService, RuleError, Service};

/// A mechanism, ready to be served.
pub enum Plane {
    /// By [`crate::serve_l7`].
    L7(Service),
    /// By [`crate::serve_l4`], or by a packet router that asks its policy, as [`Mechanism::carriage`] says.
    L4(FlowService),
}

impl Mechanism {
    /// The mechanism over this farm. What is random comes from `entropy`; `control` hears of drains and health checks.
    ///
    /// A mechanism that ends authentication needs a [`crate::Gate`] besides, which only a world has. So it is with TLS: one
    /// at L7 ends it, with what a world puts into [`Service::tls`] and [`Service::upstream_tls`]; one at L4 passes it on.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    pub fn plane(&self, farm: Farm, entropy: Entropy, control: Control) -> Result<Plane, RuleError> {
        if let Some(policy) = self.l7(&farm, entropy.clone())? {
            let mut service = Service::new(farm, policy);
            service.control = control;
            service.passive = self.passive;
            service.pipelining = self.pipelining;
            service.tls_drifts = self.tls_drifts;
            return Ok(Plane::L7(service));
        }
        let policy = self.l4(&farm, entropy)?.expect("a mechanism works at L7 or at L4");
        let mut service = FlowService::new(farm, policy);
        service.control = control;
        service.passive = self.passive;
        if let Carriage::Splice { proxy_protocol } = self.carriage {
            service.send_proxy = proxy_protocol;
        }
        Ok(Plane::L4(service))
    }
}
