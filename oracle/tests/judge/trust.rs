//! ID-4 and ID-5.

use stickler_model::{Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok};
use stickler_oracle::Requirement::{Id4, Id5};

use crate::trace_builder::{Answer, IIS1, Route, Start, TraceBuilder, user};

/// A client's request claims to be `claim`. The server trusts the value `trusted` and takes the request for `taken`.
fn claim(client: &str, claim: &str, trusted: Option<&str>, taken: &str) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.trusted_header = Some("X-Remote-User".into());
    let id = trace.start(client);
    trace.see(client, What::ClientClaimed { connection: 1, request: id, value: claim.into() });
    trace.send(id, 1, Leg::Anonymous);
    let number = trace.reach(id, IIS1, Leg::Anonymous);
    if let Some(value) = trusted {
        trace.see("iis1", What::ServerTrusted { connection: 1, number, request: Some(id), value: value.into() });
    }
    trace.answer(Answer {
        request: Some(id),
        route: IIS1,
        number,
        leg: Leg::Anonymous,
        status: 200,
        user: Some(user(taken)),
        body: Payload::Empty,
    });
    trace
}

#[test]
fn id4_is_violated_when_the_server_trusts_what_the_client_claimed() {
    assert_eq!(
        claim("bob", "alice", Some("alice"), "alice").summary(Id4),
        r#"iis1 took bob's request r1 on connection 1 for CORP\alice, by the header "alice" that the client itself had sent"#
    );
}

#[test]
fn id4_is_kept_when_the_header_is_overwritten_stripped_or_true() {
    for trace in [
        claim("bob", "alice", Some("bob"), "bob"),
        claim("bob", "alice", None, "bob"),
        claim("alice", "alice", Some("alice"), "alice"),
    ] {
        let verdict = trace.verdict(Id4);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn id4_is_not_put_to_the_test_without_a_claim_and_does_not_apply_where_no_header_is_trusted() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    assert_eq!(trace.grade(Id4), NotApplicable);
    trace.promises.trusted_header = Some("X-Remote-User".into());
    assert_eq!(trace.grade(Id4), NotExercised);
}

/// Starts a request of a client in the name of this user.
fn start_as(trace: &mut TraceBuilder, client: &str, who: &str) -> RequestId {
    trace.start_with(Start { identity: Some(user(who)), ..Start::by(client) })
}

/// carol replaces the user at the client `seat` and authenticates on the same connections.
fn carol_replaces_the_user() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.whole("seat", IIS1);
    let id = start_as(&mut trace, "seat", "carol");
    trace.handshake(id, IIS1);
    trace
}

#[test]
fn id5_is_kept_when_later_requests_are_the_new_users() {
    let mut trace = carol_replaces_the_user();
    let id = start_as(&mut trace, "seat", "carol");
    trace.exchange(id, IIS1, Leg::Anonymous, 200);
    let verdict = trace.verdict(Id5);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn id5_is_violated_when_the_former_user_comes_back() {
    let mut trace = carol_replaces_the_user();
    let id = start_as(&mut trace, "seat", "carol");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous, 200, Some(user("seat")));
    assert_eq!(
        trace.summary(Id5),
        r"seat's request r3 was processed as CORP\seat by iis1 on connection 2, though seat had authenticated as another user since"
    );
}

#[test]
fn id5_is_violated_when_another_client_becomes_the_new_user() {
    let mut trace = carol_replaces_the_user();
    let id = trace.start("bob");
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("carol")));
    assert_eq!(
        trace.summary(Id5),
        r"bob's request r3 was processed as CORP\carol by iis1 on connection 1, to which seat had given that identity by authenticating anew"
    );
}

#[test]
fn id5_is_not_put_to_the_test_by_the_same_user_authenticating_again() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.whole("alice", IIS1);
    assert_eq!(trace.grade(Id5), NotExercised);
}
