//! The description of the balancer between the clients and the farm.

use std::sync::Arc;

use stickler_catalogue::{Carriage, Mechanism, Profile, find};
use stickler_lb_core::health::CheckRule;
use stickler_lb_core::{Control, Farm, L4Policy, L7Policy, Layer, RuleError, Text};
use stickler_lb_proxy::health::Prober;
use stickler_lb_proxy::{HttpProxyConfig, SpliceConfig};
use stickler_model::trace::Promises;
use stickler_model::{BalancerSpec, Entropy, Topology};

use crate::foreign::{ForeignProxy, ObjectProxy};
use crate::{BalancerError, DataPlane, PacketMode};

/// The balancer between the clients and the farm, and what it declares about itself.
///
/// A clone is another handle on the same description. Each start of the balancer's host creates a new balancer from it.
#[derive(Clone)]
pub struct Balancer {
    spec: BalancerSpec,
    promises: Arc<dyn Fn(&Farm) -> Promises + Send + Sync>,
    checks: Option<CheckRule>,
    prober: Option<Arc<dyn Prober>>,
    ends_authentication: Option<Text>,
    tls: TlsHandling,
    make: Make,
}

/// How a balancer is created when its host starts.
#[derive(Clone)]
pub(crate) enum Make {
    /// The balancer is a policy for one of Stickler's data planes.
    Plane {
        make: Arc<MakePlane>,
        /// The packet mode of the router that asks the L4 policy in place of the data plane, on networks that can route
        /// packets.
        packets: Option<PacketMode>,
    },
    /// The balancer is a whole proxy, which does everything itself.
    Proxy(Arc<dyn ObjectProxy>),
    /// The balancer is a program that the arm starts, at the address that the site has reserved for it.
    Program,
}

type MakePlane = dyn Fn(Farm, Entropy, Control) -> Result<DataPlane, RuleError> + Send + Sync;

/// How a balancer treats TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsHandling {
    /// The balancer passes TLS on without reading it.
    PassesThrough,
    /// The balancer terminates TLS.
    Terminates,
    /// The balancer reads HTTP and does not support TLS.
    Unaware,
}

impl Balancer {
    /// Returns the balancer of a description.
    ///
    /// # Errors
    /// [`BalancerError`]: the catalogue does not have the balancer, its profile is not valid, or the balancer cannot
    /// come from the catalogue.
    pub fn of(spec: &BalancerSpec) -> Result<Self, BalancerError> {
        let mechanism = match spec {
            BalancerSpec::Mechanism { .. } => find(&spec.to_string())?,
            BalancerSpec::Profile { name, toml, defects } => {
                let profiles = Profile::parse(toml, name)?;
                let profile = profiles.iter().find(|profile| profile.name == *name);
                let profile = profile.ok_or_else(|| BalancerError::NoSuchProfile(name.clone()))?;
                profile.mechanism().with_defects(defects.iter().map(String::as_str))?
            }
            // If the product itself is not available, the balancer that it is like takes its place.
            BalancerSpec::Product { like: Some(like), .. } => return Self::of(like),
            BalancerSpec::Product { .. } => return Err(BalancerError::Product(spec.to_string())),
            BalancerSpec::Foreign(name) => return Err(BalancerError::Foreign(name.clone())),
            BalancerSpec::Target { .. } => return Err(BalancerError::Target(spec.to_string())),
        };
        Ok(Self { spec: spec.clone(), ..Self::mechanism(&mechanism) })
    }

    /// Returns the balancer of a mechanism, which declares what the mechanism's rules promise.
    pub fn mechanism(mechanism: &Mechanism) -> Self {
        let shared = Arc::new(mechanism.clone());
        let own = Arc::clone(&shared);
        let packets = match (mechanism.layer, mechanism.carriage) {
            (Layer::L7, _) | (Layer::L4, Carriage::Splice { .. }) => None,
            (Layer::L4, Carriage::SourceNat) => Some(PacketMode::Source),
            (Layer::L4, Carriage::DestinationNat) => Some(PacketMode::Destination),
            (Layer::L4, Carriage::DirectReturn) => Some(PacketMode::DirectReturn),
        };
        let make = Arc::new(move |farm, entropy, control| DataPlane::new(&own, farm, entropy, control));
        Self {
            spec: mechanism.spec(),
            promises: Arc::new(move |farm| shared.promises(farm)),
            checks: mechanism.checks.clone(),
            ends_authentication: mechanism.ends_authentication.clone(),
            tls: if mechanism.layer == Layer::L7 { TlsHandling::Terminates } else { TlsHandling::PassesThrough },
            ..Self::declaring_nothing(Make::Plane { make, packets })
        }
    }

    /// Returns a balancer with a custom policy for the HTTP data plane. It declares nothing; see
    /// [`Balancer::promising`].
    pub fn l7<P: L7Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let make = Arc::new(move |farm: Farm, entropy, control| {
            let policy = Box::new(policy(&farm, entropy));
            let mut service = HttpProxyConfig::new(farm, policy);
            service.control = control;
            Ok(DataPlane::L7(service))
        });
        Self { tls: TlsHandling::Terminates, ..Self::declaring_nothing(Make::Plane { make, packets: None }) }
    }

    /// Returns a balancer with a custom policy for connections. In simulated time, packets are translated from and to the
    /// balancer's address; on real sockets, connections are spliced.
    pub fn l4<P: L4Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let make = Arc::new(move |farm: Farm, entropy, control| {
            let policy = Box::new(policy(&farm, entropy));
            let mut service = SpliceConfig::new(farm, policy);
            service.control = control;
            Ok(DataPlane::L4(service))
        });
        Self::declaring_nothing(Make::Plane { make, packets: Some(PacketMode::Source) })
    }

    /// Returns a balancer that is a complete custom proxy. The proxy must pass TLS on; otherwise see
    /// [`Balancer::without_tls`].
    pub fn proxy(proxy: impl ForeignProxy) -> Self {
        Self::declaring_nothing(Make::Proxy(Arc::new(proxy)))
    }

    /// Returns a balancer that is a program outside of the site, which the arm starts and ends, and which behaves as
    /// this mechanism does. The site reserves its address and runs nothing there.
    pub fn program(spec: BalancerSpec, mechanism: &Mechanism) -> Self {
        Self { spec, make: Make::Program, ..Self::mechanism(mechanism) }
    }

    /// Returns a balancer that somebody else runs. It declares what the balancer `like` declares. Without `like` it
    /// declares nothing, which does not mean that it has no such properties. The site reserves no address for it, and
    /// runs nothing there.
    ///
    /// # Errors
    /// [`BalancerError`]: there is no balancer as described by `like`.
    pub fn target(spec: BalancerSpec, like: Option<&BalancerSpec>) -> Result<Self, BalancerError> {
        let known = match like {
            Some(like) => Self::of(like)?,
            None => Self::declaring_nothing(Make::Program).promising(Promises::unknown()),
        };
        Ok(Self { spec, make: Make::Program, ..known })
    }

    /// Returns the same balancer with these declarations about itself. What is not declared is not required of it.
    #[must_use]
    pub fn promising(self, promises: Promises) -> Self {
        Self { promises: Arc::new(move |_| promises.clone()), ..self }
    }

    /// Returns the same balancer with this name for traces and reports. Without a name, a custom balancer is called
    /// `yours`.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { spec: BalancerSpec::Foreign(name.into()), ..self }
    }

    /// Returns the same balancer as a proxy that reads HTTP and does not support TLS: sites with TLS are then run
    /// without it.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { tls: TlsHandling::Unaware, ..self }
    }

    /// Returns the same balancer with Stickler's health checks in front of its policy. The checks count as declared.
    #[must_use]
    pub fn checked(self, rule: CheckRule) -> Self {
        Self { checks: Some(rule), ..self }
    }

    /// Returns the same balancer with health checks that use this prober instead of the rule's probe.
    #[must_use]
    pub fn checked_by(self, rule: CheckRule, prober: Arc<dyn Prober>) -> Self {
        Self { checks: Some(rule), prober: Some(prober), ..self }
    }

    /// Returns the description of the balancer in traces and run files.
    pub fn spec(&self) -> &BalancerSpec {
        &self.spec
    }

    /// Returns the rule of its health checks, or `None` if it has none.
    pub fn checks(&self) -> Option<CheckRule> {
        self.checks.clone()
    }

    /// Adapts a topology to this balancer. If the balancer terminates authentication, the IIS servers trust the header
    /// in which it names users. If it does not support TLS, the topology gets none.
    pub fn adapt(&self, topology: &mut Topology) {
        if let Some(header) = &self.ends_authentication {
            topology.trust(header);
        }
        if self.tls == TlsHandling::Unaware {
            topology.tls = None;
        }
    }

    /// Returns what the balancer declares over this farm, on a site with this topology.
    pub(crate) fn promises(&self, farm: &Farm, topology: &Topology) -> Promises {
        let mut promises = (self.promises)(farm);
        promises.checks = promises.checks.or_else(|| self.checks.as_ref().map(CheckRule::promise));
        let logs_on = self
            .checks
            .as_ref()
            .is_some_and(|rule| matches!(rule.probe, stickler_lb_core::health::Probe::Logon { .. }));
        if let (Some(checks), true) = (&mut promises.checks, logs_on) {
            checks.user = topology.monitor.as_ref().map(|monitor| monitor.principal.clone());
        }
        // The settings of the site count if the balancer declares nothing about them.
        let trusted = topology.servers.iter().find_map(|server| server.acceptor.trusted_header()).map(str::to_owned);
        promises.trusted_header = promises.trusted_header.or(trusted);
        promises
    }

    /// Returns whether the site checks the backends on behalf of the balancer. A program does so itself.
    pub(crate) fn is_checked_here(&self) -> bool {
        !matches!(self.make, Make::Program)
    }

    pub(crate) fn make(&self) -> &Make {
        &self.make
    }

    pub(crate) fn prober(&self) -> Option<&Arc<dyn Prober>> {
        self.prober.as_ref()
    }

    pub(crate) fn ends_authentication(&self) -> Option<Text> {
        self.ends_authentication.clone()
    }

    pub(crate) fn terminates_tls(&self) -> bool {
        self.tls == TlsHandling::Terminates
    }

    fn declaring_nothing(make: Make) -> Self {
        Self {
            spec: BalancerSpec::Foreign("yours".into()),
            promises: Arc::new(|_| Promises::default()),
            checks: None,
            prober: None,
            ends_authentication: None,
            tls: TlsHandling::PassesThrough,
            make,
        }
    }
}
