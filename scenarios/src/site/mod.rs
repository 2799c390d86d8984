//! The site as a script describes it: the arguments of `site()` and its parts, and the topology that follows from them.
//!
//! * this module: the site, its domains, and the identities of its users.
//! * `server.rs`: the settings in which one server differs.
//! * `names.rs`: the names of values in scripts.
//! * `inverse.rs`: the description of a given topology.
//! * `error.rs`: mistakes in names.

mod error;
mod inverse;
pub(crate) mod names;
pub(crate) mod server;

use stickler_model::topology::{
    self, AppPool, ControllerSpec, DomainSpec, FileSpec, IisVersion, LinkSpec, PartnerSpec, Provider, ServerSpec,
    ServiceSpec, SiteSpec, TlsSpec, UserSpec,
};
use stickler_model::{BalancerSpec, Identity, Name, Principal, Topology, escape, standard};

pub(crate) use error::{SiteError, Unknown};
pub(crate) use server::{ServerChange, SiteChange};

/// The default password of a trust.
pub(crate) const TRUST_PASSWORD: &str = "Trust-Pa55word";

/// The maximum length of the reason for `site(broken=)`, in characters.
pub(crate) const MAX_REASON: usize = 200;

/// The arguments of `site()`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Site {
    pub(crate) backends: u32,
    pub(crate) users: Vec<(String, String)>,
    pub(crate) forbidden: Vec<String>,
    pub(crate) groups: Vec<(String, u16)>,
    pub(crate) services: Vec<(String, Vec<String>)>,
    pub(crate) delegation: Vec<String>,
    pub(crate) lockout: Option<u32>,
    pub(crate) link: LinkSpec,
    pub(crate) providers: Option<Vec<Provider>>,
    pub(crate) version: IisVersion,
    pub(crate) settings: SiteSpec,
    pub(crate) files: Vec<(String, Vec<String>)>,
    pub(crate) acceptor: topology::Acceptor,
    pub(crate) servers: Vec<(String, ServerChange)>,
    /// The settings of the site, apart from authentication, that differ from IIS's defaults.
    pub(crate) change: SiteChange,
    pub(crate) workgroup: bool,
    /// The local accounts that each server has. If the script does not list any (`None`), the servers of a workgroup have
    /// the accounts of the directory, and the servers of a domain have no local accounts.
    pub(crate) accounts: Option<Vec<(String, String)>>,
    pub(crate) front: Option<String>,
    pub(crate) tls: Option<TlsSpec>,
    pub(crate) controllers: Vec<ControllerSpec>,
    pub(crate) partner: Option<Partner>,
    pub(crate) broken: Option<String>,
}

/// The arguments of `partner()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partner {
    /// The names of the domain's users.
    pub(crate) users: Vec<String>,
    pub(crate) trust: Trust,
    /// The password of the trust. If the trust is broken, only this side has it.
    pub(crate) password: String,
    pub(crate) claims: Option<String>,
}

/// A trust between two domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Both sides have the same password for the trust.
    Holds,
    /// The two sides have different passwords for the trust.
    Broken,
    /// There is no trust between the domains.
    None,
}

impl Site {
    /// Returns the topology of a script with this description of its site.
    pub(crate) fn topology(self) -> Result<Topology, SiteError> {
        let mut topology = standard::site(2);
        self.apply(&mut topology)?;
        Ok(topology)
    }

    /// Changes a topology to this description.
    pub(crate) fn apply(mut self, topology: &mut Topology) -> Result<(), SiteError> {
        self.fill_directory(topology)?;
        let netbios = topology.domain.netbios.clone();
        self.settings.files = std::mem::take(&mut self.files)
            .into_iter()
            .map(|(name, readers)| FileSpec {
                name,
                readers: readers.iter().map(|name| member(&netbios, name)).collect(),
            })
            .collect();
        topology.domain.lockout_threshold = self.lockout;
        topology.link = self.link;
        topology.tls = self.tls;
        topology.broken = self.broken.take();
        topology.servers = standard::servers(self.backends);
        for server in &mut topology.servers {
            server.version = self.version;
            server.providers = self.providers.clone().unwrap_or_else(|| server.providers.clone());
            server.acceptor = self.acceptor.clone();
            server.site = self.settings.clone();
            self.change.apply(&mut server.site)?;
            server.workgroup = self.workgroup;
            server.accounts = match &self.accounts {
                None if self.workgroup => topology.domain.users.clone(),
                None => Vec::new(),
                Some(accounts) => accounts.iter().map(local).collect::<Result<_, _>>()?,
            };
        }
        for (name, change) in &self.servers {
            change.apply(server::find(&mut topology.servers, name)?, topology.tls.is_some())?;
        }
        topology.front = self.front.as_deref().map(BalancerSpec::named);
        topology.controllers = self.controllers;
        topology.partner = match self.partner {
            Some(partner) => Some(partner.spec(&mut topology.domain)?),
            None => None,
        };
        Ok(())
    }

    fn fill_directory(&mut self, topology: &mut Topology) -> Result<(), SiteError> {
        let users = &mut topology.domain.users;
        for (name, password) in std::mem::take(&mut self.users) {
            check_name(&name)?;
            match users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(&name)) {
                Some(user) => user.password = password,
                None => users.push(UserSpec::new(name, password)),
            }
        }
        for name in std::mem::take(&mut self.forbidden) {
            known_user(users, name)?.forbidden = true;
        }
        for (name, groups) in std::mem::take(&mut self.groups) {
            known_user(users, name)?.groups = groups;
        }
        for (account, spns) in std::mem::take(&mut self.services) {
            // The account of a machine exists when the machine has joined the domain; that of a service is added with
            // its names.
            let (machine, known) = (account.ends_with('$'), users.iter().any(|user| user.name == account));
            check_name(account.trim_end_matches('$'))?;
            if !machine && !known {
                users.push(standard::account(account.clone()));
            }
            let trusted_for_delegation = self.delegation.contains(&account);
            topology.domain.services.push(ServiceSpec { account, spns, trusted_for_delegation });
        }
        let services = &topology.domain.services;
        match self.delegation.iter().find(|name| services.iter().all(|service| service.account != **name)) {
            None => Ok(()),
            Some(name) => Err(SiteError::Unknown(Unknown {
                kind: "service",
                given: name.clone(),
                known: services.iter().map(|service| service.account.clone()).collect(),
            })),
        }
    }
}

impl Partner {
    /// Returns the domain `PARTNER`, `partner.example`, and sets the trust up on both sides.
    fn spec(self, domain: &mut DomainSpec) -> Result<PartnerSpec, SiteError> {
        self.users.iter().try_for_each(|name| check_name(name))?;
        let own = DomainSpec {
            netbios: "PARTNER".into(),
            dns: "partner.example".into(),
            users: self.users.into_iter().map(standard::account).collect(),
            ..DomainSpec::default()
        };
        let mut spec = PartnerSpec::trusted(domain, own, &self.password);
        match self.trust {
            Trust::Holds => {}
            Trust::Broken => {
                spec.domain.trusts.iter_mut().for_each(|trust| trust.password = "Another-Pa55word".into());
            }
            Trust::None => {
                spec.domain.trusts.clear();
                domain.trusts.clear();
            }
        }
        spec.claims = self.claims;
        Ok(spec)
    }
}

fn local((name, password): &(String, String)) -> Result<UserSpec, SiteError> {
    check_name(name)?;
    Ok(UserSpec::new(name, password))
}

/// Returns the credentials of `alice`, of `CORP\alice` or of a name that the directory lacks, with a password. If no
/// server is in a domain, alice is `.\alice`: an account of whichever server receives the request.
pub(crate) fn identity(topology: &Topology, user: &str, password: Option<String>) -> Result<Identity, SiteError> {
    let joined = topology.servers.iter().any(|server| !server.workgroup);
    let principal = member(if joined { &topology.domain.netbios } else { "." }, user);
    let domain = match &topology.partner {
        Some(partner) if principal.domain().eq_ignore_ascii_case(&partner.domain.netbios) => &partner.domain,
        _ => &topology.domain,
    };
    let of_domain = principal.domain().eq_ignore_ascii_case(&domain.netbios);
    let account = domain.users.iter().find(|account| of_domain && account.name.eq_ignore_ascii_case(principal.user()));
    let known = || match account {
        Some(account) => Some(account.password.clone()),
        None => local_password(topology, &principal),
    };
    match password.or_else(known) {
        Some(password) => Ok(Identity { principal, password }),
        None if joined => Err(SiteError::NoSuchUser { user: user.to_owned(), known: names(&domain.users) }),
        None => {
            let known = topology.servers.first().map(|server| names(&server.accounts)).unwrap_or_default();
            Err(SiteError::NoSuchUser { user: user.to_owned(), known })
        }
    }
}

/// Returns the password of a server's own account: of the server that the user names, or else of the first server that
/// has the account.
fn local_password(topology: &Topology, user: &Principal) -> Option<String> {
    let named = |server: &&ServerSpec| server.machine().eq_ignore_ascii_case(user.domain());
    let servers = topology.servers.iter().filter(named).chain(&topology.servers);
    let mut accounts = servers.flat_map(|server| &server.accounts);
    accounts.find(|account| account.name.eq_ignore_ascii_case(user.user())).map(|account| account.password.clone())
}

/// Returns whether a script can give this text as the reason why a site is broken: a single line that fits a report.
pub(crate) fn is_reason(text: &str) -> bool {
    (1..=MAX_REASON).contains(&text.chars().count()) && escape::line(text) == text && !text.trim().is_empty()
}

/// Returns the identity of an application pool: `machine`, or an account.
pub(crate) fn pool(name: &str) -> AppPool {
    if name == "machine" { AppPool::Machine } else { AppPool::Service(name.to_owned()) }
}

pub(crate) fn check_name(name: &str) -> Result<(), SiteError> {
    if Name::is_plain(name) { Ok(()) } else { Err(SiteError::BadName(name.chars().take(40).collect())) }
}

fn member(netbios: &str, user: &str) -> Principal {
    Principal::parse(user).unwrap_or_else(|| Principal::new(netbios, user))
}

fn known_user(users: &mut [UserSpec], name: String) -> Result<&mut UserSpec, SiteError> {
    let known = names(users);
    let user = users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(&name));
    user.ok_or(SiteError::Unknown(Unknown { kind: "user", given: name, known }))
}

fn names(users: &[UserSpec]) -> Vec<String> {
    users.iter().map(|user| user.name.clone()).collect()
}
