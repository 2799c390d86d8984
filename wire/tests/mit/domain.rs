//! A domain with a KDC on loopback.

use std::net::Ipv4Addr;
use std::sync::Arc;

use stickler_mock_dc::{Directory, DomainController};
use stickler_model::topology::{DomainSpec, ServiceSpec, TrustSpec, UserSpec};
use stickler_model::{BalancerSpec, Clock, Entropy, Env, Journal, Name, Time, What, standard};
use stickler_site::Balancer;
use stickler_wire::{Kdc, WallClock};

/// The SPN of the service, as curl requests it.
pub(crate) const WEB: &str = "HTTP/localhost";

/// Returns a balancer of the catalogue.
pub(crate) fn named(balancer: &str) -> Balancer {
    Balancer::of(&BalancerSpec::named(balancer)).expect("the catalogue has it")
}

/// A DC, and the events that it recorded.
pub(crate) struct Dc {
    pub(crate) kdc: Kdc,
    pub(crate) controller: Arc<DomainController>,
    journal: Arc<Journal>,
}

impl Dc {
    /// Starts the DC of `spec` with a clock that is ahead by this number of seconds.
    pub(crate) fn start(spec: &DomainSpec, ahead: u64) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Ahead(WallClock::default(), ahead));
        let journal = Journal::new(Arc::clone(&clock));
        let entropy = Entropy::new(1, &spec.dns);
        let env = Env { name: Name::from("dc"), clock, entropy, journal: Arc::clone(&journal) };
        let controller = Arc::new(DomainController::new(Directory::new(spec)));
        let kdc = Kdc::start((Ipv4Addr::LOCALHOST, 0).into(), env, Arc::clone(&controller)).unwrap();
        Self { kdc, controller, journal }
    }

    /// Returns service and error of each request so far.
    pub(crate) fn noted(&self) -> Vec<(String, u32)> {
        let events = self.journal.take().into_iter();
        let requests = events.filter_map(|event| match event.what {
            What::DcTicket { service, error, .. } => Some((service, error)),
            _ => None,
        });
        requests.collect()
    }
}

/// Returns `CORP` with alice, and with `svc-web` as [`WEB`]. Three failed logons lock an account.
pub(crate) fn corp() -> DomainSpec {
    let user = |name: &str| UserSpec::new(name, format!("{name}-pw"));
    DomainSpec {
        users: vec![user("alice"), user("svc-web")],
        lockout_threshold: Some(3),
        services: vec![ServiceSpec {
            account: "svc-web".into(),
            spns: vec![WEB.into()],
            trusted_for_delegation: false,
        }],
        trusts: vec![trust("PARTNER", "partner.example")],
        ..standard::domain()
    }
}

/// Returns `PARTNER`, which trusts [`corp`].
pub(crate) fn partner() -> DomainSpec {
    DomainSpec {
        netbios: "PARTNER".into(),
        dns: "partner.example".into(),
        trusts: vec![trust("CORP", "corp.example")],
        ..DomainSpec::default()
    }
}

fn trust(netbios: &str, dns: &str) -> TrustSpec {
    TrustSpec { netbios: netbios.into(), dns: dns.into(), password: "trust-pw".into() }
}

/// A clock that is ahead by a number of seconds.
struct Ahead(WallClock, u64);

impl Clock for Ahead {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn epoch(&self) -> u64 {
        self.0.epoch() + self.1
    }
}
