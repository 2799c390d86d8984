//! The violations that are declared for each balancer: by the tables of the shipped scenarios, at sites of the same
//! kind; by the rules that follow from these tables (`FOLLOWS`); by the balancer's own rules; and by violations that only
//! random plans show (`BESIDES`).
//!
//! A hunt uses them to decide whether a violation is already known for this balancer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use stickler_catalogue::{Mechanism, mechanisms};
use stickler_model::topology::{Acceptor, Checking, ControllerSpec, KeepAlive, Provider, ServerSpec, SiteSpec};
use stickler_model::{BalancerSpec, Topology};
use stickler_oracle::Requirement::{
    Fo2, Fo4, Fo5, Fo6, Fo7, Fo8, Hs1, Hs3, Hs5, Hs7, Hs8, Id1, Id2, Id3, Id5, St2, St3, St4, Tl2,
};
use stickler_oracle::{Grade, Requirement, Verdict};
use stickler_runner::{Arm, Expected, Run};

use crate::suite::{Case, SuiteError, shipped};

/// The properties that distinguish the sites of random plans. A violation that a scenario shows at one site is declared
/// for each site that has at least the same properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trait {
    Kerberos,
    KerberosAlone,
    NotPersisted,
    Tls,
    Http2,
    Protection,
    ProtectionRequired,
    Partner,
    ShortTimeout,
}

/// A rule by which the violation of one requirement also shows in others, depending on who happens to send a request.
type Follows = (Requirement, Option<Trait>, &'static [Requirement], &'static str);

/// The rules of this kind: the violated requirement, the property of the sites, the other requirements, and the reason.
const FOLLOWS: [Follows; 4] = [
    (
        Id1,
        None,
        &[Hs5, Id2, Id3, Id5, St2, Fo4, Fo5, Tl2],
        "a client that gets another client's authenticated connection is served as its user. The client can be a user, \
         anonymous, a user with a wrong password, another stream, or the next client after the user has left or logged on anew. The user whose \
         connection it was is asked again, also during a drain and after a loss",
    ),
    (
        Hs1,
        Some(Trait::Protection),
        &[Hs3],
        "a client whose token is bound to another certificate is refused, alone and beside others",
    ),
    (
        Hs1,
        Some(Trait::Http2),
        &[Hs3, St2],
        "two streams that log on at once share one upstream connection, and each takes the other's challenge: alone, beside \
         others, and on a connection that was authenticated",
    ),
    (
        Hs7,
        None,
        &[Hs1, Hs5],
        "a balancer that turns anonymous requests away also turns away users, and users with a wrong password",
    ),
];

/// An entry for violations that no shipped scenario shows: the mechanisms, the property of the sites, the violated
/// requirements, and the reason.
type Beside = (&'static [&'static str], Option<Trait>, &'static [Requirement], &'static str);

/// The violations that no shipped scenario shows.
const BESIDES: [Beside; 15] = [
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
        "IIS reports that the ticket's connection is authenticated, but the balancer closes it",
    ),
    (
        &["pin-checked-logon"],
        Some(Trait::KerberosAlone),
        &[Hs1, Hs5, Hs7, Fo6],
        "its check logs on with NTLM, which the site does not accept: every backend counts as down",
    ),
    (
        &["pin-checked-logon"],
        Some(Trait::ProtectionRequired),
        &[Hs1, Hs5, Hs7, Fo6],
        "its check sends no channel binding, which the site requires: every backend counts as down",
    ),
    (
        &["pin-checked-http-2xx"],
        Some(Trait::Kerberos),
        &[Hs8],
        "it pins on a 401, which a ticket that is sent at once does not get; in the scenario of pipelines its check turns \
         all clients away before",
    ),
    (
        &["pin-checked-http-2xx"],
        None,
        &[Fo8],
        "its check has put every backend out of use, so it has no backend to which it can send a request again",
    ),
    (
        &["pool-source-hash"],
        Some(Trait::Kerberos),
        &[Hs8],
        "each request takes any connection of the pool, as in every shared pool; in the scenario of pipelines both get the same",
    ),
    (
        &["pin-services"],
        Some(Trait::Kerberos),
        &[Hs8],
        "it pins on a 401, which a ticket that is sent at once does not get",
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
        &["pin-cookie"],
        Some(Trait::Http2),
        &[St3],
        "the connection that two streams share is pinned to one backend, whatever cookie the other stream was given",
    ),
    (&["tunnel"], Some(Trait::Http2), &[St4], "over HTTP/2 each request takes a turn, and not each connection"),
    (
        &["tunnel"],
        Some(Trait::Http2),
        &[St2],
        "over HTTP/2 there is no tunnel: each request has its own upstream connection, and logs on there",
    ),
    (
        &["l4-splice-proxy-v1", "l4-splice-proxy-v2"],
        Some(Trait::Tls),
        &[Hs7],
        "IIS treats the PROXY protocol's header as an invalid TLS message, and ends the connection",
    ),
    (
        &["pin-moved-on-down"],
        None,
        &[St2],
        "when a server goes down, its clients' connections lead to another one, which asks them again",
    ),
];

/// The violations that are declared for balancers, for each site that random plans can have.
pub struct Declared {
    arm: Arc<dyn Arm>,
    scenarios: Vec<Shown>,
    /// The requirements that each shipped scenario, in their order, shows as violated by a balancer without a table.
    /// The key is the name of the balancer.
    measured: Mutex<BTreeMap<String, Arc<[BTreeSet<Requirement>]>>>,
}

/// A scenario, with the properties of its site.
struct Shown {
    case: Case,
    has: BTreeSet<Trait>,
}

impl Declared {
    /// Reads the tables, and the site of each scenario. For balancers without a table, the scenarios are played on the
    /// arm, which has to be deterministic.
    ///
    /// # Errors
    /// [`SuiteError`]: a shipped script or table is wrong.
    pub fn read(arm: &Arc<dyn Arm>) -> Result<Self, SuiteError> {
        let mut scenarios = Vec::new();
        for case in shipped(&stickler_catalogue::names())? {
            // The tests of the shipped scripts find a script that is wrong before its first action.
            if let Some(has) = crate::site(&case.scenario).ok().and_then(|site| traits(&site)) {
                scenarios.push(Shown { case, has });
            }
        }
        Ok(Self { arm: Arc::clone(arm), scenarios, measured: Mutex::default() })
    }

    /// Returns the requirements that a balancer violates, or does not follow, in any scenario whose site has no
    /// property that this site lacks. For a mechanism, the tables decide; its defects are not declared anywhere. For
    /// any other balancer, the scenarios are played.
    pub fn of(&self, balancer: &BalancerSpec, site: &Topology) -> BTreeSet<Requirement> {
        // Nothing is declared for a site of a kind that no scenario has.
        let Some(has) = traits(site) else { return BTreeSet::new() };
        let fitting = |shown: &&Shown| shown.has.is_subset(&has);
        let mechanism = mechanism(balancer);
        let mut declared: BTreeSet<Requirement> = if let Some(mechanism) = mechanism {
            let of = |shown: &Shown| {
                broken_in(&shown.case.expectations.expected(shown.case.scenario.name(), &mechanism.name))
            };
            self.scenarios.iter().filter(fitting).flat_map(of).collect()
        } else {
            let measured = self.measured(balancer);
            let all = self.scenarios.iter().zip(&*measured).filter(|(shown, _)| fitting(shown));
            all.flat_map(|(_, broken)| broken.iter().copied()).collect()
        };
        if let Some(mechanism) = mechanism {
            if sends_proofs_again(mechanism) {
                declared.insert(Fo2);
            }
            for (mechanisms, only, requirements, _) in BESIDES {
                if mechanisms.contains(&&*mechanism.name) && only.is_none_or(|only| has.contains(&only)) {
                    declared.extend(requirements);
                }
            }
        }
        for (requirement, only, others, _) in FOLLOWS {
            if declared.contains(&requirement) && only.is_none_or(|only| has.contains(&only)) {
                declared.extend(others);
            }
        }
        declared
    }

    /// Returns the requirements that each scenario shows as violated by a balancer without a table.
    fn measured(&self, balancer: &BalancerSpec) -> Arc<[BTreeSet<Requirement>]> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let play = || self.scenarios.iter().map(|shown| broken_by(&shown.case.run(balancer, 0, &self.arm))).collect();
        Arc::clone(measured.entry(balancer.to_string()).or_insert_with(play))
    }
}

/// Returns the mechanism to which the tables refer, without its defects; `None` for any other balancer.
fn mechanism(balancer: &BalancerSpec) -> Option<&'static Mechanism> {
    let BalancerSpec::Mechanism { name, .. } = balancer else { return None };
    mechanisms().iter().find(|mechanism| mechanism.name == *name)
}

/// Returns the requirements that the balancer violated, or did not follow, in a run.
fn broken_by(run: &Run) -> BTreeSet<Requirement> {
    let broken = |verdict: &&Verdict| matches!(verdict.grade, Grade::Violated | Grade::NonStrict);
    run.verdicts.iter().filter(broken).map(|verdict| verdict.requirement).collect()
}

/// Returns whether, by the mechanism's own rules, a request whose connection was lost is sent again with the proof of
/// identity that it carries, as nginx does.
fn sends_proofs_again(mechanism: &Mechanism) -> bool {
    mechanism.rules().is_some_and(|rules| rules.retry.carries_authenticate)
}

/// Returns the requirements that may be violated or, if they are a SHOULD, not followed.
fn broken_in(expected: &Expected) -> BTreeSet<Requirement> {
    let breaks = |grades: &[Grade]| grades.iter().any(|grade| matches!(grade, Grade::Violated | Grade::NonStrict));
    expected.grades.iter().filter(|(_, grades)| breaks(grades)).map(|(requirement, _)| *requirement).collect()
}

/// Returns the properties of a site; `None` if no random plan has such a site.
fn traits(site: &Topology) -> Option<BTreeSet<Trait>> {
    let behind = |controller: &ControllerSpec| controller.is_stale() || controller.slow.is_some();
    let is_plain = site.front.is_none()
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
        (Trait::Protection, any(&|server| server.site.protection.checking != Checking::None)),
        (Trait::ProtectionRequired, any(&|server| server.site.protection.checking == Checking::Require)),
        (Trait::Partner, site.partner.is_some()),
        (Trait::ShortTimeout, any(&|server| server.site.connection_timeout < SiteSpec::CONNECTION_TIMEOUT)),
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
        && site.protection.flags == 0
        && site.protection.service_names.is_empty()
}
