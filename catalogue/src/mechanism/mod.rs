//! The mechanisms by name. Each is data: rules for shared code, without code of its own.
//!
//! * `list`: the mechanisms M1 to M20, which products use, and variants of them.
//! * `promises`: what a mechanism declares about itself.

mod list;
mod promises;

use serde::{Deserialize, Serialize};
use stickler_lb_core::health::rule::{CheckRule, PassiveRule};
use stickler_lb_core::policy::composed::{Composed, Rules};
use stickler_lb_core::policy::per_connection::{FlowRules, PerConnection};
use stickler_lb_core::policy::select::SelectRule;
use stickler_lb_core::{
    Farm, FlowIdle, HeadRule, Hops, L4Policy, L7Policy, Layer, Pipelining, ProxyProtocol, RuleError, Text, Timers,
};
use stickler_model::{BalancerSpec, Entropy};

/// A way in which balancers treat connections. It can be serialised and read back, so that it can be part of a run
/// file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// The name in scripts and on the command line, with its defects, for example `pin-on-401+B6`.
    pub name: Text,
    /// The number from `M1` to `M20`, if the mechanism has one.
    pub id: Option<Text>,
    /// What the mechanism does, in one line.
    pub summary: Text,
    /// The layer at which the mechanism works.
    pub layer: Layer,
    /// The rules by which the mechanism decides.
    pub kind: Kind,
    /// The active health checks. `None`: there are none, and every backend counts as alive.
    pub checks: Option<CheckRule>,
    /// The rule about failures on live traffic. `None`: they have no effect.
    pub passive: Option<PassiveRule>,
    /// How an L4 mechanism carries a connection. It has no effect at L7.
    pub carriage: Carriage,
    /// The request header in which the balancer names the user to the backends, if it authenticates clients itself
    /// (M20). `None`: it does not take part in authentication.
    pub ends_authentication: Option<Text>,
    /// What the data plane does with a request that arrives before the previous one is answered.
    pub pipelining: Pipelining,
    /// How the HTTP data plane treats the fields in which HTTP messages describe connections. It has no effect at L4.
    pub hops: Hops,
    /// The time limits of the HTTP data plane; no effect at L4.
    pub timers: Timers,
    /// What happens to idle connections at L4. `None`: nothing happens. It has no effect at L7.
    pub flow_idle: Option<FlowIdle>,
    /// The limits on the head of a request at L7. `None`: only the data plane's own limits apply.
    pub head: Option<HeadRule>,
    /// Whether connections that are dedicated to a client have lost the authority that they should trust, which is a
    /// defect (the HTTP data plane's `tls_drifts`).
    pub tls_drifts: bool,
    /// The numbers of the defects that were put on the mechanism (`B6`), in order. [`crate::defect::find`] knows them.
    pub defects: Vec<Text>,
}

/// The rules by which a mechanism decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// The rules of a mechanism at L4.
    PerConnection(FlowRules),
    /// The rules of a mechanism at L7.
    Composed(Box<Rules>),
}

/// How a balancer at L4 carries a connection to its backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Carriage {
    /// Packets with the balancer's address as their source: a backend sees the balancer.
    #[default]
    SourceNat,
    /// Packets with the backend's address as their destination: a backend sees the client.
    DestinationNat,
    /// Packets towards the backend only; answers bypass the balancer (direct server return).
    DirectReturn,
    /// Bytes between two connections.
    Splice {
        /// The version of the PROXY protocol by which the backend learns the client's address. `None`: it does not
        /// learn the address.
        proxy_protocol: Option<ProxyProtocol>,
    },
}

/// Returns all mechanisms, without defects.
pub fn mechanisms() -> &'static [Mechanism] {
    &list::MECHANISMS
}

impl Mechanism {
    /// Describes the mechanism as a balancer under test, by its name and the defects in it.
    pub fn spec(&self) -> BalancerSpec {
        BalancerSpec::named(&self.name)
    }

    /// Returns a mechanism at L7 with these rules, without health checks.
    pub fn l7_by(name: impl Into<Text>, summary: impl Into<Text>, rules: Rules) -> Self {
        Self::new(name.into(), summary.into(), Layer::L7, Kind::Composed(Box::new(rules)))
    }

    /// Returns a mechanism at L4 with these rules, by source NAT and without health checks.
    pub fn l4_by(name: impl Into<Text>, summary: impl Into<Text>, rules: FlowRules) -> Self {
        Self::new(name.into(), summary.into(), Layer::L4, Kind::PerConnection(rules))
    }

    fn new(name: Text, summary: Text, layer: Layer, kind: Kind) -> Self {
        Self {
            name,
            id: None,
            summary,
            layer,
            kind,
            checks: None,
            passive: None,
            carriage: Carriage::SourceNat,
            ends_authentication: None,
            pipelining: Pipelining::InOrder,
            hops: Hops::default(),
            timers: Timers::default(),
            flow_idle: None,
            head: None,
            tls_drifts: false,
            defects: Vec::new(),
        }
    }

    /// Returns the policy for a world's packet router or for the byte data plane; `None` for an L7 mechanism. All
    /// randomness comes from `entropy`. The weights are a pattern that is repeated over the farm.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    pub fn l4(&self, farm: &Farm, entropy: Entropy) -> Result<Option<Box<dyn L4Policy>>, RuleError> {
        let Kind::PerConnection(mut rules) = self.kind.clone() else { return Ok(None) };
        rules.select = fitted(rules.select, farm);
        Ok(Some(Box::new(PerConnection::new(rules, farm, entropy)?)))
    }

    /// Returns the policy for the HTTP data plane; `None` for an L4 mechanism. All randomness comes from `entropy`. The
    /// weights are a pattern that is repeated over the farm.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    pub fn l7(&self, farm: &Farm, entropy: Entropy) -> Result<Option<Box<dyn L7Policy>>, RuleError> {
        let Kind::Composed(mut rules) = self.kind.clone() else { return Ok(None) };
        rules.select = fitted(rules.select, farm);
        Ok(Some(Box::new(Composed::new(*rules, farm, entropy)?)))
    }

    /// Returns the rules of an L7 mechanism; `None` for an L4 mechanism.
    pub fn rules(&self) -> Option<&Rules> {
        match &self.kind {
            Kind::Composed(rules) => Some(rules),
            Kind::PerConnection(_) => None,
        }
    }

    /// Returns the rules of an L4 mechanism; `None` for an L7 mechanism.
    pub const fn flow_rules(&self) -> Option<&FlowRules> {
        match &self.kind {
            Kind::PerConnection(rules) => Some(rules),
            Kind::Composed(_) => None,
        }
    }
}

/// Returns a selection rule that fits the farm. A mechanism must fit a farm of any size, so its weights are repeated or
/// truncated to the size of this one.
fn fitted(select: SelectRule, farm: &Farm) -> SelectRule {
    let backends = farm.backends.len();
    if select.weights.is_empty() || select.weights.len() == backends {
        return select;
    }
    let weights = select.weights.iter().copied().cycle().take(backends).collect();
    SelectRule { weights, ..select }
}
