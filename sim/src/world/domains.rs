//! The DCs of a world: those of the site's domain, and that of its partner.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::Accounts;
use stickler_model::topology::{ControllerSpec, DomainSpec, PartnerSpec};
use stickler_model::{Clock, Identity, Name, Principal, Topology, WorldError};

use super::addresses;

/// Iterations of string-to-key in the simulated domain, which its KDC tells clients (RFC 3962 4). Windows' 4,096
/// would be most of what a small world costs.
const ITERATIONS: u32 = 16;

/// The domains, and who serves them.
pub(super) struct Domains {
    /// The PDC emulator of the site's domain, and its place among the DCs: what it knows is the truth.
    pdc: Arc<DomainController>,
    place: usize,
    realm: String,
    /// The DCs of the site's domain, in the order in which servers ask them.
    controllers: Vec<(Name, Arc<DomainController>)>,
    partner: Option<Partner>,
    seed: u64,
}

/// A second domain.
struct Partner {
    dc: Arc<DomainController>,
    netbios: String,
    dns: String,
    /// Whether the site's domain trusts it, with whatever secret.
    trusted: bool,
}

impl Domains {
    /// Builds the domains of a topology. Nothing is started.
    pub(super) fn new(topology: &Topology, seed: u64) -> Result<Self, WorldError> {
        let domain = &topology.domain;
        let dc = [ControllerSpec::new(Name::from("dc"))];
        let specs = if topology.controllers.is_empty() { &dc[..] } else { &topology.controllers };
        let place = specs.iter().position(|spec| !spec.is_stale()).ok_or_else(|| {
            WorldError::Invalid("every DC is stale: one of them must have all accounts as they are".into())
        })?;
        let trusting = |controller: DomainController| match &topology.partner {
            Some(partner) => controller.with_trusted(&partner.domain.netbios, vec![addresses::PARTNER]),
            None => controller,
        };
        let delayed =
            |controller: DomainController, spec: &ControllerSpec| controller.with_delay(spec.slow.unwrap_or_default());
        let truth = Directory::new(domain).with_iterations(ITERATIONS);
        let pdc = delayed(trusting(DomainController::new(truth)), &specs[place]);
        let address = addresses::controller(place)?;
        let replica = |spec: &ControllerSpec| {
            let controller = delayed(pdc.replica(&spec.name, seed, address), spec);
            if !spec.is_stale() {
                return controller;
            }
            controller.with_directory(Directory::replica(domain, spec).with_iterations(ITERATIONS))
        };
        let others: Vec<_> = specs.iter().enumerate().map(|(at, spec)| (at != place).then(|| replica(spec))).collect();
        let pdc = Arc::new(pdc);
        let arc = |other: Option<DomainController>| other.map_or_else(|| Arc::clone(&pdc), Arc::new);
        let named = specs.iter().zip(others).map(|(spec, other)| (spec.name.clone(), arc(other)));
        Ok(Self {
            place,
            realm: domain.dns.to_uppercase(),
            controllers: named.collect(),
            partner: topology.partner.as_ref().map(|partner| Partner::new(partner, domain, specs.len())).transpose()?,
            pdc,
            seed,
        })
    }

    /// Every DC: its name, where its logon service listens, and what it runs.
    pub(super) fn hosts(&self) -> Result<Vec<(Name, SocketAddr, Arc<DomainController>)>, WorldError> {
        let own = self.controllers.iter().enumerate().map(|(index, (name, controller))| {
            Ok((name.clone(), addresses::controller(index)?, Arc::clone(controller)))
        });
        let partner = self.partner.as_ref();
        let partner = partner.map(|it| Ok((Name::from("dc-partner"), addresses::PARTNER, Arc::clone(&it.dc))));
        own.chain(partner).collect()
    }

    /// The PDC emulator of the site's domain.
    pub(super) fn pdc(&self) -> &DomainController {
        &self.pdc
    }

    /// Joins a machine to the site's domain.
    pub(super) fn account(&self, name: &Name) -> Result<Accounts, WorldError> {
        let addresses = (0..self.controllers.len()).map(addresses::controller).collect::<Result<_, _>>()?;
        Ok(Accounts::domain(addresses, &self.pdc.enroll(name, self.seed)))
    }

    /// Whether the site's domain, or one that it trusts, would let this identity log on now.
    pub(super) fn would_accept(&self, identity: &Identity, clock: &dyn Clock) -> bool {
        let now = FileTime(clock.filetime());
        match &self.partner {
            Some(partner) if partner.has(&identity.principal) => {
                partner.trusted && partner.dc.directory().would_accept(identity, now)
            }
            _ => self.pdc.directory().would_accept(identity, now),
        }
    }

    /// The KDCs that a client of this user knows, with their realms: that of the user's own domain first.
    pub(super) fn kdcs(&self, user: Option<&Principal>) -> Result<Vec<(SocketAddr, String)>, WorldError> {
        let mut kdcs = vec![(addresses::kdc(addresses::controller(self.place)?), self.realm.clone())];
        if let Some(partner) = &self.partner {
            kdcs.push((addresses::kdc(addresses::PARTNER), partner.dns.to_uppercase()));
            if user.is_some_and(|user| partner.has(user)) {
                kdcs.reverse();
            }
        }
        Ok(kdcs)
    }
}

impl Partner {
    fn new(spec: &PartnerSpec, domain: &DomainSpec, controllers: usize) -> Result<Self, WorldError> {
        let PartnerSpec { domain: own, claims } = spec;
        if own.netbios.eq_ignore_ascii_case(&domain.netbios) || own.dns.eq_ignore_ascii_case(&domain.dns) {
            return Err(WorldError::Invalid(format!(
                "the partner `{}` has a name of the site's own domain",
                own.netbios
            )));
        }
        let mut directory = Directory::new(own).with_iterations(ITERATIONS);
        if let Some(netbios) = claims {
            directory = directory.with_claims(netbios);
        }
        let others = (0..controllers).map(addresses::controller).collect::<Result<_, _>>()?;
        let dc = DomainController::new(directory).with_trusted(&domain.netbios, others);
        let (netbios, dns) = (own.netbios.clone(), own.dns.clone());
        let trusted = domain.trusts.iter().any(|trust| trust.netbios.eq_ignore_ascii_case(&netbios));
        Ok(Self { dc: Arc::new(dc), netbios, dns, trusted })
    }

    /// Whether a user says to be of this domain.
    fn has(&self, user: &Principal) -> bool {
        let name = match user.domain() {
            "" => user.user().rsplit_once('@').map_or("", |(_, suffix)| suffix),
            domain => domain,
        };
        name.eq_ignore_ascii_case(&self.netbios) || name.eq_ignore_ascii_case(&self.dns)
    }
}
