//! The accounts that every scenario finds: the domain `CORP`, `corp.example`.

use stickler_model::topology::{Acceptor, DomainSpec, IisVersion, Provider, ServerSpec, SiteSpec, UserSpec};
use stickler_model::{Identity, Name, Principal, Topology};

/// Most backends that a site may have.
pub const MAX_BACKENDS: u32 = 64;

/// People with an account of their own name.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// The user whom the application refuses after a good logon (401.3).
pub const FORBIDDEN: &str = "trudy";

/// The account of the balancer's health checks: it may log on, and has no permission.
pub const MONITOR: &str = "monitor";

/// The domain with its accounts: `alice` to `frank`, `trudy` and `monitor` (forbidden), and `user01` to `user20`. A user's password is the name, capitalised, and `-Pa55word`. Nobody is ever locked out.
pub fn standard() -> DomainSpec {
    let numbered = (1..=20).map(|number| format!("user{number:02}"));
    let names = PEOPLE.into_iter().chain([FORBIDDEN, MONITOR]).map(str::to_owned).chain(numbered);
    DomainSpec {
        netbios: "CORP".into(),
        dns: "corp.example".into(),
        users: names.map(account).collect(),
        lockout_threshold: None,
        ..DomainSpec::default()
    }
}

/// The standard domain, and `backends` servers `iis1`, `iis2` ... with the provider NTLM, behind
/// the balancer of that name.
pub fn site(backends: u32) -> Topology {
    let domain = standard();
    let password = domain.users.iter().find(|user| user.name == MONITOR).map(|user| user.password.clone());
    let monitor = password.map(|password| Identity { principal: Principal::new(&domain.netbios, MONITOR), password });
    Topology { domain, monitor, servers: servers(backends), ..Topology::default() }
}

/// Servers `iis1`, `iis2` ...
pub(crate) fn servers(count: u32) -> Vec<ServerSpec> {
    let server = |number| ServerSpec {
        name: Name::from(format!("iis{number}")),
        providers: vec![Provider::Ntlm],
        version: IisVersion::default(),
        acceptor: Acceptor::default(),
        site: SiteSpec::default(),
    };
    (1..=count).map(server).collect()
}

/// An account with the password of its name.
pub(crate) fn account(name: String) -> UserSpec {
    let mut letters = name.chars();
    let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
    let password = capital.into_iter().chain(letters).chain("-Pa55word".chars()).collect();
    UserSpec { forbidden: [FORBIDDEN, MONITOR].contains(&&*name), name, password }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_has_the_people_that_it_promises() {
        let users = standard().users;
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
}
