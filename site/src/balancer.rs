//! What stands between the clients and the farm.

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

/// What stands between the clients and the farm, and what it declares about itself.
///
/// A clone is another handle on the same description. Each start of the balancer's host makes a new balancer of it.
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

/// How a balancer is made when its host starts.
#[derive(Clone)]
pub(crate) enum Make {
    /// Decisions for one of our data planes.
    Plane {
        make: Arc<MakePlane>,
        /// Where the network can route packets, a packet router asks the L4 policy in place of the data plane.
        packets: Option<PacketMode>,
    },
    /// A whole proxy, which does everything by itself.
    Proxy(Arc<dyn ObjectProxy>),
    /// A program that the arm starts, at the address that the site has opened for it.
    Program,
}

type MakePlane = dyn Fn(Farm, Entropy, Control) -> Result<DataPlane, RuleError> + Send + Sync;

/// What a balancer does with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsHandling {
    /// It passes TLS on, unread.
    PassesThrough,
    /// It terminates TLS.
    Terminates,
    /// It reads HTTP, and knows no TLS.
    Unaware,
}

impl Balancer {
    /// The balancer that is described.
    ///
    /// # Errors
    /// [`BalancerError`]: the catalogue does not have it, its profile is wrong, or it is none of the catalogue's.
    pub fn of(spec: &BalancerSpec) -> Result<Self, BalancerError> {
        let mechanism = match spec {
            BalancerSpec::Mechanism { .. } => find(&spec.to_string())?,
            BalancerSpec::Profile { name, toml, defects } => {
                let profiles = Profile::parse(toml, name)?;
                let profile = profiles.iter().find(|profile| profile.name == *name);
                let profile = profile.ok_or_else(|| BalancerError::NoSuchProfile(name.clone()))?;
                profile.mechanism().with_defects(defects.iter().map(String::as_str))?
            }
            // What it is like stands for it, where the product itself is not to be had.
            BalancerSpec::Product { like: Some(like), .. } => return Self::of(like),
            BalancerSpec::Product { .. } => return Err(BalancerError::Product(spec.to_string())),
            BalancerSpec::Foreign(name) => return Err(BalancerError::Foreign(name.clone())),
            BalancerSpec::Target { .. } => return Err(BalancerError::Target(spec.to_string())),
        };
        Ok(Self { spec: spec.clone(), ..Self::mechanism(&mechanism) })
    }

    /// This mechanism. It declares what its rules keep.
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

    /// Decisions of your own for the HTTP data plane. It declares nothing; see [`Balancer::promising`].
    pub fn l7<P: L7Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let make = Arc::new(move |farm: Farm, entropy, control| {
            let policy = Box::new(policy(&farm, entropy));
            let mut service = HttpProxyConfig::new(farm, policy);
            service.control = control;
            Ok(DataPlane::L7(service))
        });
        Self { tls: TlsHandling::Terminates, ..Self::declaring_nothing(Make::Plane { make, packets: None }) }
    }

    /// Decisions of your own for connections. In simulated time packets are translated from and to the balancer's
    /// address; on real sockets the connections are spliced.
    pub fn l4<P: L4Policy + 'static>(policy: impl Fn(&Farm, Entropy) -> P + Send + Sync + 'static) -> Self {
        let make = Arc::new(move |farm: Farm, entropy, control| {
            let policy = Box::new(policy(&farm, entropy));
            let mut service = SpliceConfig::new(farm, policy);
            service.control = control;
            Ok(DataPlane::L4(service))
        });
        Self::declaring_nothing(Make::Plane { make, packets: Some(PacketMode::Source) })
    }

    /// A whole proxy of your own. It has to pass TLS on, or see [`Balancer::without_tls`].
    pub fn proxy(proxy: impl ForeignProxy) -> Self {
        Self::declaring_nothing(Make::Proxy(Arc::new(proxy)))
    }

    /// A program outside of the site, which the arm starts and ends, and which behaves as this mechanism does. The site opens
    /// its address, and runs nothing there.
    pub fn program(spec: BalancerSpec, mechanism: &Mechanism) -> Self {
        Self { spec, make: Make::Program, ..Self::mechanism(mechanism) }
    }

    /// A program that somebody else runs. It declares what the balancer does that it is said to behave as, or nothing, which is
    /// not to say that it does nothing. The site opens no address for it, and runs nothing there.
    ///
    /// # Errors
    /// [`BalancerError`]: there is no balancer such as it is said to behave as.
    pub fn target(spec: BalancerSpec, like: Option<&BalancerSpec>) -> Result<Self, BalancerError> {
        let known = match like {
            Some(like) => Self::of(like)?,
            None => Self::declaring_nothing(Make::Program).promising(Promises::unknown()),
        };
        Ok(Self { spec, make: Make::Program, ..known })
    }

    /// The same, declaring this about itself: what is not declared is not held against it.
    #[must_use]
    pub fn promising(self, promises: Promises) -> Self {
        Self { promises: Arc::new(move |_| promises.clone()), ..self }
    }

    /// The same under this name in traces and reports; without it, a balancer of your own is `yours`.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self { spec: BalancerSpec::Foreign(name.into()), ..self }
    }

    /// The same, a proxy that reads HTTP and knows no TLS: sites with TLS leave that out.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { tls: TlsHandling::Unaware, ..self }
    }

    /// The same, with Stickler's health checks in front of its decisions. They count as declared.
    #[must_use]
    pub fn checked(self, rule: CheckRule) -> Self {
        Self { checks: Some(rule), ..self }
    }

    /// The same, with health checks that ask this prober in place of the rule's probe.
    #[must_use]
    pub fn checked_by(self, rule: CheckRule, prober: Arc<dyn Prober>) -> Self {
        Self { checks: Some(rule), prober: Some(prober), ..self }
    }

    /// What it is called in traces and run files.
    pub fn spec(&self) -> &BalancerSpec {
        &self.spec
    }

    /// The rule of its health checks; `None` where it has none.
    pub fn checks(&self) -> Option<CheckRule> {
        self.checks.clone()
    }

    /// Sets a topology up for this balancer: IIS servers trust the header in which it names users, where it terminates
    /// authentication; TLS is left out where it knows none.
    pub fn adapt(&self, topology: &mut Topology) {
        if let Some(header) = &self.ends_authentication {
            topology.trust(header);
        }
        if self.tls == TlsHandling::Unaware {
            topology.tls = None;
        }
    }

    /// What it declares over this farm, on a site of this topology.
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
        // How the site is set counts where the balancer says nothing of it.
        let trusted = topology.servers.iter().find_map(|server| server.acceptor.trusted_header()).map(str::to_owned);
        promises.trusted_header = promises.trusted_header.or(trusted);
        promises
    }

    /// Whether the site checks the backends for it: a program does so itself.
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
