//! Tests of the ways in which servers tie a user to a request, in the simulated world: a table or a trusted header; and of
//! servers that misbehave.

use std::time::Duration;

use stickler_model::agent::Agent;
use stickler_model::topology::{Acceptor, Rogue, Tracked, TrackedBy, TrackedCheck};
use stickler_model::{
    Action, Answer, BalancerSpec, ClientSpec, Outcome, Principal, Profile, RequestId, RequestSpec, Trace, What, World,
    standard,
};
use stickler_sim::SimWorld;

/// A world, and the number of its last request.
struct Stage(Box<dyn World>, u32);

impl Stage {
    fn new(balancer: &str, acceptor: Acceptor) -> Self {
        let mut topology = standard::site(1);
        topology.servers[0].acceptor = acceptor;
        let world = SimWorld::new(topology, &BalancerSpec::named(balancer), 7);
        Self(Box::new(world.expect("the topology is sound")), 0)
    }

    fn client(&mut self, name: &str, agent: Agent, logs_on: bool) {
        let identity = logs_on.then(|| standard::identity(name));
        let spec = ClientSpec::new(name.into(), Profile { agent, ..Profile::BROWSER }, identity);
        self.act(Action::AddClient(spec));
    }

    fn get(&mut self, client: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let spec = RequestSpec { headers, ..RequestSpec::new(client.into(), "GET", "/") };
        let id = self.start(spec);
        let Outcome::Answered(answer) = self.act(Action::Await(id)) else { panic!("a request is answered") };
        *answer
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

fn tracked(by: TrackedBy, check: TrackedCheck) -> Acceptor {
    Acceptor::Tracked(Tracked { by, check })
}

#[test]
fn a_table_by_the_connection_works_where_iis_does_and_leaks_where_iis_does() {
    for (balancer, logs_on, leaks) in [
        ("l4-nat", true, false),
        ("pin-on-401", true, false),
        ("close-per-request", false, false),
        ("shared-pool", true, true),
    ] {
        let mut stage = Stage::new(balancer, tracked(TrackedBy::Peer, TrackedCheck::Nothing));
        stage.client("alice", Agent::Curl, true);
        stage.client("mallory", Agent::Browser, false);
        let alice = stage.get("alice", &[]);
        assert_eq!((alice.status == Some(200), user(&alice).is_some()), (logs_on, logs_on), "{balancer}: {alice:?}");
        let mallory = stage.get("mallory", &[]);
        assert_eq!(user(&mallory), leaks.then_some("CORP\\alice"), "{balancer}");
    }
}

#[test]
fn the_token_keeps_a_shared_connection_from_leaking() {
    let mut stage = Stage::new("shared-pool", tracked(TrackedBy::Peer, TrackedCheck::Token));
    stage.client("alice", Agent::Curl, true);
    stage.client("mallory", Agent::Browser, false);
    assert_eq!(user(&stage.get("alice", &[])), Some("CORP\\alice"));
    assert_eq!(stage.get("mallory", &[]).status, Some(401));
    let again = stage.get("alice", &[]);
    assert_eq!((user(&again), again.requests), (Some("CORP\\alice"), 1), "her cookie is good");
}

#[test]
fn a_key_from_a_header_that_the_client_sets_is_a_claim_and_the_trace_has_both_ends_of_it() {
    let key = "Jespa-Connection-Id";
    let mut stage = Stage::new("l4-nat", tracked(TrackedBy::Header(key.into()), TrackedCheck::Nothing));
    stage.client("alice", Agent::Curl, true);
    stage.client("mallory", Agent::Browser, false);
    assert_eq!(user(&stage.get("alice", &[(key, "10.1.0.1:50000")])), Some("CORP\\alice"));
    assert_eq!(user(&stage.get("mallory", &[(key, "10.1.0.1:50000")])), Some("CORP\\alice"));
    let trace = stage.end();
    assert_eq!(trace.header.promises.trusted_header.as_deref(), Some(key));
    let count = |pick: fn(&What) -> bool| trace.events.iter().filter(|event| pick(&event.what)).count();
    assert_eq!(count(|what| matches!(what, What::ClientClaimed { .. })), 3);
    assert_eq!(count(|what| matches!(what, What::ServerTrusted { .. })), 3);
}

#[test]
fn a_site_that_trusts_a_header_believes_any_client_behind_a_balancer_that_lets_it_pass() {
    let mut stage = Stage::new("l4-nat", Acceptor::TrustedHeader("X-User".into()));
    stage.client("mallory", Agent::Browser, false);
    assert_eq!(stage.get("mallory", &[]).status, Some(403));
    assert_eq!(user(&stage.get("mallory", &[("X-User", "CORP\\alice")])), Some("CORP\\alice"));
}

#[test]
fn a_backend_that_misbehaves_ends_no_world_and_no_answer_of_its_is_whole() {
    let kinds = [Rogue::Garbage, Rogue::HalfHead, Rogue::HalfBody, Rogue::HeaderFlood, Rogue::Silent, Rogue::Closes];
    for balancer in ["l4-nat", "pin-on-401"] {
        for kind in kinds {
            let mut stage = Stage::new(balancer, Acceptor::Rogue(kind));
            stage.client("alice", Agent::Curl, true);
            for _ in 0..2 {
                let answer = stage.get("alice", &[]);
                assert_ne!(
                    (answer.status, answer.error.is_none()),
                    (Some(200), true),
                    "{balancer} {kind:?}: {answer:?}"
                );
            }
            stage.act(Action::Advance(Duration::from_secs(1)));
        }
        let mut stage = Stage::new(balancer, Acceptor::Rogue(Rogue::WrongLength));
        stage.client("alice", Agent::Browser, false);
        let answer = stage.get("alice", &[]);
        assert_eq!((answer.status, answer.body_length), (Some(200), 5), "{balancer}: the answer itself is well-formed");
    }
}
