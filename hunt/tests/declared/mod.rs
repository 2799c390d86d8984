//! What each mechanism is declared to violate: by the tables of the shipped scenarios, at sites of the same kind; by what
//! follows from that ([`FOLLOWS`]); by its own rules; and by what only random plans show ([`BESIDES`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stickler_catalogue::mechanism::Kind;
use stickler_catalogue::{mechanisms, names};
use stickler_model::topology::{Acceptor, Checking, KeepAlive, Provider, ServerSpec};
use stickler_model::{BalancerSpec, Topology};
use stickler_oracle::Requirement::{Fo2, Fo4, Fo5, Fo6, Fo7, Hs1, Hs5, Hs7, Hs8, Id1, Id2, Id3, Id5, St2, Tl2};
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, Expected};
use stickler_scenarios::shipped;
use stickler_sim::SimArm;

/// What distinguishes sites that random plans can have. What a scenario shows at one of them says something about each site
/// that has the same and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trait {
    Kerberos,
    KerberosAlone,
    NotPersisted,
    Tls,
    Http2,
}

/// One requirement's violation shows in others as well, depending on who happens to ask: the requirement, the others, why.
const FOLLOWS: [(Requirement, &[Requirement], &str); 2] = [
    (
        Id1,
        &[Hs5, Id2, Id3, Id5, St2, Fo4, Fo5, Tl2],
        "whoever takes an authenticated connection that is another's is served as its user: a user, nobody, somebody with a \
         wrong password, another stream, the next one after the user has left or logged on anew; and the user, whose connection it was, is \
         asked again, during a drain and after a loss too",
    ),
    (Hs7, &[Hs1, Hs5], "who turns away what nobody asks for turns away users, and those who mistyped their password"),
];

/// Mechanisms, at which sites, what they violate there, and why.
type Beside = (&'static [&'static str], Option<Trait>, &'static [Requirement], &'static str);

/// What no shipped scenario shows.
const BESIDES: [Beside; 9] = [
    (
        &["pin-next-request"],
        Some(Trait::Kerberos),
        &[Id1],
        "a ticket that is sent at once goes over a shared connection, which it authenticates; the pin comes with the next \
         request",
    ),
    (
        &["close-per-request", "own-connection", "client-id", "client-id-trusting"],
        Some(Trait::Kerberos),
        &[St2],
        "IIS says that the ticket's connection is authenticated, and the balancer closes it",
    ),
    (
        &["pin-checked-logon"],
        Some(Trait::KerberosAlone),
        &[Hs1, Hs5, Hs7, Fo6],
        "its check logs on by NTLM, which the site does not take: every backend counts as down",
    ),
    (
        &["pin-checked-http-2xx"],
        Some(Trait::Kerberos),
        &[Hs8],
        "it pins on a 401, which a ticket that is sent at once does not get; in the scenario of pipelines its check has \
         turned everybody away before",
    ),
    (
        &["pin-services"],
        None,
        &[Hs1, St2],
        "a client has a connection for each service, and logs on at each: on its own connection it is asked again, and \
         begins with a request without credentials",
    ),
    (
        &["l4-checked", "l4-silent-on-down", "l4-moved-on-down", "pin-close-on-down", "pin-moved-on-down"],
        None,
        &[Fo7],
        "a check of the port sees a kernel that accepts, not a process that answers",
    ),
    (
        &["tunnel"],
        Some(Trait::Http2),
        &[St2],
        "over HTTP/2 there is no tunnel: each request has an upstream connection of its own, and logs on at it",
    ),
    (
        &["l4-splice-proxy-v1", "l4-splice-proxy-v2"],
        Some(Trait::Tls),
        &[Hs7],
        "IIS takes the PROXY protocol's header for a TLS message that makes no sense, and ends the connection",
    ),
    (
        &["pin-moved-on-down"],
        None,
        &[St2],
        "when a server goes down, its clients' connections lead to another one, which asks them again",
    ),
];

/// What is declared of each mechanism.
pub(crate) struct Declared {
    scenarios: Vec<Shown>,
}

/// What a scenario shows.
struct Shown {
    /// What its site has.
    kind: BTreeSet<Trait>,
    /// By mechanism: what it violates.
    violated: BTreeMap<String, BTreeSet<Requirement>>,
}

impl Declared {
    /// Reads the tables, and plays each scenario once to see its site.
    pub(crate) fn read() -> Self {
        let arm: Arc<dyn Arm> = Arc::new(SimArm);
        let mut scenarios = Vec::new();
        for case in shipped(&names()).expect("the shipped tables can be read") {
            let run = case.run(&BalancerSpec::named("l4-splice"), 0, &arm);
            let Some(kind) = run.trace.and_then(|trace| kind(&trace.header.topology)) else { continue };
            let of = |name: &str| broken_in(&case.expectations.expected(case.scenario.name(), name));
            let violated = mechanisms().iter().map(|mechanism| (mechanism.name.to_string(), of(&mechanism.name)));
            scenarios.push(Shown { kind, violated: violated.collect() });
        }
        Self { scenarios }
    }

    /// Returns what a mechanism violates in any scenario whose site has nothing that this one lacks.
    pub(crate) fn of(&self, mechanism: &str, site: &Topology) -> BTreeSet<Requirement> {
        let kind = kind(site).expect("random plans have sites of a known kind");
        let fitting = self.scenarios.iter().filter(|shown| shown.kind.is_subset(&kind));
        let mut declared: BTreeSet<Requirement> =
            fitting.flat_map(|shown| &shown.violated[mechanism]).copied().collect();
        if sends_proofs_again(mechanism) {
            declared.insert(Fo2);
        }
        for (mechanisms, only, requirements, _) in BESIDES {
            if mechanisms.contains(&mechanism) && only.is_none_or(|only| kind.contains(&only)) {
                declared.extend(requirements);
            }
        }
        for (requirement, others, _) in FOLLOWS {
            if declared.contains(&requirement) {
                declared.extend(others);
            }
        }
        declared
    }
}

/// Whether the mechanism's own rules say that a request whose connection was lost is sent again with the proof of identity
/// that it carries, as nginx does.
fn sends_proofs_again(mechanism: &str) -> bool {
    let mut rules = mechanisms().iter().filter(|known| known.name == mechanism).map(|known| &known.kind);
    rules.any(|kind| matches!(kind, Kind::Composed(rules) if rules.retry.carries_authenticate))
}

/// The requirements that may be violated or, where they are a SHOULD, not followed.
fn broken_in(expected: &Expected) -> BTreeSet<Requirement> {
    let breaks = |grades: &[Grade]| grades.iter().any(|grade| matches!(grade, Grade::Violated | Grade::NonStrict));
    expected.grades.iter().filter(|(_, grades)| breaks(grades)).map(|(requirement, _)| *requirement).collect()
}

/// The kind of a site; `None` where it is one that no random plan has.
fn kind(site: &Topology) -> Option<BTreeSet<Trait>> {
    let behind =
        |controller: &stickler_model::topology::ControllerSpec| controller.is_stale() || controller.slow.is_some();
    let is_plain = site.front.is_none()
        && site.partner.is_none()
        && site.broken.is_none()
        && !site.controllers.iter().any(behind)
        && site.servers.iter().all(is_plain_server);
    let any = |has: &dyn Fn(&ServerSpec) -> bool| site.servers.iter().any(has);
    let traits = [
        (Trait::Kerberos, any(&|server| server.providers.iter().any(|provider| *provider != Provider::Ntlm))),
        (
            Trait::KerberosAlone,
            !any(&|server| server.providers.iter().any(|provider| *provider != Provider::NegotiateKerberos)),
        ),
        (Trait::NotPersisted, any(&|server| !server.site.persist_non_ntlm)),
        (Trait::Tls, site.tls.is_some()),
        (Trait::Http2, site.tls.is_some_and(|tls| tls.http2)),
    ];
    is_plain.then(|| traits.into_iter().filter(|(_, has)| *has).map(|(kind, _)| kind).collect())
}

fn is_plain_server(server: &ServerSpec) -> bool {
    let site = &server.site;
    matches!(server.acceptor, Acceptor::Connection)
        && !server.providers.contains(&Provider::Nego2)
        && !site.single_request
        && !site.via_ends_persistence
        && site.keep_alive == KeepAlive::Always
        && site.protection.checking == Checking::None
}
