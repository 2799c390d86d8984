//! The mechanisms by name. Each is data: rules for shared parts, not code of its own.
//!
//! * `list`: the mechanisms of the field, M1 to M20, and variants of them.
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

/// A way in which balancers treat connections. It can be serialised and read back, so that it can travel with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mechanism {
    /// What scripts and the command line call it, with its defects: `pin-on-401+B6`.
    pub name: Text,
    /// Its number among the mechanisms of the field, `M1` to `M20`, where it stands for one.
    pub id: Option<Text>,
    /// What it does, in a line.
    pub summary: Text,
    /// Where it works.
    pub layer: Layer,
    /// What it decides by.
    pub kind: Kind,
    /// Its active health checks; `None`: it has none, and takes every backend for alive.
    pub checks: Option<CheckRule>,
    /// What it makes of failures on live traffic; `None`: nothing.
    pub passive: Option<PassiveRule>,
    /// How an L4 mechanism carries a connection; at L7 without meaning.
    pub carriage: Carriage,
    /// The balancer authenticates clients itself, and names the user to the backends in this request header (M20);
    /// `None`: it leaves authentication alone.
    pub ends_authentication: Option<Text>,
    /// What the data plane does with a request that comes before the answer to the one before it.
    pub pipelining: Pipelining,
    /// What the HTTP data plane does with what HTTP says of connections; at L4 without meaning.
    pub hops: Hops,
    /// How long the HTTP data plane waits; at L4 without meaning.
    pub timers: Timers,
    /// What becomes of idle connections at L4; `None`: nothing. At L7 without meaning.
    pub flow_idle: Option<FlowIdle>,
    /// How long the head of a request may be, at L7; `None`: the data plane's own limits alone.
    pub head: Option<HeadRule>,
    /// A defect: connections dedicated to a client have lost the authority that they should trust
    /// (the HTTP data plane's `tls_drifts`).
    pub tls_drifts: bool,
    /// The numbers of the defects that were put on it (`B6`), in their order; [`crate::defect::find`] knows them.
    pub defects: Vec<Text>,
}

/// What a mechanism decides by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// At L4.
    PerConnection(FlowRules),
    /// At L7.
    Composed(Box<Rules>),
}

/// How a balancer at L4 carries a connection to its backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Carriage {
    /// Packets, with the balancer's address as their source: a backend sees the balancer.
    #[default]
    SourceNat,
    /// Packets, with the backend's address as their destination: a backend sees the client.
    DestinationNat,
    /// Packets towards the backend alone; answers go past the balancer (direct server return).
    DirectReturn,
    /// Bytes, between two connections.
    Splice {
        /// Tells the backend the client's address first; `None`: it does not.
        proxy_protocol: Option<ProxyProtocol>,
    },
}

/// All mechanisms, without defects.
pub fn mechanisms() -> &'static [Mechanism] {
    &list::MECHANISMS
}

impl Mechanism {
    /// Describes the mechanism as a balancer under test, by its name and the defects in it.
    pub fn spec(&self) -> BalancerSpec {
        BalancerSpec::named(&self.name)
    }

    /// A mechanism at L7, without health checks.
    pub fn l7_by(name: impl Into<Text>, summary: impl Into<Text>, rules: Rules) -> Self {
        Self::new(name.into(), summary.into(), Layer::L7, Kind::Composed(Box::new(rules)))
    }

    /// A mechanism at L4, by source NAT and without health checks.
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

    /// Its decisions for a world's packet router or for the byte data plane; `None` for an L7 mechanism. What is
    /// random comes from `entropy`. Its weights are a pattern, repeated over the farm.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    pub fn l4(&self, farm: &Farm, entropy: Entropy) -> Result<Option<Box<dyn L4Policy>>, RuleError> {
        let Kind::PerConnection(mut rules) = self.kind.clone() else { return Ok(None) };
        rules.select = fitted(rules.select, farm);
        Ok(Some(Box::new(PerConnection::new(rules, farm, entropy)?)))
    }

    /// Its decisions for the HTTP data plane; `None` for an L4 mechanism. What is random comes from `entropy`. Its
    /// weights are a pattern, repeated over the farm.
    ///
    /// # Errors
    /// The rules do not fit this farm.
    pub fn l7(&self, farm: &Farm, entropy: Entropy) -> Result<Option<Box<dyn L7Policy>>, RuleError> {
        let Kind::Composed(mut rules) = self.kind.clone() else { return Ok(None) };
        rules.select = fitted(rules.select, farm);
        Ok(Some(Box::new(Composed::new(*rules, farm, entropy)?)))
    }

    /// Its rules at L7; `None` for an L4 mechanism.
    pub fn rules(&self) -> Option<&Rules> {
        match &self.kind {
            Kind::Composed(rules) => Some(rules),
            Kind::PerConnection(_) => None,
        }
    }

    /// Its rules at L4; `None` for an L7 mechanism.
    pub const fn flow_rules(&self) -> Option<&FlowRules> {
        match &self.kind {
            Kind::PerConnection(rules) => Some(rules),
            Kind::Composed(_) => None,
        }
    }
}

/// A mechanism is meant for any farm, and a rule's weights for one: they are repeated, or cut, to its size.
fn fitted(select: SelectRule, farm: &Farm) -> SelectRule {
    let backends = farm.backends.len();
    if select.weights.is_empty() || select.weights.len() == backends {
        return select;
    }
    let weights = select.weights.iter().copied().cycle().take(backends).collect();
    SelectRule { weights, ..select }
}
