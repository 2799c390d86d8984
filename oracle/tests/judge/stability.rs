//! ST-2.

use stickler_model::Leg;
use stickler_model::event::Closed;
use stickler_oracle::Grade::{NonStrict, NotExercised, Ok};
use stickler_oracle::Requirement::St2;

use crate::trace_builder::{IIS1, Route, TraceBuilder};

/// alice authenticates her connection 1 and then sends a request without a token, which is answered with this status.
fn asked_again(status: u16) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, status);
    trace
}

#[test]
fn st2_is_kept_when_the_next_request_is_served() {
    let verdict = asked_again(200).verdict(St2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn st2_is_not_strictly_followed_when_the_next_request_is_asked_for_credentials() {
    let trace = asked_again(401);
    assert_eq!(trace.grade(St2), NonStrict);
    assert_eq!(trace.summary(St2), "alice's connection 1 was authenticated, but its request r2 was answered with 401");
}

#[test]
fn st2_is_kept_by_a_refusal_of_the_right_user() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("alice");
    trace.forbid(id, IIS1, Leg::Anonymous);
    assert_eq!(trace.grade(St2), Ok);
}

#[test]
fn st2_is_not_put_to_the_test_on_new_connections_or_by_a_handshake_of_the_clients_own_accord() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.exchange(id, Route { client_connection: 2, server_connection: 2, ..IIS1 }, Leg::Anonymous, 401);
    assert_eq!(trace.grade(St2), NotExercised);

    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.close("alice", 1, Closed::ByPeer);
    trace.whole("alice", Route { client_connection: 2, server_connection: 2, ..IIS1 });
    assert_eq!(trace.grade(St2), NotExercised);
}

#[test]
fn st2_forgets_a_connection_that_was_closed_and_knows_one_with_another_number() {
    let again = |closed: Option<u32>| {
        let mut trace = TraceBuilder::default();
        trace.whole("alice", IIS1);
        if let Some(connection) = closed {
            trace.close("alice", connection, Closed::Here);
        }
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.grade(St2)
    };
    assert_eq!(again(None), NonStrict);
    assert_eq!(again(Some(2)), NonStrict);
    assert_eq!(again(Some(1)), NotExercised, "the number is used again");
}

#[test]
fn st2_takes_no_answer_for_one_to_a_request_that_was_under_way_when_its_connection_was_closed() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Anonymous);
    trace.close("alice", 1, Closed::Broken);
    trace.receive(id, 1, 401, Some(id), None);
    assert_eq!(trace.grade(St2), NotExercised);
}
