//! Tests of users of another domain, and of domains with several DCs: real clients, servers and DCs in the simulated
//! world.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::event::Credentials;
use stickler_model::topology::{ControllerSpec, DomainSpec, PartnerSpec, Provider, ServerSpec, ServiceSpec, UserSpec};
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Fault, Identity, Outcome, Principal, Profile, RequestId, RequestSpec,
    Topology, Trace, What, World, WorldError, standard,
};
use stickler_sim::SimWorld;

const SITE: &str = "HTTP/www.corp.example";
/// The code with which IIS 10 logs a wrong user or password: SEC_E_LOGON_DENIED.
const DENIED: u32 = 0x8009_030C;
/// The time that a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A world, and the number of its last request.
struct Stage(Box<dyn World>, u32);

fn users(names: &[&str]) -> Vec<UserSpec> {
    let user = |name: &&str| UserSpec::new(*name, format!("{name}-pw"));
    names.iter().map(user).collect()
}

/// Returns a site with one server of `CORP`, which has alice, and trusts `PARTNER`, which has paula and an alice of its
/// own.
fn topology() -> Topology {
    let mut domain =
        DomainSpec { users: users(&["alice", "svc-web"]), lockout_threshold: Some(3), ..standard::domain() };
    let partner = DomainSpec {
        netbios: "PARTNER".into(),
        dns: "partner.example".into(),
        users: users(&["paula", "alice"]),
        lockout_threshold: Some(2),
        ..DomainSpec::default()
    };
    let partner = PartnerSpec::trusted(&mut domain, partner, "trust-pw");
    Topology { domain, partner: Some(partner), servers: vec![server(Provider::Ntlm)], ..plain() }
}

fn plain() -> Topology {
    Topology::default()
}

fn server(provider: Provider) -> ServerSpec {
    ServerSpec { providers: vec![provider], ..standard::server("iis1".into()) }
}

/// Returns the same site with these DCs.
fn with_controllers(controllers: Vec<ControllerSpec>) -> Topology {
    Topology { controllers, ..topology() }
}

fn world(topology: Topology) -> Result<SimWorld, WorldError> {
    SimWorld::new(topology, &BalancerSpec::named("l4-splice"), 7)
}

impl Stage {
    fn new(topology: Topology) -> Self {
        Self(Box::new(world(topology).expect("the topology is sound")), 0)
    }

    /// Sends a GET by a new client, whose name consists of its user and password.
    fn get(&mut self, agent: Agent, user: &str, password: &str) -> Answer {
        let principal = Principal::parse(user).unwrap_or_else(|| Principal::new("", user));
        let called = format!("{}-{password}", principal.user());
        let name: String = called.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let identity = Identity { principal, password: password.into() };
        let profile = Profile { agent, ..Profile::BROWSER };
        self.act(Action::AddClient(ClientSpec::new(name.as_str().into(), profile, Some(identity))));
        self.again(&name)
    }

    /// Sends another GET by an existing client.
    fn again(&mut self, name: &str) -> Answer {
        self.act(Action::Disconnect(name.into()));
        let spec = RequestSpec::new(name.into(), "GET", "/");
        let id = self.start(spec);
        let Outcome::Answered(answer) = self.act(Action::Await(id)) else { panic!("a request is answered") };
        assert!(answer.elapsed < PATIENCE, "{answer:?}");
        *answer
    }

    fn fault(&mut self, fault: Fault) {
        self.act(Action::Fault(fault));
    }

    fn start(&mut self, request: RequestSpec) -> RequestId {
        self.1 += 1;
        let id = RequestId(self.1);
        self.act(Action::Start { id, request });
        id
    }

    fn act(&mut self, action: Action) -> Outcome {
        self.0.perform(action).expect("the action makes sense")
    }

    fn end(self) -> Seen {
        Seen(self.0.finish())
    }
}

struct Seen(Trace);

impl Seen {
    fn pick<T>(&self, pick: impl Fn(&str, &What) -> Option<T>) -> Vec<T> {
        self.0.events.iter().filter_map(|event| pick(event.by.as_str(), &event.what)).collect()
    }

    /// Returns status and code in the log for each refusal of an Authenticate leg.
    fn refusals(&self) -> Vec<(u16, u32)> {
        self.pick(|_, what| match what {
            What::ServerAnswered {
                status: 401, substatus: 1, win32, leg: stickler_model::Leg::Authenticate, ..
            } => Some((401, *win32)),
            _ => None,
        })
    }

    /// Returns each decision on a logon: the DC, the account, the status, and the count of failures.
    fn decided(&self) -> Vec<(String, String, u32, u32)> {
        self.pick(|by, what| match what {
            What::DcLogon { account, status, bad_count, .. } => {
                Some((by.to_owned(), account.as_str().to_owned(), *status, *bad_count))
            }
            _ => None,
        })
    }

    /// Returns each logon that a DC passed on: the DC, the domain, and its status.
    fn passed(&self) -> Vec<(String, String, u32)> {
        self.pick(|by, what| match what {
            What::DcPassedOn { to, status, .. } => Some((by.to_owned(), to.clone(), *status)),
            _ => None,
        })
    }
}

fn user(answer: &Answer) -> Option<&str> {
    answer.application.as_ref()?.user.as_ref().map(Principal::as_str)
}

fn said(by: &str, account: &str, status: u32, bad_count: u32) -> (String, String, u32, u32) {
    (by.into(), account.into(), status, bad_count)
}

#[test]
fn a_user_of_a_trusted_domain_logs_on_by_ntlm_through_both_domains_dcs() {
    let mut stage = Stage::new(topology());
    let answer = stage.get(Agent::Curl, "PARTNER\\paula", "paula-pw");
    assert_eq!((answer.status, user(&answer)), (Some(200), Some("PARTNER\\paula")));
    // The two domains' users of one name are two users.
    assert_eq!(user(&stage.get(Agent::Curl, "PARTNER\\alice", "alice-pw")), Some("PARTNER\\alice"));
    let seen = stage.end();
    let passed = ("dc".to_owned(), "PARTNER".to_owned(), 0);
    assert_eq!(seen.passed(), [passed.clone(), passed]);
    let expected = [said("dc-partner", "PARTNER\\paula", 0, 0), said("dc-partner", "PARTNER\\alice", 0, 0)];
    assert_eq!(seen.decided(), expected);
    // The numbers lead from the partner's decision to the server's request.
    let numbers = seen.pick(|_, what| match what {
        What::DcLogon { server, logon, .. } => Some((server.as_str().to_owned(), *logon)),
        What::DcPassedOn { server, logon, passed, .. } => Some((format!("{server} as {logon}"), *passed)),
        What::ServerLogon { logon, .. } => Some(("noted".into(), *logon)),
        _ => None,
    });
    let chain =
        |iis1: u64, dc: u64| [("dc".to_owned(), dc), (format!("iis1 as {iis1}"), dc), ("noted".to_owned(), iis1)];
    assert_eq!(numbers, [chain(1, 1), chain(2, 2)].concat());
}

#[test]
fn a_trusted_domain_goes_by_its_dns_name_and_by_a_user_principal_names_suffix_too() {
    let mut stage = Stage::new(topology());
    for name in ["partner.example\\paula", "Partner\\PAULA", "paula@partner.example"] {
        let answer = stage.get(Agent::Browser, name, "paula-pw");
        assert_eq!((answer.status, user(&answer)), (Some(200), Some("PARTNER\\paula")), "{name}");
    }
    // The site's own domain has no such user.
    assert_eq!(stage.get(Agent::Browser, "paula@corp.example", "paula-pw").status, Some(401));
    let started = stage.end().pick(|_, what| match what {
        What::RequestStarted { credentials, .. } => Some(*credentials),
        _ => None,
    });
    assert_eq!(started, [Credentials::Valid, Credentials::Valid, Credentials::Valid, Credentials::Wrong]);
}

#[test]
fn a_wrong_password_counts_at_the_users_own_domain_alone_and_locks_the_account_there() {
    let mut stage = Stage::new(topology());
    for guess in ["one", "two"] {
        assert_eq!(stage.get(Agent::Curl, "PARTNER\\alice", guess).status, Some(401));
    }
    assert_eq!(stage.get(Agent::Curl, "PARTNER\\alice", "alice-pw").status, Some(401));
    let own = stage.get(Agent::Curl, "CORP\\alice", "alice-pw ");
    assert_eq!(own.status, Some(401), "nor is another password right");
    let seen = stage.end();
    let expected = [
        said("dc-partner", "PARTNER\\alice", 0xC000_006A, 1),
        said("dc-partner", "PARTNER\\alice", 0xC000_006A, 2),
        said("dc-partner", "PARTNER\\alice", 0xC000_0234, 2),
        said("dc", "CORP\\alice", 0xC000_006A, 1),
    ];
    assert_eq!(seen.decided(), expected);
    assert_eq!(seen.refusals(), [DENIED, DENIED, 1909, DENIED].map(|code| (401, code)));
}

#[test]
fn a_broken_trust_refuses_the_partners_users_and_nobody_else() {
    let mut broken = topology();
    broken.domain.trusts[0].password = "changed on one side".into();
    let mut stage = Stage::new(broken);
    assert_eq!(stage.get(Agent::Curl, "PARTNER\\paula", "paula-pw").status, Some(401));
    assert_eq!(user(&stage.get(Agent::Curl, "CORP\\alice", "alice-pw")), Some("CORP\\alice"));
    let seen = stage.end();
    assert_eq!(seen.refusals(), [(401, 1789)]);
    assert_eq!(seen.passed(), [("dc".into(), "PARTNER".into(), 0xC000_018D)]);
    assert_eq!(seen.decided(), [said("dc", "CORP\\alice", 0, 0)]);
}

#[test]
fn a_partner_that_does_not_know_of_the_trust_has_no_account_for_it() {
    let mut one_sided = topology();
    one_sided.partner.as_mut().unwrap().domain.trusts.clear();
    let mut stage = Stage::new(one_sided);
    assert_eq!(stage.get(Agent::Curl, "PARTNER\\paula", "paula-pw").status, Some(401));
    assert_eq!(stage.end().refusals(), [(401, 1787)]);
}

#[test]
fn a_domain_that_is_not_trusted_is_unknown() {
    let mut untrusted = topology();
    untrusted.domain.trusts.clear();
    let mut stage = Stage::new(untrusted);
    assert_eq!(stage.get(Agent::Curl, "PARTNER\\paula", "paula-pw").status, Some(401));
    let seen = stage.end();
    assert_eq!((seen.refusals(), seen.passed()), (vec![(401, DENIED)], vec![]));
}

#[test]
fn a_partner_that_vouches_for_our_users_is_not_believed() {
    let mut lying = topology();
    lying.partner.as_mut().unwrap().claims = Some("CORP".into());
    let mut stage = Stage::new(lying);
    let answer = stage.get(Agent::Curl, "PARTNER\\alice", "alice-pw");
    assert_eq!((answer.status, user(&answer)), (Some(401), None));
    let seen = stage.end();
    assert_eq!(seen.refusals(), [(401, 1810)]);
    assert_eq!(seen.passed(), [("dc".into(), "PARTNER".into(), 0xC000_019B)]);
    // The partner itself found nothing wrong.
    assert_eq!(seen.decided(), [said("dc-partner", "PARTNER\\alice", 0, 0)]);
}

#[test]
fn a_partners_dc_that_cannot_be_reached_is_no_logon_server_and_holds_up_nobody_else() {
    for fault in [Fault::Crash("dc-partner".into()), Fault::PowerLoss("dc-partner".into())] {
        let mut stage = Stage::new(topology());
        assert_eq!(stage.get(Agent::Curl, "PARTNER\\paula", "paula-pw").status, Some(200));
        stage.fault(fault.clone());
        let answer = stage.again("paula-paula-pw");
        assert_eq!(answer.status, Some(401), "{fault:?}");
        assert!(answer.elapsed < Duration::from_secs(8), "{fault:?}: {:?}", answer.elapsed);
        assert_eq!(stage.get(Agent::Curl, "CORP\\alice", "alice-pw").status, Some(200));
        stage.fault(Fault::Restart("dc-partner".into()));
        assert_eq!(stage.again("paula-paula-pw").status, Some(200));
        let seen = stage.end();
        assert_eq!(seen.refusals(), [(401, 1311)], "{fault:?}");
    }
}

#[test]
fn without_any_dc_nobody_logs_on_and_a_client_still_hears_of_it_in_time() {
    let both = ["dc", "dc2"].map(|name| ControllerSpec::new(name.into()));
    let mut stage = Stage::new(with_controllers(both.to_vec()));
    for dc in ["dc", "dc2"] {
        stage.fault(Fault::PowerLoss(dc.into()));
    }
    let answer = stage.get(Agent::Curl, "CORP\\alice", "alice-pw");
    assert_eq!(answer.status, Some(401));
    // Two DCs, each of which the server tries to reach for five seconds.
    assert_eq!(answer.elapsed.as_secs(), 10);
    assert_eq!(stage.end().refusals(), [(401, 1311)]);
}

#[test]
fn a_slow_dc_is_left_for_the_next_and_stays_left() {
    let slow = ControllerSpec { slow: Some(Duration::from_secs(15)), ..ControllerSpec::new("dc".into()) };
    let mut stage = Stage::new(with_controllers(vec![slow, ControllerSpec::new("dc2".into())]));
    let first = stage.get(Agent::Curl, "CORP\\alice", "alice-pw");
    assert_eq!((first.status, user(&first)), (Some(200), Some("CORP\\alice")));
    assert_eq!(first.elapsed.as_secs(), 10, "the server waits ten seconds for a reply");
    let second = stage.again("alice-alice-pw");
    assert_eq!((second.status, second.elapsed.as_secs()), (Some(200), 0));
    // The one that asked in vain had left before its turn came.
    assert_eq!(stage.end().decided(), [said("dc2", "CORP\\alice", 0, 0), said("dc2", "CORP\\alice", 0, 0)]);
}

#[test]
fn a_dc_that_is_not_too_slow_is_waited_for() {
    let slow = ControllerSpec { slow: Some(Duration::from_secs(3)), ..ControllerSpec::new("dc".into()) };
    let mut stage = Stage::new(with_controllers(vec![slow, ControllerSpec::new("dc2".into())]));
    let answer = stage.get(Agent::Curl, "CORP\\alice", "alice-pw");
    assert_eq!((answer.status, answer.elapsed.as_secs()), (Some(200), 3));
    assert_eq!(stage.end().decided(), [said("dc", "CORP\\alice", 0, 0)]);
}

#[test]
fn a_wrong_password_is_counted_once_however_many_dcs_there_are() {
    let slow = ControllerSpec { slow: Some(Duration::from_secs(15)), ..ControllerSpec::new("dc".into()) };
    let outdated = ControllerSpec { outdated: vec!["alice".into()], ..ControllerSpec::new("dc".into()) };
    for (first, elapsed) in [(slow, 15), (outdated, 0), (ControllerSpec::new("dc".into()), 0)] {
        let mut stage = Stage::new(with_controllers(vec![first, ControllerSpec::new("dc2".into())]));
        let answer = stage.get(Agent::Curl, "CORP\\alice", "guess");
        assert_eq!((answer.status, answer.elapsed.as_secs()), (Some(401), elapsed));
        let counted: Vec<u32> = stage.end().decided().into_iter().map(|(.., bad_count)| bad_count).collect();
        assert_eq!(counted, [1]);
    }
}

#[test]
fn a_dc_that_lacks_the_account_is_not_authoritative_and_another_is_asked() {
    let lacking = ControllerSpec { lacks: vec!["Alice".into()], ..ControllerSpec::new("dc".into()) };
    let mut stage = Stage::new(with_controllers(vec![lacking, ControllerSpec::new("dc2".into())]));
    let answer = stage.get(Agent::Curl, "CORP\\alice", "alice-pw");
    assert_eq!((answer.status, user(&answer)), (Some(200), Some("CORP\\alice")));
    assert_eq!(stage.get(Agent::Curl, "CORP\\nobody", "guess").status, Some(401));
    let unknown = |by: &str, account: &str| said(by, account, 0xC000_0064, 0);
    let expected = [
        unknown("dc", "CORP\\alice"),
        said("dc2", "CORP\\alice", 0, 0),
        unknown("dc", "CORP\\nobody"),
        unknown("dc2", "CORP\\nobody"),
    ];
    assert_eq!(stage.end().decided(), expected);
}

#[test]
fn a_dc_with_an_old_password_asks_the_pdc_emulator_before_it_refuses() {
    let outdated = ControllerSpec { outdated: vec!["alice".into()], ..ControllerSpec::new("dc".into()) };
    let mut stage = Stage::new(with_controllers(vec![outdated, ControllerSpec::new("dc2".into())]));
    let answer = stage.get(Agent::Curl, "CORP\\alice", "alice-pw");
    assert_eq!((answer.status, user(&answer)), (Some(200), Some("CORP\\alice")));
    // The old password is right here, until replication has arrived.
    assert_eq!(stage.get(Agent::Curl, "CORP\\alice", "alice-pw of before").status, Some(200));
    // This DC decides alone.
    stage.fault(Fault::Crash("dc2".into()));
    assert_eq!(stage.again("alice-alice-pw").status, Some(401));
    let seen = stage.end();
    assert_eq!(seen.passed(), [("dc".into(), "CORP".into(), 0)]);
    let expected =
        [said("dc2", "CORP\\alice", 0, 0), said("dc", "CORP\\alice", 0, 0), said("dc", "CORP\\alice", 0xC000_006A, 1)];
    assert_eq!(seen.decided(), expected);
}

#[test]
fn a_dc_that_crashes_is_left_for_the_next_at_once() {
    let both = ["dc", "dc2"].map(|name| ControllerSpec::new(name.into()));
    let mut stage = Stage::new(with_controllers(both.to_vec()));
    assert_eq!(stage.get(Agent::Curl, "CORP\\alice", "alice-pw").status, Some(200));
    stage.fault(Fault::Crash("dc".into()));
    let answer = stage.again("alice-alice-pw");
    assert_eq!((answer.status, answer.elapsed.as_secs()), (Some(200), 0));
    assert_eq!(stage.end().decided(), [said("dc", "CORP\\alice", 0, 0), said("dc2", "CORP\\alice", 0, 0)]);
}

#[test]
fn a_partners_user_gets_a_ticket_for_the_site_along_the_trust() {
    let mut topology = topology();
    topology.servers = vec![server(Provider::Negotiate)];
    let service = ServiceSpec { account: "iis1$".into(), spns: vec![SITE.into()], trusted_for_delegation: false };
    topology.domain.services.push(service);
    let mut stage = Stage::new(topology);
    let answer = stage.get(Agent::CurlNegotiate, "PARTNER\\paula", "paula-pw");
    assert_eq!((answer.status, user(&answer)), (Some(200), Some("PARTNER\\paula")));
    let own = stage.get(Agent::CurlNegotiate, "CORP\\alice", "alice-pw");
    assert_eq!(user(&own), Some("CORP\\alice"));
    let seen = stage.end();
    let tickets = seen.pick(|by, what| match what {
        What::DcTicket { service, error: 0, .. } => Some((by.to_owned(), service.clone())),
        _ => None,
    });
    let tickets: Vec<_> = tickets.iter().map(|(by, service)| (by.as_str(), service.as_str())).collect();
    let expected = [
        ("dc-partner", "krbtgt/PARTNER.EXAMPLE"),
        ("dc-partner", SITE),
        ("dc", SITE),
        ("dc", "krbtgt/CORP.EXAMPLE"),
        ("dc", SITE),
    ];
    assert_eq!(tickets, expected);
    assert!(seen.decided().is_empty() && seen.passed().is_empty(), "a ticket needs no logon");
}

#[test]
fn a_world_without_a_dc_that_is_in_order_is_refused() {
    let stale = ControllerSpec { lacks: vec!["alice".into()], ..ControllerSpec::new("dc".into()) };
    let error = world(with_controllers(vec![stale])).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("every DC is stale")));
    let mut same = topology();
    same.partner.as_mut().unwrap().domain.netbios = "corp".into();
    assert!(world(same).is_err());
}
