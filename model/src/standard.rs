//! The standard site, which scenarios, tests and benchmarks use unless they say otherwise. Its domain is `CORP`,
//! `corp.example`.

use crate::topology::{
    Acceptor, AppPool, CertificateSpec, DomainSpec, IisVersion, Provider, ServerSpec, ServiceSpec, SiteSpec, UserSpec,
};
use crate::{Identity, Name, Principal, Topology};

/// The NetBIOS name of the domain.
pub const NETBIOS: &str = "CORP";

/// The DNS name of the domain.
pub const DNS: &str = "corp.example";

/// The maximum number of backends of a site.
pub const MAX_BACKENDS: u32 = 64;

/// The users of the domain, each with an account of the same name.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// The user whom the application refuses after a successful logon (401.3).
pub const FORBIDDEN: &str = "trudy";

/// The account of the balancer's health checks, which may log on and has no permission.
pub const MONITOR: &str = "monitor";

/// The account that application pools run as, on a site that accepts Kerberos.
const SERVICE: &str = "svc-web";

/// The service principal name of the site.
const SPN: &str = "HTTP/www.corp.example";

/// Returns the domain with its accounts: `alice` to `frank`, `trudy` and `monitor` (forbidden), and `user01` to
/// `user20`. Each has the [`password`] that belongs to its name. Accounts are never locked out.
pub fn domain() -> DomainSpec {
    let names = PEOPLE.into_iter().chain([FORBIDDEN, MONITOR]).map(str::to_owned).chain((1..=20).map(numbered));
    DomainSpec {
        netbios: NETBIOS.into(),
        dns: DNS.into(),
        users: names.map(account).collect(),
        lockout_threshold: None,
        ..DomainSpec::default()
    }
}

/// Returns the name of one of many similar users: `user01`, `user02` and so on. The domain has accounts for the first
/// twenty.
pub fn numbered(number: u32) -> String {
    format!("user{number:02}")
}

/// Returns a site with the standard domain and `backends` servers `iis1`, `iis2` and so on, all with the provider NTLM.
pub fn site(backends: u32) -> Topology {
    let monitor = Some(identity(MONITOR));
    Topology { domain: domain(), monitor, servers: servers(backends), ..Topology::default() }
}

/// Returns the servers `iis1`, `iis2` and so on.
pub fn servers(count: u32) -> Vec<ServerSpec> {
    (1..=count).map(|number| server(Name::from(format!("iis{number}")))).collect()
}

/// Returns a server with IIS 10, the provider NTLM, and default settings.
pub fn server(name: Name) -> ServerSpec {
    ServerSpec {
        name,
        providers: vec![Provider::Ntlm],
        version: IisVersion::default(),
        acceptor: Acceptor::default(),
        site: SiteSpec::default(),
        certificate: CertificateSpec::default(),
        clock_skew: 0,
        workgroup: false,
        accounts: Vec::new(),
    }
}

/// Sets up a site so that its servers accept tickets under these providers: their application pools run as the account
/// `svc-web`, which the whole farm shares, and authenticate outside kernel mode.
pub fn accept_tickets(topology: &mut Topology, providers: &[Provider]) {
    topology.domain.users.push(account(SERVICE.to_owned()));
    topology.domain.services.push(ServiceSpec {
        account: SERVICE.to_owned(),
        spns: vec![SPN.to_owned()],
        trusted_for_delegation: false,
    });
    for server in &mut topology.servers {
        server.providers = providers.to_vec();
        server.site.pool = AppPool::Service(SERVICE.to_owned());
        server.site.kernel_mode = false;
    }
}

/// Returns an account with the [`password`] that belongs to its name.
pub fn account(name: String) -> UserSpec {
    let forbidden = [FORBIDDEN, MONITOR].contains(&&*name);
    let password = password(&name);
    UserSpec { forbidden, ..UserSpec::new(name, password) }
}

/// Returns the password of a user with this name: the name, capitalised, followed by `-Pa55word`.
pub fn password(name: &str) -> String {
    let mut letters = name.chars();
    let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
    capital.into_iter().chain(letters).chain("-Pa55word".chars()).collect()
}

/// Returns the identity of a user of the domain, with the right password.
pub fn identity(user: &str) -> Identity {
    Identity { principal: Principal::new(NETBIOS, user), password: password(user) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_has_the_people_that_it_promises() {
        let users = domain().users;
        assert_eq!((users.len(), &*users[0].name, &*users[0].password), (28, "alice", "Alice-Pa55word"));
        assert_eq!(
            users.iter().filter(|user| user.forbidden).map(|user| &*user.name).collect::<Vec<_>>(),
            ["trudy", "monitor"]
        );
        assert_eq!(users[27].name, "user20");
    }

    #[test]
    fn a_site_numbers_its_backends_from_one() {
        let names: Vec<_> = site(2).servers.into_iter().map(|server| server.name).collect();
        assert_eq!(names, [Name::from("iis1"), Name::from("iis2")]);
    }

    #[test]
    fn an_identity_is_that_of_the_account() {
        let users = domain().users;
        let alice = identity("alice");
        assert_eq!(alice.password, users[0].password);
        assert_eq!(alice.principal.as_str(), "CORP\\alice");
        assert_eq!(site(1).monitor, Some(identity(MONITOR)));
    }
}
