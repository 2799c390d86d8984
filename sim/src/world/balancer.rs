//! The balancer of a world: one of ours by name, or a stranger's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use stickler_agents::DataPlane;
use stickler_catalogue::{Carriage, Mechanism, find};
use stickler_lb_core::health::CheckRule;
use stickler_lb_core::{Control, Farm, L4Policy, L7Policy, Layer, RuleError};
use stickler_lb_proxy::HttpProxyConfig;
use stickler_model::trace::Promises;
use stickler_model::{Entropy, Env, WorldError};

use crate::engine::{NatMode, SimListener, SimNet};

/// What stands between the clients and the farm, and what it declares about itself.
///
/// A clone is another handle on the same description; each start of the machine makes a new balancer of it.
#[derive(Clone)]
pub struct Balancer {
    promises: Arc<dyn Fn(&Farm) -> Promises + Send + Sync>,
    pub(super) checks: Option<CheckRule>,
    pub(super) ends_authentication: Option<&'static str>,
    pub(super) tls: TlsAt,
    pub(super) make: Make,
}

/// How it comes into being.
#[derive(Clone)]
pub(super) enum Make {
    /// Decisions for the HTTP or the byte data plane.
    Plane(Arc<dyn Fn(Farm, Entropy, Control) -> Result<DataPlane, RuleError> + Send + Sync>),
    /// Decisions for a packet router, which has no host.
    Packets(PacketMode, Arc<FlowPolicy>),
    /// A whole proxy, which does everything by itself.
    Proxy(Arc<dyn Fn(SimNet, SimListener, Env, Farm, Control) -> Running + Send + Sync>),
}

/// Makes the decisions of a packet router.
type FlowPolicy = dyn Fn(Farm, Entropy) -> Result<Box<dyn L4Policy>, RuleError> + Send + Sync;

/// A proxy that runs until it is dropped.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a balancer does with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsAt {
    /// It passes TLS on, unread.
    Passes,
    /// TLS ends at it.
    Ends,
    /// It reads HTTP, and knows no TLS.
    Nowhere,
}

/// Which addresses a packet router rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketMode {
    Source,
    Destination,
    DirectReturn,
}

impl Balancer {
    /// A mechanism or profile of `catalogue`, with its defects if there are any.
    pub(super) fn named(name: &str) -> Result<Self, WorldError> {
        let mechanism = find(name).map_err(|error| WorldError::Invalid(error.to_string()))?;
        Ok(Self::mechanism(&mechanism))
    }

    /// A mechanism of `catalogue`.
    pub fn mechanism(mechanism: &Mechanism) -> Self {
        let shared = Arc::new(mechanism.clone());
        let own = Arc::clone(&shared);
        let packets = |mode| {
            let own = Arc::clone(&shared);
            let policy = move |farm: Farm, entropy| {
                Ok(own.l4(&farm, entropy)?.expect("only a mechanism at L4 has packets to route"))
            };
            Make::Packets(mode, Arc::new(policy))
        };
        let make = match (mechanism.layer, mechanism.carriage) {
            (Layer::L7, _) | (Layer::L4, Carriage::Splice { .. }) => {
                Make::Plane(Arc::new(move |farm, entropy, control| DataPlane::new(&own, farm, entropy, control)))
            }
            (Layer::L4, Carriage::SourceNat) => packets(PacketMode::Source),
            (Layer::L4, Carriage::DestinationNat) => packets(PacketMode::Destination),
            (Layer::L4, Carriage::DirectReturn) => packets(PacketMode::DirectReturn),
        };
        Self {
            promises: Arc::new(move |farm| shared.promises(farm)),
            checks: mechanism.checks,
            ends_authentication: mechanism.ends_authentication,
            tls: if mechanism.layer == Layer::L7 { TlsAt::Ends } else { TlsAt::Passes },
            make,
        }
    }

    /// Decisions of your own for the HTTP data plane. It declares nothing; see [`Balancer::promising`].
    pub fn l7<P: L7Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let plane = Make::Plane(Arc::new(move |farm, entropy, control| {
            let policy = Box::new(policy(&farm, entropy));
            let mut service = HttpProxyConfig::new(farm, policy);
            service.control = control;
            Ok(DataPlane::L7(service))
        }));
        Self { tls: TlsAt::Ends, ..Self::declaring_nothing(plane) }
    }

    /// Decisions of your own for connections; packets are translated from and to the balancer's address.
    pub fn l4<P: L4Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let make = move |farm: Farm, entropy| Ok(Box::new(policy(&farm, entropy)) as Box<dyn L4Policy>);
        Self::declaring_nothing(Make::Packets(PacketMode::Source, Arc::new(make)))
    }

    /// A whole proxy of your own, generic over [`stickler_net::Net`]: it accepts from the listener and connects by the
    /// net, and is dropped when its host ends. TLS it has to pass on, or see [`Balancer::without_tls`]. The last argument says which backends an operator drains, and what
    /// health checks find ([`Control::state`], [`Control::attach`]).
    pub fn proxy<F>(serve: impl Fn(SimNet, SimListener, Env, Farm, Control) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::declaring_nothing(Make::Proxy(Arc::new(move |net, listener, env, farm, control| {
            Box::pin(serve(net, listener, env, farm, control))
        })))
    }

    /// The same, declaring this about itself: what is not declared is not held against it.
    #[must_use]
    pub fn promising(self, promises: Promises) -> Self {
        Self { promises: Arc::new(move |_| promises.clone()), ..self }
    }

    /// The same, a proxy that reads HTTP and knows no TLS: worlds with TLS leave it out.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { tls: TlsAt::Nowhere, ..self }
    }

    /// The same, with Stickler's health checks in front of its decisions. They count as declared.
    #[must_use]
    pub fn checked(self, rule: CheckRule) -> Self {
        Self { checks: Some(rule), ..self }
    }

    /// Tries whether its rules fit this farm.
    pub(super) fn check(&self, farm: &Farm, env: &Env) -> Result<(), RuleError> {
        let (farm, entropy, control) = (farm.clone(), env.entropy.clone(), Control::new());
        match &self.make {
            Make::Plane(make) => make(farm, entropy, control).map(drop),
            Make::Packets(_, make) => make(farm, entropy).map(drop),
            Make::Proxy(_) => Ok(()),
        }
    }

    pub(super) fn promises(&self, farm: &Farm) -> Promises {
        let mut promises = (self.promises)(farm);
        promises.checks = promises.checks.or_else(|| self.checks.as_ref().map(CheckRule::promise));
        promises
    }

    fn declaring_nothing(make: Make) -> Self {
        Self {
            promises: Arc::new(|_| Promises::default()),
            checks: None,
            ends_authentication: None,
            tls: TlsAt::Passes,
            make,
        }
    }
}

impl PacketMode {
    pub(super) const fn nat(self, front_end: std::net::SocketAddr) -> NatMode {
        match self {
            Self::Source => NatMode::Source(front_end.ip()),
            Self::Destination => NatMode::Destination,
            Self::DirectReturn => NatMode::DirectReturn,
        }
    }
}
