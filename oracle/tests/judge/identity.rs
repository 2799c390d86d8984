//! ID-1 to ID-3.

use stickler_model::event::Closed;
use stickler_model::{Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Hs5, Id1, Id2, Id3};

use crate::trace_builder::{Answer, IIS1, Route, TraceBuilder, user};

#[test]
fn id1_is_kept_when_each_is_served_as_itself_in_any_spelling() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("bob");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Authenticate, 200, Some(user("BOB")));
    let verdict = trace.verdict(Id1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn id1_is_violated_once_by_a_request_served_as_another_with_the_receipt_as_proof() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("bob");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        trace.summary(Id1),
        r"bob's request r1 was processed as CORP\alice by iis1 on connection 2, but bob is CORP\bob"
    );
    assert_eq!(trace.verdict(Id1).evidence[0].events, [1, 2, 3, 4]);
}

#[test]
fn the_evidence_begins_with_the_answer_that_gave_the_connection_its_identity() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", Route { server_connection: 2, ..IIS1 });
    let id = trace.start("bob");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous, 200, Some(user("alice")));
    let events = &trace.verdict(Id1).evidence[0].events;
    let alice = RequestId(1);
    let gives = |what: &What| matches!(what, What::ServerAnswered { request, leg: Leg::Authenticate, status: 200, .. } if *request == Some(alice));
    assert_eq!(events.len(), 5);
    assert!(gives(&trace.events[events[0]].what), "{events:?}");
}

#[test]
fn id1_is_violated_for_a_client_with_a_wrong_password_too() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_wrong("bob");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous, 200, Some(user("alice")));
    trace.end(id, 200);
    assert_eq!((trace.grade(Id1), trace.grade(Hs5)), (Violated, Violated));
}

#[test]
fn id1_is_violated_by_an_answer_that_belongs_to_another() {
    let mut trace = TraceBuilder::default();
    let (alice, bob) = (trace.start("alice"), trace.start("bob"));
    trace.serve(alice, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    trace.receive(bob, 1, 200, Some(alice), Some(user("alice")));
    assert_eq!(trace.summary(Id1), "bob received the answer to request r1 of alice for its request r2");
}

#[test]
fn id1_is_violated_by_an_answer_that_names_another_user() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("bob");
    trace.receive(id, 1, 200, Some(id), Some(user("alice")));
    assert_eq!(trace.summary(Id1), r"the answer to bob's request r1 is for CORP\alice, but bob is CORP\bob");
}

#[test]
fn id1_counts_an_answer_for_a_third_user_beside_the_request_that_was_served_as_another() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("bob");
    trace.send(id, 1, Leg::Anonymous);
    trace.serve(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    trace.receive(id, 1, 200, Some(id), Some(user("carol")));
    let summaries: Vec<String> = trace.verdict(Id1).evidence.into_iter().map(|evidence| evidence.summary).collect();
    assert_eq!(
        summaries,
        [
            r"bob's request r1 was processed as CORP\alice by iis1 on connection 1, but bob is CORP\bob",
            r"the answer to bob's request r1 is for CORP\carol, but bob is CORP\bob"
        ]
    );
}

#[test]
fn id1_is_not_put_to_the_test_by_refusals_and_the_balancers_own_answers() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.receive(id, 1, 502, None, None);
    assert_eq!(trace.grade(Id1), NotExercised);
}

#[test]
fn id2_is_kept_when_the_anonymous_are_refused_or_stay_anonymous() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_anonymous("bob");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.exchange(id, IIS1, Leg::Anonymous, 200);
    let verdict = trace.verdict(Id2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn id2_is_violated_when_the_anonymous_are_served_as_somebody() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_anonymous("bob");
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        trace.summary(Id2),
        r"bob's request r1 was processed as CORP\alice by iis1 on connection 1, but bob has no credentials"
    );
    assert_eq!(trace.grade(Id1), NotExercised);
}

/// IIS looks for the page only after it has authenticated the request, and logs the user beside the 404.
#[test]
fn id2_is_violated_by_a_404_for_somebody_elses_user() {
    for (taken_for, expected) in [(Some(user("alice")), Violated), (None, Ok)] {
        let mut trace = TraceBuilder::default();
        let id = trace.start_anonymous("bob");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 404, taken_for);
        assert_eq!(trace.grade(Id2), expected);
    }
}

#[test]
fn id2_is_not_put_to_the_test_by_clients_with_credentials() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    assert_eq!(trace.grade(Id2), NotExercised);
}

/// alice has authenticated connection 1 of iis1 from her connection 1, which is closed now.
fn departed() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.close("alice", 1, Closed::Here);
    trace
}

#[test]
fn id3_is_kept_when_the_next_one_gets_another_connection() {
    let mut trace = departed();
    trace.whole("bob", Route { server_connection: 2, ..IIS1 });
    let verdict = trace.verdict(Id3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn id3_is_kept_when_the_connection_is_authenticated_anew() {
    let mut trace = departed();
    trace.whole("bob", IIS1);
    let id = trace.start("bob");
    trace.exchange(id, IIS1, Leg::Anonymous, 200);
    assert_eq!(trace.grade(Id3), Ok);
}

#[test]
fn id3_is_not_put_to_the_test_by_the_end_of_a_connection_whose_identity_another_has_replaced() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.whole("bob", IIS1);
    trace.close("alice", 1, Closed::Here);
    trace.again("bob", IIS1);
    assert_eq!(trace.grade(Id3), NotExercised);
    trace.close("bob", 1, Closed::Here);
    trace.whole("carol", IIS1);
    let verdict = trace.verdict(Id3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn id3_is_violated_when_the_departed_connection_serves_another() {
    let mut trace = departed();
    let id = trace.start("bob");
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        trace.summary(Id3),
        r"iis1 took bob's request r2 for CORP\alice on connection 1, which alice's connection 1 had authenticated, after that one was gone"
    );
    // The Authenticate leg's answer, the close, the request's arrival, and its answer.
    assert_eq!(trace.verdict(Id3).evidence[0].events, [11, 14, 17, 18]);
}

#[test]
fn id3_is_violated_when_it_serves_the_same_client_on_a_new_connection_or_an_unknown_sender() {
    let mut trace = departed();
    let id = trace.start("alice");
    trace.exchange(id, Route { client_connection: 2, ..IIS1 }, Leg::Anonymous, 200);
    assert_eq!(trace.grade(Id3), Violated);

    let mut trace = departed();
    trace.see("iis1", What::ServerReceived { connection: 1, number: 50, request: None, leg: Leg::Anonymous });
    trace.answer(Answer {
        request: None,
        route: IIS1,
        number: 50,
        leg: Leg::Anonymous,
        status: 200,
        user: Some(user("alice")),
        body: Payload::Empty,
    });
    assert!(trace.summary(Id3).contains("a request of an unknown sender"));
}

#[test]
fn id3_does_not_count_what_was_under_way_when_the_connection_went() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let (late, early) = (trace.start("alice"), trace.start("alice"));
    trace.send(early, 1, Leg::Anonymous);
    let number = trace.reach(early, IIS1, Leg::Anonymous);
    trace.send(late, 1, Leg::Anonymous);
    trace.close("alice", 1, Closed::Here);
    trace.answer(Answer {
        request: Some(early),
        route: IIS1,
        number,
        leg: Leg::Anonymous,
        status: 200,
        user: Some(user("alice")),
        body: Payload::Empty,
    });
    trace.serve(late, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(trace.grade(Id3), Ok);
}

#[test]
fn id3_does_not_count_what_the_server_had_received_when_the_connection_went() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let (bob, carol) = (trace.start("bob"), trace.start("carol"));
    let number = trace.reach(bob, IIS1, Leg::Anonymous);
    trace.close("alice", 1, Closed::Here);
    trace.answer(Answer {
        request: Some(bob),
        route: IIS1,
        number,
        leg: Leg::Anonymous,
        status: 200,
        user: Some(user("alice")),
        body: Payload::Empty,
    });
    trace.reach(carol, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous);
    assert_eq!((trace.grade(Id1), trace.grade(Id3)), (Violated, Ok));
}

#[test]
fn id3_counts_an_old_identity_that_outlives_a_negotiate_leg() {
    let mut trace = departed();
    let id = trace.start("bob");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(trace.grade(Id3), Violated);
}

#[test]
fn id3_is_not_put_to_the_test_by_closes_at_the_end_or_of_connections_that_authenticated_nothing() {
    assert_eq!(departed().grade(Id3), NotExercised);
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.close("alice", 1, Closed::Here);
    trace.handshake(id, Route { client_connection: 2, server_connection: 2, ..IIS1 });
    assert_eq!(trace.grade(Id3), NotExercised);
    trace.see(
        "iis1",
        What::ServerReceived { connection: 9, number: 1, request: Some(RequestId(77)), leg: Leg::Anonymous },
    );
    assert_eq!(trace.grade(Id3), NotExercised);
}
