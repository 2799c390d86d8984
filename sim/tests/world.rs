//! The simulated world end to end: handshakes through each mechanism, faults, and what it refuses.

use std::time::Duration;

use stickler_model::topology::{Acceptor, Agent, DomainSpec, IisVersion, LinkSpec, Provider, ServerSpec, UserSpec};
use stickler_model::{
    Action, Answer, ClientSpec, Fault, Identity, Name, Outcome, Payload, Principal, Profile, RequestSpec, Topology,
    Trace, World, WorldError,
};
use stickler_sim::SimWorld;

fn topology(balancer: &str, backends: usize) -> Topology {
    let user = |name: &str| UserSpec { name: name.into(), password: format!("{name}-pw"), forbidden: false };
    Topology {
        domain: DomainSpec {
            netbios: "CORP".into(),
            dns: "corp.example".into(),
            users: vec![user("alice"), user("bob")],
            lockout_threshold: None,
        },
        servers: (1..=backends)
            .map(|n| ServerSpec {
                name: format!("iis{n}").into(),
                providers: vec![Provider::Ntlm],
                version: IisVersion::Iis10,
                acceptor: Acceptor::Connection,
            })
            .collect(),
        balancer: balancer.into(),
        front: None,
        monitor: None,
        link: LinkSpec { latency: Duration::from_micros(250), jitter: Duration::from_micros(100) },
    }
}

/// A world with the calls of a script.
struct Stage(Box<dyn World>);

impl Stage {
    fn new(balancer: &str, backends: usize) -> Self {
        Self(Box::new(SimWorld::new(topology(balancer, backends), 7).expect("the topology is sound")))
    }

    fn client(&mut self, name: &str, agent: Agent, user: Option<&str>) {
        let identity =
            user.map(|user| Identity { principal: Principal::new("CORP", user), password: format!("{user}-pw") });
        let profile = Profile { agent, ..Profile::CURL };
        self.act(Action::AddClient(ClientSpec::new(name.into(), profile, identity)));
    }

    fn get(&mut self, client: &str, path: &str) -> Answer {
        self.ask(client, "GET", path, Payload::Empty)
    }

    fn ask(&mut self, client: &str, method: &str, path: &str, body: Payload) -> Answer {
        let spec = RequestSpec { body, ..RequestSpec::new(client.into(), method, path) };
        let Outcome::Started(id) = self.act(Action::Start(spec)) else { panic!("a request starts") };
        let Outcome::Answered(answer) = self.act(Action::Await(id)) else { panic!("a request is answered") };
        *answer
    }

    fn fault(&mut self, fault: Fault) {
        self.act(Action::Fault(fault));
    }

    fn act(&mut self, action: Action) -> Outcome {
        self.0.perform(action).expect("the action makes sense")
    }

    fn end(self) -> Trace {
        self.0.finish()
    }
}

fn user(answer: &Answer) -> Option<&str> {
    answer.application.as_ref()?.user.as_ref().map(Principal::as_str)
}

#[test]
fn a_user_logs_on_through_what_keeps_a_connection() {
    for balancer in ["l4-nat", "pin-on-401"] {
        for agent in [Agent::Curl, Agent::Browser] {
            let mut stage = Stage::new(balancer, 2);
            stage.client("alice", agent, Some("alice"));
            let answer = stage.get("alice", "/");
            assert_eq!(
                (answer.status, user(&answer)),
                (Some(200), Some("CORP\\alice")),
                "{balancer} {agent:?}: {answer:?}"
            );
            let again = stage.get("alice", "/again");
            assert_eq!((again.status, again.requests), (Some(200), 1), "{balancer} {agent:?}: authenticated already");
        }
    }
}

#[test]
fn nobody_logs_on_through_a_connection_for_each_request() {
    let mut stage = Stage::new("close-per-request", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    assert_eq!(stage.get("alice", "/").status, Some(401));
}

#[test]
fn a_shared_pool_serves_the_next_client_as_the_last_one() {
    let mut stage = Stage::new("shared-pool", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    stage.client("mallory", Agent::Browser, None);
    assert_eq!(stage.get("alice", "/").status, Some(200));
    let leak = stage.get("mallory", "/secret");
    assert_eq!((leak.status, user(&leak)), (Some(200), Some("CORP\\alice")));
}

#[test]
fn ten_mebibytes_pass_both_ways_whole() {
    let ten = 10 * 1024 * 1024;
    for balancer in ["l4-nat", "pin-on-401"] {
        let mut stage = Stage::new(balancer, 1);
        stage.client("alice", Agent::Curl, Some("alice"));
        let down = stage.get("alice", &format!("/bytes/{ten}"));
        assert_eq!(
            (down.status, down.body_length, down.body_digest),
            (Some(200), ten, Payload::Bytes(ten).digest()),
            "{balancer}"
        );
        let up = stage.ask("alice", "POST", "/upload", Payload::Bytes(ten));
        let seen = up.application.expect("the application answers");
        assert_eq!((seen.length, seen.digest), (ten, Payload::Bytes(ten).digest()), "{balancer}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let play = |seed| {
        let mut stage = Stage(Box::new(SimWorld::new(topology("pin-on-401", 2), seed).expect("sound")));
        stage.client("alice", Agent::Browser, Some("alice"));
        stage.client("bob", Agent::Curl, Some("bob"));
        stage.get("alice", "/");
        stage.get("bob", "/");
        stage.end().hash()
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1), play(2), "jitter comes from the seed");
}

#[test]
fn a_crashed_server_is_refused_and_serves_again_after_its_restart() {
    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    assert_eq!(stage.get("alice", "/").status, Some(200));
    stage.fault(Fault::Crash("iis1".into()));
    let down = stage.get("alice", "/");
    assert_eq!(down.status, None, "{down:?}");
    stage.fault(Fault::Restart("iis1".into()));
    assert_eq!(stage.get("alice", "/").status, Some(200));
}

#[test]
fn a_host_without_power_keeps_silent_and_its_old_connections_meet_a_reset() {
    let mut stage = Stage::new("pin-on-401", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    assert_eq!(stage.get("alice", "/").status, Some(200));
    stage.fault(Fault::PowerLoss("iis1".into()));
    stage.fault(Fault::Restart("iis1".into()));
    let after = stage.get("alice", "/");
    assert!(matches!(after.status, Some(200 | 502) | None), "{after:?}");
    assert_eq!(stage.get("alice", "/").status, Some(200), "a fresh connection logs on afresh");
}

#[test]
fn a_partition_holds_packets_and_a_reset_ends_connections() {
    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    let (lb, iis1) = (Name::from("lb"), Name::from("iis1"));
    stage.fault(Fault::Hold(lb.clone(), iis1.clone()));
    let spec = RequestSpec::new("alice".into(), "GET", "/");
    let Outcome::Started(id) = stage.act(Action::Start(spec)) else { panic!("a request starts") };
    stage.act(Action::Advance(Duration::from_secs(3)));
    stage.fault(Fault::Release(lb.clone(), iis1.clone()));
    let Outcome::Answered(answer) = stage.act(Action::Await(id)) else { panic!("a request is answered") };
    assert_eq!(answer.status, Some(200));
    assert!(answer.elapsed >= Duration::from_secs(3), "{answer:?}");
    stage.fault(Fault::Reset(Name::from("alice"), lb));
    let next = stage.get("alice", "/");
    assert_eq!((next.status, next.requests), (Some(200), 2), "a new connection, a new handshake: {next:?}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let error = SimWorld::new(topology("pin-on-402", 1), 0).err().expect("there is no such balancer");
    assert!(error.to_string().contains("did you mean `pin-on-401`?"), "{error}");

    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, None);
    let twice = ClientSpec::new("alice".into(), Profile::CURL, None);
    assert_eq!(stage.0.perform(Action::AddClient(twice)), Err(WorldError::Duplicate("alice".into())));
    let error = stage.0.perform(Action::Disconnect("alcie".into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no client called `alcie`; there are: alice");
    let error = stage.0.perform(Action::Fault(Fault::Crash("lb".into()))).unwrap_err();
    assert!(error.to_string().contains("no process to crash"), "{error}");
}

#[test]
fn what_this_world_cannot_do_yet_is_refused() {
    let mut stage = Stage::new("l4-nat", 2);
    stage.client("alice", Agent::Curl, Some("alice"));
    let bob = Identity { principal: Principal::new("CORP", "bob"), password: "bob-pw".into() };
    for action in
        [Action::Drain("iis1".into()), Action::Undrain("iis1".into()), Action::SwitchUser("alice".into(), bob)]
    {
        assert!(matches!(stage.0.perform(action), Err(WorldError::Invalid(_))));
    }
    assert_eq!(stage.get("alice", "/").status, Some(200));
}
