//! ID-1 to ID-3.

use stickler_model::event::Closed;
use stickler_model::{Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Hs5, Id1, Id2, Id3};

use crate::story::{Story, user};

#[test]
fn id1_is_kept_when_each_is_served_as_itself_in_any_spelling() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 2), Leg::Authenticate, 200, Some(user("BOB")));
    let verdict = story.verdict(Id1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn id1_is_violated_once_by_a_request_served_as_another_with_the_receipt_as_proof() {
    let mut story = Story::default();
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 2), Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        story.summary(Id1),
        r"bob's request r1 was processed as CORP\alice by iis1 on connection 2, but bob is CORP\bob"
    );
    assert_eq!(story.verdict(Id1).evidence[0].events, [1, 2, 3, 4]);
}

#[test]
fn the_evidence_begins_with_the_answer_that_gave_the_connection_its_identity() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 2));
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 2), Leg::Anonymous, 200, Some(user("alice")));
    let events = &story.verdict(Id1).evidence[0].events;
    let alice = RequestId(1);
    let gives = |what: &What| matches!(what, What::ServerAnswered { request, leg: Leg::Authenticate, status: 200, .. } if *request == Some(alice));
    assert_eq!(events.len(), 5);
    assert!(gives(&story.events[events[0]].what), "{events:?}");
}

#[test]
fn id1_is_violated_for_a_client_with_a_wrong_password_too() {
    let mut story = Story::default();
    let id = story.start_wrong("bob");
    story.exchange_as(id, (1, "iis1", 2), Leg::Anonymous, 200, Some(user("alice")));
    story.end(id, 200);
    assert_eq!((story.grade(Id1), story.grade(Hs5)), (Violated, Violated));
}

#[test]
fn id1_is_violated_by_an_answer_that_belongs_to_another() {
    let mut story = Story::default();
    let (alice, bob) = (story.start("alice"), story.start("bob"));
    story.serve(alice, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    story.receive(bob, 1, 200, Some(alice), Some(user("alice")));
    assert_eq!(story.summary(Id1), "bob received the answer to request r1 of alice for its request r2");
}

#[test]
fn id1_is_violated_by_an_answer_that_names_another_user() {
    let mut story = Story::default();
    let id = story.start("bob");
    story.receive(id, 1, 200, Some(id), Some(user("alice")));
    assert_eq!(story.summary(Id1), r"the answer to bob's request r1 is for CORP\alice, but bob is CORP\bob");
}

#[test]
fn id1_is_not_put_to_the_test_by_refusals_and_the_balancers_own_answers() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.receive(id, 1, 502, None, None);
    assert_eq!(story.grade(Id1), NotExercised);
}

#[test]
fn id2_is_kept_when_the_anonymous_are_refused_or_stay_anonymous() {
    let mut story = Story::default();
    let id = story.start_anonymous("bob");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 200);
    let verdict = story.verdict(Id2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn id2_is_violated_when_the_anonymous_are_served_as_somebody() {
    let mut story = Story::default();
    let id = story.start_anonymous("bob");
    story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        story.summary(Id2),
        r"bob's request r1 was processed as CORP\alice by iis1 on connection 1, but bob has no credentials"
    );
    assert_eq!(story.grade(Id1), NotExercised);
}

#[test]
fn id2_is_not_put_to_the_test_by_clients_with_credentials() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    assert_eq!(story.grade(Id2), NotExercised);
}

/// alice authenticates connection 1 of iis1 from her connection 1, and is gone.
fn departed() -> Story {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    story.close("alice", 1, Closed::Here);
    story
}

#[test]
fn id3_is_kept_when_the_next_one_gets_another_connection() {
    let mut story = departed();
    story.whole("bob", (1, "iis1", 2));
    let verdict = story.verdict(Id3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn id3_is_kept_when_the_connection_is_authenticated_anew() {
    let mut story = departed();
    story.whole("bob", (1, "iis1", 1));
    let id = story.start("bob");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 200);
    assert_eq!(story.grade(Id3), Ok);
}

#[test]
fn id3_is_violated_when_the_departed_connection_serves_another() {
    let mut story = departed();
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(
        story.summary(Id3),
        r"iis1 took bob's request r2 for CORP\alice on connection 1, which alice's connection 1 had authenticated, after that one was gone"
    );
    // The Authenticate leg's answer, the close, the request's arrival, and its answer.
    assert_eq!(story.verdict(Id3).evidence[0].events, [11, 14, 17, 18]);
}

#[test]
fn id3_is_violated_when_it_serves_the_same_client_on_a_new_connection_or_an_unknown_sender() {
    let mut story = departed();
    let id = story.start("alice");
    story.exchange(id, (2, "iis1", 1), Leg::Anonymous, 200);
    assert_eq!(story.grade(Id3), Violated);

    let mut story = departed();
    story.see("iis1", What::ServerReceived { connection: 1, number: 50, request: None, leg: Leg::Anonymous });
    story.answer(None, (0, "iis1", 1), 50, Leg::Anonymous, 200, Some(user("alice")), &Payload::Empty);
    assert!(story.summary(Id3).contains("a request of an unknown sender"));
}

#[test]
fn id3_does_not_count_what_was_under_way_when_the_connection_went() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let (late, early) = (story.start("alice"), story.start("alice"));
    story.send(early, 1, Leg::Anonymous);
    let number = story.reach(early, (1, "iis1", 1), Leg::Anonymous);
    story.send(late, 1, Leg::Anonymous);
    story.close("alice", 1, Closed::Here);
    story.answer(Some(early), (1, "iis1", 1), number, Leg::Anonymous, 200, Some(user("alice")), &Payload::Empty);
    story.serve(late, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(story.grade(Id3), Ok);
}

#[test]
fn id3_does_not_count_what_the_server_had_received_when_the_connection_went() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let (bob, carol) = (story.start("bob"), story.start("carol"));
    let number = story.reach(bob, (1, "iis1", 1), Leg::Anonymous);
    story.close("alice", 1, Closed::Here);
    story.answer(Some(bob), (1, "iis1", 1), number, Leg::Anonymous, 200, Some(user("alice")), &Payload::Empty);
    story.reach(carol, (1, "iis1", 2), Leg::Anonymous);
    assert_eq!((story.grade(Id1), story.grade(Id3)), (Violated, Ok));
}

#[test]
fn id3_counts_an_old_identity_that_outlives_a_negotiate_leg() {
    let mut story = departed();
    let id = story.start("bob");
    story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    assert_eq!(story.grade(Id3), Violated);
}

#[test]
fn id3_is_not_put_to_the_test_by_closes_at_the_end_or_of_connections_that_authenticated_nothing() {
    assert_eq!(departed().grade(Id3), NotExercised);
    let mut story = Story::default();
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.close("alice", 1, Closed::Here);
    story.handshake(id, (2, "iis1", 2));
    assert_eq!(story.grade(Id3), NotExercised);
    story.see(
        "iis1",
        What::ServerReceived { connection: 9, number: 1, request: Some(RequestId(77)), leg: Leg::Anonymous },
    );
    assert_eq!(story.grade(Id3), NotExercised);
}
