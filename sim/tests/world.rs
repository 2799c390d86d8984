//! Tests of the simulated world as a whole: handshakes through each mechanism, faults, and what the world refuses.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::topology::LinkSpec;
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Fault, Name, Outcome, Payload, Piece, Principal, Profile, RawSpec,
    RequestId, RequestSpec, TokenId, Topology, Trace, What, World, WorldError, standard,
};
use stickler_sim::SimWorld;

fn topology(backends: u32) -> Topology {
    let link = LinkSpec { latency: Duration::from_micros(250), jitter: Duration::from_micros(100) };
    Topology { link, ..standard::site(backends) }
}

fn world(balancer: &str, backends: u32, seed: u64) -> Result<Box<dyn World>, WorldError> {
    Ok(Box::new(SimWorld::new(topology(backends), &BalancerSpec::named(balancer), seed)?))
}

/// A world with the calls of a script, and the number of its last request.
struct Stage(Box<dyn World>, u32);

impl Stage {
    fn new(balancer: &str, backends: u32) -> Self {
        Self(world(balancer, backends, 7).expect("the topology is sound"), 0)
    }

    fn client(&mut self, name: &str, agent: Agent, user: Option<&str>) {
        let identity = user.map(standard::identity);
        let profile = Profile { agent, ..Profile::CURL };
        self.act(Action::AddClient(ClientSpec::new(name.into(), profile, identity)));
    }

    fn get(&mut self, client: &str, path: &str) -> Answer {
        self.ask(client, "GET", path, Payload::Empty)
    }

    fn ask(&mut self, client: &str, method: &str, path: &str, body: Payload) -> Answer {
        let spec = RequestSpec { body, ..RequestSpec::new(client.into(), method, path) };
        let id = self.start(spec);
        let Outcome::Answered(answer) = self.act(Action::Await(id)) else { panic!("a request is answered") };
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
        let mut stage = Stage(world("pin-on-401", 2, seed).expect("sound"), 0);
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
    let id = stage.start(spec);
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
fn another_user_takes_the_seat_and_authenticates_anew_on_the_same_connection() {
    for (balancer, agent) in [("l4-nat", Agent::Curl), ("pin-on-401", Agent::Browser), ("pin-on-401", Agent::Curl)] {
        let mut stage = Stage::new(balancer, 1);
        stage.client("seat", agent, Some("alice"));
        let before = stage.get("seat", "/");
        stage.act(Action::SwitchUser("seat".into(), standard::identity("bob")));
        let after = stage.get("seat", "/");
        assert_eq!([user(&before), user(&after)], [Some("CORP\\alice"), Some("CORP\\bob")], "{balancer}");
        assert_eq!(after.requests, 2, "the Negotiate leg at once");
        let connections = [before, after].map(|answer| answer.application.map(|application| application.connection));
        assert_eq!(connections, [Some(1), Some(1)]);
        assert_eq!(stage.get("seat", "/").requests, 1);
    }
}

#[test]
fn raw_bytes_go_out_as_they_are_and_what_comes_back_is_read_until_it_is_quiet() {
    let mut stage = Stage::new("pin-on-401", 1);
    stage.client("mallory", Agent::Curl, None);
    let mut send = |bytes: &[u8]| {
        let spec = RawSpec::new("mallory".into(), bytes, Duration::from_secs(2));
        let Outcome::Bytes(answer) = stage.act(Action::SendRaw(spec)) else { panic!("bytes come back") };
        String::from_utf8(answer).unwrap()
    };
    let pipelined = send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(pipelined.matches("HTTP/1.1 401").count(), 2, "{pipelined}");
    assert!(send(b"\x16\x03\x01 no HTTP\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert_eq!(send(b"GET / HT"), "", "half a head gets no answer in that time");
    stage.fault(Fault::Crash("lb".into()));
    let spec = RawSpec::new("mallory".into(), vec![1], Duration::from_secs(2));
    assert_eq!(stage.act(Action::SendRaw(spec.clone())), Outcome::Bytes(Vec::new()), "refused");
    let unknown = Action::SendRaw(RawSpec { client: "alice".into(), ..spec });
    assert!(matches!(stage.0.perform(unknown), Err(WorldError::Unknown { kind: "client", .. })));
}

#[test]
fn a_server_that_hangs_accepts_and_answers_when_it_is_resumed() {
    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, Some("alice"));
    stage.fault(Fault::Hang("iis1".into()));
    let id = stage.start(RequestSpec::new("alice".into(), "GET", "/"));
    stage.act(Action::Advance(Duration::from_secs(5)));
    stage.fault(Fault::Resume("iis1".into()));
    let Outcome::Answered(answer) = stage.act(Action::Await(id)) else { panic!("a request is answered") };
    assert_eq!(answer.status, Some(200));
    assert!(answer.elapsed >= Duration::from_secs(5), "{answer:?}");
    stage.fault(Fault::Crash("iis1".into()));
    let error = stage.0.perform(Action::Fault(Fault::Hang("iis1".into()))).unwrap_err();
    assert_eq!(error.to_string(), "`iis1` is down: restart it before it can hang");
    let connected = stage.end().events.into_iter().any(|event| matches!(event.what, What::ClientConnected { .. }));
    assert!(connected, "the handshake was the kernel's");
}

#[test]
fn clients_share_a_host_and_a_port_comes_back_after_a_disconnect() {
    let mut stage = Stage::new("l4-nat", 1);
    let client = |name: &str, user: &str, at: Option<&str>| {
        let spec = ClientSpec::new(name.into(), Profile::CURL, Some(standard::identity(user)));
        Action::AddClient(ClientSpec { at: at.map(Name::from), port: Some(40_000), ..spec })
    };
    stage.act(client("first", "alice", None));
    stage.act(client("second", "bob", Some("first")));
    for (name, expected) in [("first", "CORP\\alice"), ("second", "CORP\\bob"), ("first", "CORP\\alice")] {
        let answer = stage.get(name, "/");
        assert_eq!((answer.status, user(&answer)), (Some(200), Some(expected)), "{answer:?}");
        stage.act(Action::Disconnect(name.into()));
    }
    stage.client("third", Agent::Curl, None);
    stage.get("third", "/");
    let local: Vec<String> = stage
        .end()
        .events
        .into_iter()
        .filter_map(|event| match event.what {
            What::ClientConnected { local, .. } => Some(local.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(local[..3], ["10.1.0.1:40000"; 3]);
    assert!(local[3].starts_with("10.1.0.2:"), "a host of its own: {local:?}");
}

#[test]
fn a_client_that_cannot_be_seated_leaves_the_world_as_it_was() {
    let mut stage = Stage::new("l4-nat", 1);
    let spec = ClientSpec::new("alice".into(), Profile::CURL, None);
    let nowhere = ClientSpec { at: Some("bob".into()), ..spec.clone() };
    assert!(matches!(stage.0.perform(Action::AddClient(nowhere)), Err(WorldError::Unknown { kind: "client", .. })));
    let error = stage.0.perform(Action::AddClient(ClientSpec { port: Some(50_000), ..spec.clone() })).unwrap_err();
    assert_eq!(error.to_string(), "a connection cannot use the source port 50000: choose a port from 1 to 49151");
    stage.act(Action::AddClient(spec));
    assert_eq!(stage.get("alice", "/").status, Some(401));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let error = world("pin-on-402", 1, 0).err().expect("there is no such balancer");
    assert!(error.to_string().contains("did you mean `pin-on-401`?"), "{error}");

    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, None);
    let twice = ClientSpec::new("alice".into(), Profile::CURL, None);
    assert_eq!(stage.0.perform(Action::AddClient(twice)), Err(WorldError::Duplicate("alice".into())));
    let error = stage.0.perform(Action::Disconnect("alcie".into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no client called `alcie`; there are: alice");
    let error = stage.0.perform(Action::Fault(Fault::Crash("lb".into()))).unwrap_err();
    assert!(error.to_string().contains("no process to crash"), "{error}");
    assert!(matches!(error, WorldError::Unsupported(_)), "another arm may have a process there");

    let id = stage.start(RequestSpec::new("alice".into(), "GET", "/"));
    let again = Action::Start { id, request: RequestSpec::new("alice".into(), "GET", "/") };
    assert_eq!(stage.0.perform(again), Err(WorldError::IdTaken("r1".into())));
    let token = Action::MakeToken { id: TokenId(1), client: "alice".into() };
    assert_eq!(stage.act(token.clone()), Outcome::Token(None), "alice has no credentials");
    assert_eq!(stage.0.perform(token), Err(WorldError::IdTaken("t1".into())));
    let bytes = vec![Piece::Text("Authorization: ".into()), Piece::Token(TokenId(1))];
    let raw = Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience: Duration::from_secs(1) });
    assert_eq!(stage.0.perform(raw), Err(WorldError::NoToken(TokenId(1))));

    let trace = stage.end();
    let actions: Vec<&Action> = trace.actions().collect();
    assert_eq!(actions.len(), 3, "what was refused is not in the trace: {actions:?}");
}

#[test]
fn what_no_plan_may_ask_for_is_refused_and_not_in_the_trace() {
    use stickler_model::bounds::{MAX_RUN_TIME, MAX_TEXT, MAX_TIME};
    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, None);
    let mut refused = |action: Action| stage.0.perform(action).unwrap_err().to_string();
    let raw = RawSpec::new("alice".into(), "x".repeat(MAX_TEXT + 1), Duration::from_secs(1));
    assert!(refused(Action::SendRaw(raw)).starts_with("one action can send at most 1048576 raw bytes"));
    assert!(refused(Action::Advance(MAX_TIME + Duration::from_secs(1))).starts_with("the time to pass is "));
    let named = ClientSpec::new("a b".into(), Profile::CURL, None);
    assert!(refused(Action::AddClient(named)).starts_with("`a b` is not a valid name"));
    let body = Payload::Text("x".repeat(MAX_TEXT + 1));
    let post = RequestSpec { body, ..RequestSpec::new("alice".into(), "POST", "/") };
    assert!(
        refused(Action::Start { id: RequestId(1), request: post }).starts_with("the text of a body can have at most ")
    );

    for _ in 0..100 {
        stage.act(Action::Advance(MAX_TIME));
    }
    assert!(stage.0.now().since_start() <= MAX_RUN_TIME);
    let error = stage.0.perform(Action::Advance(MAX_TIME)).unwrap_err();
    assert_eq!(error.to_string(), "a run lasts 100 years at most: let less time pass");
    assert_eq!(stage.get("alice", "/").status, Some(401));
    assert_eq!(stage.end().actions().count(), 1 + 100 + 2, "what was refused is not in the trace");
}

#[test]
fn the_requests_under_way_are_bounded() {
    let mut stage = Stage::new("l4-nat", 1);
    stage.client("alice", Agent::Curl, None);
    let get = || RequestSpec::new("alice".into(), "GET", "/");
    for _ in 0..stickler_model::bounds::MAX_UNDER_WAY {
        stage.start(get());
    }
    let error = stage.0.perform(Action::Start { id: RequestId(1 << 20), request: get() }).unwrap_err();
    assert!(error.to_string().starts_with("10000 requests are already under way"), "{error}");
}

#[test]
fn a_topology_that_makes_no_sense_is_refused() {
    let refused =
        |topology| SimWorld::new(topology, &BalancerSpec::named("l4-nat"), 0).err().map(|error| error.to_string());
    assert_eq!(refused(topology(0)).unwrap(), "a site must have from 1 to 64 servers, but this one has 0");
    assert_eq!(refused(topology(64)), None);
    assert_eq!(refused(topology(65)).unwrap(), "a site must have from 1 to 64 servers, but this one has 65");
}

#[test]
fn a_drained_backend_gets_no_new_client_until_it_is_undrained() {
    let mut stage = Stage::new("l4-nat", 2);
    let served = |stage: &mut Stage, name: &str| {
        stage.client(name, Agent::Curl, Some("alice"));
        stage.get(name, "/").application.map(|application| application.server)
    };
    stage.act(Action::Drain("iis1".into()));
    for name in ["a", "b", "c"] {
        assert_eq!(served(&mut stage, name), Some("iis2".into()));
    }
    stage.act(Action::Undrain("iis1".into()));
    assert!(["d", "e"].into_iter().any(|name| served(&mut stage, name) == Some("iis1".into())));
    let error = stage.0.perform(Action::Drain("iis3".into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no backend called `iis3`; there are: iis1, iis2");
}
