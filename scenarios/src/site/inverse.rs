//! The shortest description by which a script gets a certain topology.

use stickler_model::topology::{
    Acceptor, DomainSpec, FileSpec, PartnerSpec, Provider, ServerSpec, SiteSpec, TrustSpec, UserSpec,
};
use stickler_model::{Principal, Topology, standard};

use super::{Partner, ServerChange, Site, SiteChange, TRUST_PASSWORD, Trust};

impl Site {
    /// Returns the description of this site in a script; `None` if scripts cannot describe it.
    pub(crate) fn of(topology: &Topology) -> Option<Self> {
        let domain = &topology.domain;
        let workgroup = shared(topology, |server| server.workgroup)?;
        let accounts = shared(topology, |server| server.accounts.clone())?;
        let default = if workgroup { &domain.users[..] } else { &[] };
        let services = || domain.services.iter();
        let described = Self {
            backends: u32::try_from(topology.servers.len()).ok()?,
            users: users(domain),
            forbidden: forbidden(domain),
            groups: groups(domain),
            services: services().map(|service| (service.account.clone(), service.spns.clone())).collect(),
            delegation: services()
                .filter(|service| service.trusted_for_delegation)
                .map(|service| service.account.clone())
                .collect(),
            lockout: domain.lockout_threshold,
            link: topology.link,
            providers: shared(topology, |server| server.providers.clone()).filter(|these| *these != [Provider::Ntlm]),
            version: shared(topology, |server| server.version)?,
            settings: shared(topology, |server| authentication(&server.site))?,
            files: topology.servers.first()?.site.files.iter().map(|file| readers(domain, file)).collect(),
            acceptor: acceptor(topology)?,
            servers: Vec::new(),
            change: shared(topology, |server| SiteChange::between(&SiteSpec::default(), &server.site))?,
            workgroup,
            accounts: (accounts != default).then(|| accounts.iter().map(name_and_password).collect()),
            front: topology.front.as_ref().map(ToString::to_string),
            tls: topology.tls,
            controllers: topology.controllers.clone(),
            partner: topology.partner.as_ref().map(|partner| self::partner(domain, partner)),
            broken: topology.broken.clone(),
        };
        described.with_servers(topology).filter(|site| site.clone().topology().as_ref() == Ok(topology))
    }

    /// Adds the settings in which single servers differ.
    fn with_servers(self, topology: &Topology) -> Option<Self> {
        let alike = self.clone().topology().ok()?;
        let changes = alike.servers.iter().zip(&topology.servers).filter_map(|(alike, server)| {
            let change = ServerChange::between(alike, server);
            (change != ServerChange::default()).then(|| (server.name.to_string(), change))
        });
        Some(Self { servers: changes.collect(), ..self })
    }
}

impl ServerChange {
    /// Returns the changes that turn one server into the other, as far as a script can express them.
    pub(crate) fn between(from: &ServerSpec, to: &ServerSpec) -> Self {
        Self {
            acceptor: differs(&from.acceptor, &to.acceptor),
            authentication: differs(&authentication(&from.site), &authentication(&to.site)),
            site: SiteChange::between(&from.site, &to.site),
            providers: differs(&from.providers, &to.providers),
            version: differs(&from.version, &to.version),
            certificate: differs(&from.certificate, &to.certificate),
            clock_skew: differs(&from.clock_skew, &to.clock_skew),
            workgroup: differs(&from.workgroup, &to.workgroup),
            accounts: accounts(&from.accounts, &to.accounts),
        }
    }
}

impl SiteChange {
    fn between(from: &SiteSpec, to: &SiteSpec) -> Self {
        let (before, after) = (&from.anonymous, &to.anonymous);
        Self {
            connection_timeout: differs(&from.connection_timeout, &to.connection_timeout),
            max_field_length: differs(&from.max_field_length, &to.max_field_length),
            max_request_bytes: differs(&from.max_request_bytes, &to.max_request_bytes),
            anonymous: differs(&before.paths, &after.paths),
            anonymous_methods: differs(&before.methods, &after.methods),
            anonymous_windows_too: differs(&before.windows_too, &after.windows_too),
        }
    }
}

/// Returns the settings that `windows_authentication()` has.
fn authentication(site: &SiteSpec) -> SiteSpec {
    let SiteSpec { connection_timeout, max_field_length, max_request_bytes, anonymous, files, .. } =
        SiteSpec::default();
    SiteSpec { connection_timeout, max_field_length, max_request_bytes, anonymous, files, ..site.clone() }
}

/// Returns the kind of server that all servers have in common. A script cannot say that a single server is IIS after
/// all.
fn acceptor(topology: &Topology) -> Option<Acceptor> {
    let one_is_iis = topology.servers.iter().any(|server| server.acceptor.is_connection());
    if one_is_iis { Some(Acceptor::Connection) } else { shared(topology, |server| server.acceptor.clone()) }
}

/// Returns a file, and the users who may read it. Users of the domain are named without it.
fn readers(domain: &DomainSpec, file: &FileSpec) -> (String, Vec<String>) {
    let name = |reader: &Principal| {
        let is_own = reader.domain() == domain.netbios && !reader.user().contains('\\');
        if is_own { reader.user() } else { reader.as_str() }.to_owned()
    };
    (file.name.clone(), file.readers.iter().map(name).collect())
}

/// Returns the users that a site has in addition to the standard ones, and those with another password.
fn users(domain: &DomainSpec) -> Vec<(String, String)> {
    let usual = standard::domain().users;
    let mistyped = domain.users.iter().zip(&usual).filter(|(user, usual)| user.password != usual.password);
    let mut added = domain.users.get(usual.len()..).unwrap_or_default();
    // The accounts of services are added together with the services.
    let mut implied: Vec<UserSpec> = Vec::new();
    for name in domain.services.iter().map(|service| &service.account).filter(|name| !name.ends_with('$')) {
        if usual.iter().chain(&implied).all(|user| user.name != *name) {
            implied.push(standard::account(name.clone()));
        }
    }
    if added.ends_with(&implied) {
        added = &added[..added.len() - implied.len()];
    }
    mistyped.map(|(user, _)| user).chain(added).map(name_and_password).collect()
}

fn forbidden(domain: &DomainSpec) -> Vec<String> {
    let usual = standard::domain().users;
    let always = |name: &str| usual.iter().any(|user| user.name == name && user.forbidden);
    let forbidden = domain.users.iter().filter(|user| user.forbidden && !always(&user.name));
    forbidden.map(|user| user.name.clone()).collect()
}

fn groups(domain: &DomainSpec) -> Vec<(String, u16)> {
    domain.users.iter().filter(|user| user.groups > 0).map(|user| (user.name.clone(), user.groups)).collect()
}

fn partner(domain: &DomainSpec, partner: &PartnerSpec) -> Partner {
    let password = |trusts: &[TrustSpec]| trusts.first().map(|trust| trust.password.clone());
    let (here, there) = (password(&domain.trusts), password(&partner.domain.trusts));
    let trust = match (&here, &there) {
        (None, _) | (_, None) => Trust::None,
        (Some(here), Some(there)) if here == there => Trust::Holds,
        (Some(_), Some(_)) => Trust::Broken,
    };
    let password = here.unwrap_or_else(|| TRUST_PASSWORD.to_owned());
    let users = partner.domain.users.iter().map(|user| user.name.clone()).collect();
    Partner { users, trust, password, claims: partner.claims.clone() }
}

/// Returns the changes to the accounts of a server that turn one list into the other. An account that is given as a
/// change comes last in the server's list.
fn accounts(from: &[UserSpec], to: &[UserSpec]) -> Vec<(String, Option<String>)> {
    let is_in = |users: &[UserSpec], name: &str| users.iter().any(|user| user.name.eq_ignore_ascii_case(name));
    let gone = from.iter().filter(|user| !is_in(to, &user.name)).map(|user| (user.name.clone(), None));
    let said = |user: &UserSpec| (user.name.clone(), Some(user.password.clone()));
    let kept = from.iter().filter(|user| to.contains(user));
    if kept.eq(to.iter().take_while(|user| from.contains(user))) {
        return gone.chain(to.iter().filter(|user| !from.contains(user)).map(said)).collect();
    }
    gone.chain(to.iter().map(said)).collect()
}

fn name_and_password(user: &UserSpec) -> (String, String) {
    (user.name.clone(), user.password.clone())
}

/// Returns the second value where it differs from the first.
fn differs<T: Clone + PartialEq>(from: &T, to: &T) -> Option<T> {
    (from != to).then(|| to.clone())
}

/// Returns the value that most servers have, or that of the first server if none is more frequent; `None` without
/// servers.
fn shared<T: PartialEq>(topology: &Topology, part: impl Fn(&ServerSpec) -> T) -> Option<T> {
    let mut counted: Vec<(T, usize)> = Vec::new();
    for value in topology.servers.iter().map(part) {
        match counted.iter_mut().find(|(counted, _)| *counted == value) {
            Some((_, count)) => *count += 1,
            None => counted.push((value, 1)),
        }
    }
    let most = counted.iter().map(|(_, count)| *count).max()?;
    counted.into_iter().find(|(_, count)| *count == most).map(|(value, _)| value)
}
