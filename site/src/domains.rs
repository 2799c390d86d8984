//! The domain controllers: those of the site's domain, and that of its partner.

use std::net::SocketAddr;
use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::keys::{Keytab, KeytabEntry};
use stickler_mock_dc::{Directory, DomainController};
use stickler_mock_iis::Accounts;
use stickler_model::topology::{ControllerSpec, DomainSpec, PartnerSpec};
use stickler_model::{Clock, Identity, Name, Principal, Topology};

use crate::{Settings, SiteError};

/// The name of the partner's DC.
pub(crate) const PARTNER: &str = "dc-partner";

/// The domains, and the DCs that serve them.
pub struct Domains {
    /// The DCs of the site's domain, in the order in which servers ask them.
    controllers: Vec<Controller>,
    /// The index of the PDC emulator among them, which has the current accounts.
    pdc: usize,
    realm: String,
    partner: Option<Partner>,
    seed: u64,
}

/// A DC, and the addresses on which it listens.
struct Controller {
    name: Name,
    address: DcAddress,
    dc: Arc<DomainController>,
}

/// The addresses on which a DC listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DcAddress {
    /// The address of its logon service.
    pub logons: SocketAddr,
    /// The address of its Kerberos service.
    pub tickets: SocketAddr,
}

/// A second domain.
struct Partner {
    controller: Controller,
    netbios: String,
    dns: String,
    /// Whether the site's domain trusts it, with any secret.
    trusted: bool,
}

/// Returns the DCs of a topology's own domain. If the topology does not list any, there is one, `dc`.
pub(crate) fn controllers(topology: &Topology) -> Vec<ControllerSpec> {
    if topology.controllers.is_empty() {
        vec![ControllerSpec::new(Name::from("dc"))]
    } else {
        topology.controllers.clone()
    }
}

impl Domains {
    /// Builds the domains of a topology, whose DCs will listen on these addresses: those of [`controllers`], and that
    /// of the partner if there is one. Nothing is started.
    pub(crate) fn new<E>(
        topology: &Topology,
        settings: &Settings,
        addresses: &[DcAddress],
        partner: Option<DcAddress>,
    ) -> Result<Self, SiteError<E>> {
        let specs = controllers(topology);
        let pdc = specs.iter().position(|spec| !spec.is_stale()).ok_or(SiteError::EveryControllerStale)?;
        let partner = topology.partner.as_ref().zip(partner);
        let own = OwnDomain { domain: &topology.domain, settings, partner };
        let truth = own.pdc(&specs[pdc]);
        let replicas: Vec<_> = (specs.iter().enumerate())
            .map(|(index, spec)| (index != pdc).then(|| own.replica(&truth, spec, addresses[pdc])))
            .collect();
        let truth = Arc::new(truth);
        let controllers = (specs.into_iter().zip(addresses).zip(replicas))
            .map(|((spec, &address), replica)| {
                let dc = replica.map_or_else(|| Arc::clone(&truth), Arc::new);
                Controller { name: spec.name, address, dc }
            })
            .collect();
        let logons = addresses.iter().map(|address| address.logons).collect();
        let partner = partner.map(|(spec, address)| Partner::new(spec, &own, logons, address)).transpose()?;
        let realm = topology.domain.dns.to_uppercase();
        Ok(Self { controllers, pdc, realm, partner, seed: settings.seed })
    }

    /// Returns every DC with its name: those of the site's domain in order, followed by the partner's.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Name, Arc<DomainController>)> {
        let partner = self.partner.iter().map(|partner| &partner.controller);
        (self.controllers.iter().chain(partner)).map(|controller| (controller.name.clone(), Arc::clone(&controller.dc)))
    }

    /// Returns the PDC emulator of the site's domain, which has all current accounts.
    pub fn pdc(&self) -> &Arc<DomainController> {
        &self.controllers[self.pdc].dc
    }

    /// Returns a key table with the keys of all accounts of both domains, as a file.
    pub fn keytab(&self) -> Vec<u8> {
        let partner = self.partner.iter().map(|partner| &partner.controller.dc);
        let dcs = self.controllers.iter().map(|controller| &controller.dc).chain(partner);
        let mut entries: Vec<KeytabEntry> = Vec::new();
        for entry in dcs.flat_map(|dc| dc.directory().keytab_of_all().entries) {
            // The DCs of a domain have the same accounts, unless one is out of date.
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Keytab { entries }.encode()
    }

    /// Returns the addresses on which the PDC emulator listens.
    pub fn pdc_address(&self) -> DcAddress {
        self.controllers[self.pdc].address
    }

    /// Joins a machine to the site's domain.
    pub(crate) fn join(&self, name: &Name) -> Accounts {
        let addresses = self.controllers.iter().map(|controller| controller.address.logons).collect();
        Accounts::domain(addresses, &self.pdc().enroll(name, self.seed))
    }

    /// Returns whether the site's domain, or one that it trusts, would let this identity log on now.
    pub fn would_accept(&self, identity: &Identity, clock: &dyn Clock) -> bool {
        let now = FileTime(clock.filetime());
        match &self.partner {
            Some(partner) if partner.has(&identity.principal) => {
                partner.trusted && partner.controller.dc.directory().would_accept(identity, now)
            }
            _ => self.pdc().directory().would_accept(identity, now),
        }
    }

    /// Returns the KDCs that a client of this user knows, with their realms. The realm of the user's own domain comes
    /// first.
    pub fn kdcs(&self, user: Option<&Principal>) -> Vec<(SocketAddr, String)> {
        let mut kdcs = vec![(self.pdc_address().tickets, self.realm.clone())];
        if let Some(partner) = &self.partner {
            kdcs.push((partner.controller.address.tickets, partner.dns.to_uppercase()));
            if user.is_some_and(|user| partner.has(user)) {
                kdcs.reverse();
            }
        }
        kdcs
    }
}

/// The data from which the DCs of the site's own domain are created.
struct OwnDomain<'a> {
    domain: &'a DomainSpec,
    settings: &'a Settings,
    partner: Option<(&'a PartnerSpec, DcAddress)>,
}

impl OwnDomain<'_> {
    fn pdc(&self, spec: &ControllerSpec) -> DomainController {
        let controller = DomainController::new(self.settings.directory(Directory::new(self.domain)));
        let controller = match self.partner {
            Some((partner, address)) => controller.with_trusted(&partner.domain.netbios, vec![address.logons]),
            None => controller,
        };
        ruled(controller, spec)
    }

    fn replica(&self, pdc: &DomainController, spec: &ControllerSpec, address: DcAddress) -> DomainController {
        let controller = ruled(pdc.replica(&spec.name, self.settings.seed, address.logons), spec);
        if !spec.is_stale() {
            return controller;
        }
        controller.with_directory(self.settings.directory(Directory::replica(self.domain, spec)))
    }
}

/// Applies a DC's own settings to it.
fn ruled(controller: DomainController, spec: &ControllerSpec) -> DomainController {
    controller
        .with_delay(spec.slow.unwrap_or_default())
        .with_max_concurrent_api(spec.max_concurrent_api())
        .with_requires_checksum(spec.requires_checksum)
}

impl Partner {
    /// Returns the partner, whose DC asks the site's DCs at `logons`.
    fn new<E>(
        spec: &PartnerSpec,
        site: &OwnDomain<'_>,
        logons: Vec<SocketAddr>,
        address: DcAddress,
    ) -> Result<Self, SiteError<E>> {
        let PartnerSpec { domain: own, claims } = spec;
        let domain = site.domain;
        if own.netbios.eq_ignore_ascii_case(&domain.netbios) || own.dns.eq_ignore_ascii_case(&domain.dns) {
            return Err(SiteError::PartnerName(own.netbios.clone()));
        }
        let mut directory = site.settings.directory(Directory::new(own));
        if let Some(netbios) = claims {
            directory = directory.with_claims(netbios);
        }
        let dc = DomainController::new(directory).with_trusted(&domain.netbios, logons);
        let controller = Controller { name: Name::from(PARTNER), address, dc: Arc::new(dc) };
        let (netbios, dns) = (own.netbios.clone(), own.dns.clone());
        let trusted = domain.trusts.iter().any(|trust| trust.netbios.eq_ignore_ascii_case(&netbios));
        Ok(Self { controller, netbios, dns, trusted })
    }

    /// Returns whether a user claims to belong to this domain.
    fn has(&self, user: &Principal) -> bool {
        let name = match user.domain() {
            "" => user.user().rsplit_once('@').map_or("", |(_, suffix)| suffix),
            domain => domain,
        };
        name.eq_ignore_ascii_case(&self.netbios) || name.eq_ignore_ascii_case(&self.dns)
    }
}
