//! What `site()` and its parts were given, checked one by one.

use stickler_model::topology::{
    self, AppPool, CertificateSpec, Checking, ControllerSpec, DomainSpec, FileSpec, Http2, IisVersion, KeepAlive,
    LinkSpec, PartnerSpec, ProtectionSpec, Provider, Rogue, ServerSpec, ServiceSpec, SiteSpec, TlsSpec, TrackedCheck,
    UpstreamTls, UserSpec,
};
use stickler_model::{BalancerSpec, Identity, Name, Principal, Topology, standard};

use super::errors::ScriptError;
use super::server::{self, ServerChange, SiteChange};

/// What `site()` was given.
pub(super) struct Site {
    pub(super) backends: u32,
    pub(super) users: Vec<(String, String)>,
    pub(super) forbidden: Vec<String>,
    pub(super) groups: Vec<(String, u16)>,
    pub(super) services: Vec<(String, Vec<String>)>,
    pub(super) delegation: Vec<String>,
    pub(super) lockout: Option<u32>,
    pub(super) link: LinkSpec,
    pub(super) providers: Option<Vec<Provider>>,
    pub(super) version: IisVersion,
    pub(super) settings: SiteSpec,
    pub(super) files: Vec<(String, Vec<String>)>,
    pub(super) acceptor: topology::Acceptor,
    pub(super) servers: Vec<(String, ServerChange)>,
    /// What of the site differs from IIS's defaults, beside authentication.
    pub(super) change: SiteChange,
    pub(super) workgroup: bool,
    /// Accounts that each server has; `None`: in a workgroup those of the directory, else none.
    pub(super) accounts: Option<Vec<(String, String)>>,
    pub(super) front: Option<String>,
    pub(super) tls: Option<TlsSpec>,
    pub(super) controllers: Vec<ControllerSpec>,
    pub(super) partner: Option<Partner>,
    pub(super) broken: Option<String>,
}

/// What `partner()` was given.
#[derive(Debug, Clone)]
pub(super) struct Partner {
    /// The names of its users.
    pub(super) users: Vec<String>,
    pub(super) trust: Trust,
    pub(super) claims: Option<String>,
}

/// A trust between two domains.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust {
    /// Both sides have the same password for it.
    Holds,
    /// They do not.
    Broken,
    /// There is none.
    None,
}

impl Site {
    /// Describes the topology anew.
    pub(super) fn apply(mut self, topology: &mut Topology) -> Result<(), ScriptError> {
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

    fn fill_directory(&mut self, topology: &mut Topology) -> Result<(), ScriptError> {
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
            // A machine's account is there when it is joined; a service's comes with its names.
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
            Some(name) => Err(ScriptError::Unknown {
                kind: "service",
                given: name.clone(),
                known: services.iter().map(|service| service.account.clone()).collect(),
            }),
        }
    }
}

impl Partner {
    /// The domain `PARTNER`, `partner.example`, with what there is of a trust on both sides.
    fn spec(self, domain: &mut DomainSpec) -> Result<PartnerSpec, ScriptError> {
        self.users.iter().try_for_each(|name| check_name(name))?;
        let own = DomainSpec {
            netbios: "PARTNER".into(),
            dns: "partner.example".into(),
            users: self.users.into_iter().map(standard::account).collect(),
            ..DomainSpec::default()
        };
        let mut spec = PartnerSpec::trusted(domain, own, "Trust-Pa55word");
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

fn local((name, password): &(String, String)) -> Result<UserSpec, ScriptError> {
    check_name(name)?;
    Ok(UserSpec::new(name, password))
}

/// Credentials for `alice`, `CORP\alice` or a name that the directory lacks, with a password. Where no server is in a domain,
/// alice is `.\alice`: an account of whichever server is asked.
pub(super) fn identity(topology: &Topology, user: &str, password: Option<String>) -> Result<Identity, ScriptError> {
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
        None if joined => Err(ScriptError::NoSuchUser { user: user.to_owned(), known: names(&domain.users) }),
        None => {
            let known = topology.servers.first().map(|server| names(&server.accounts)).unwrap_or_default();
            Err(ScriptError::NoSuchUser { user: user.to_owned(), known })
        }
    }
}

/// Adds an account with a password like everybody's: to the domain, and to the servers that are in none.
pub(super) fn add_account(topology: &mut Topology, name: &Name) {
    let account = standard::account(name.to_string());
    for server in topology.servers.iter_mut().filter(|server| server.workgroup) {
        server.accounts.push(account.clone());
    }
    topology.domain.users.push(account);
}

/// The password of a server's own account: of the server that the user names, or else of the first that has it.
fn local_password(topology: &Topology, user: &Principal) -> Option<String> {
    let named = |server: &&ServerSpec| server.machine().eq_ignore_ascii_case(user.domain());
    let servers = topology.servers.iter().filter(named).chain(&topology.servers);
    let mut accounts = servers.flat_map(|server| &server.accounts);
    accounts.find(|account| account.name.eq_ignore_ascii_case(user.user())).map(|account| account.password.clone())
}

/// The flags of extended protection.
pub(super) fn flags(given: &[String]) -> Result<u32, ScriptError> {
    given.iter().try_fold(0, |flags, name| Ok(flags | one_of("flag of extended protection", name, &FLAGS)?))
}

/// The pool's identity: `machine`, or an account.
pub(super) fn pool(name: &str) -> AppPool {
    if name == "machine" { AppPool::Machine } else { AppPool::Service(name.to_owned()) }
}

pub(super) fn check_name(name: &str) -> Result<(), ScriptError> {
    if Name::is_plain(name) { Ok(()) } else { Err(ScriptError::BadName(name.chars().take(40).collect())) }
}

fn member(netbios: &str, user: &str) -> Principal {
    Principal::parse(user).unwrap_or_else(|| Principal::new(netbios, user))
}

fn known_user(users: &mut [UserSpec], name: String) -> Result<&mut UserSpec, ScriptError> {
    let known = names(users);
    let user = users.iter_mut().find(|user| user.name.eq_ignore_ascii_case(&name));
    user.ok_or(ScriptError::Unknown { kind: "user", given: name, known })
}

fn names(users: &[UserSpec]) -> Vec<String> {
    users.iter().map(|user| user.name.clone()).collect()
}

pub(super) const PROVIDERS: [(&str, Provider); 4] = [
    ("NTLM", Provider::Ntlm),
    ("Negotiate", Provider::Negotiate),
    ("Negotiate:Kerberos", Provider::NegotiateKerberos),
    ("Nego2", Provider::Nego2),
];
pub(super) const VERSIONS: [(&str, IisVersion); 2] = [("iis6", IisVersion::Iis6), ("iis10", IisVersion::Iis10)];
pub(super) const KEEP_ALIVES: [(&str, KeepAlive); 4] = [
    ("always", KeepAlive::Always),
    ("never", KeepAlive::Never),
    ("closed-by-failure", KeepAlive::ClosedByFailure),
    ("closed-by-challenge", KeepAlive::ClosedByChallenge),
];
pub(super) const CERTIFICATES: [(&str, CertificateSpec); 5] = [
    ("as-site", CertificateSpec::AsSite),
    ("own", CertificateSpec::Own),
    ("same", CertificateSpec::Same),
    ("expired", CertificateSpec::Expired),
    ("other-name", CertificateSpec::OtherName),
];
pub(super) const CHECKINGS: [(&str, Checking); 3] =
    [("none", Checking::None), ("allow", Checking::Allow), ("require", Checking::Require)];
const FLAGS: [(&str, u32); 4] = [
    ("Proxy", ProtectionSpec::PROXY),
    ("NoServiceNameCheck", ProtectionSpec::NO_SERVICE_NAME_CHECK),
    ("AllowDotlessSpn", ProtectionSpec::ALLOW_DOTLESS_SPN),
    ("ProxyCohosting", ProtectionSpec::PROXY_COHOSTING),
];
pub(super) const UPSTREAMS: [(&str, UpstreamTls); 3] =
    [("own", UpstreamTls::Own), ("same", UpstreamTls::Same), ("plain", UpstreamTls::Plain)];
pub(super) const HTTP2: [(&str, Http2); 3] =
    [("never", Http2::Never), ("until-challenged", Http2::UntilChallenged), ("always", Http2::Always)];
pub(super) const TRUSTS: [(&str, Trust); 3] =
    [("holds", Trust::Holds), ("broken", Trust::Broken), ("none", Trust::None)];
pub(super) const CHECKS: [(&str, TrackedCheck); 3] =
    [("nothing", TrackedCheck::Nothing), ("address", TrackedCheck::ClientAddress), ("token", TrackedCheck::Token)];
pub(super) const ROGUES: [(&str, Rogue); 7] = [
    ("garbage", Rogue::Garbage),
    ("half-head", Rogue::HalfHead),
    ("half-body", Rogue::HalfBody),
    ("wrong-length", Rogue::WrongLength),
    ("header-flood", Rogue::HeaderFlood),
    ("silent", Rogue::Silent),
    ("closes", Rogue::Closes),
];

/// What a name stands for.
pub(super) fn one_of<T: Copy>(kind: &'static str, given: &str, known: &[(&str, T)]) -> Result<T, ScriptError> {
    let found = known.iter().find(|(name, _)| *name == given).map(|&(_, value)| value);
    found.ok_or_else(|| ScriptError::Unknown {
        kind,
        given: given.into(),
        known: known.iter().map(|&(name, _)| name.to_owned()).collect(),
    })
}
