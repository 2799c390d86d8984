//! ST-2.

use stickler_model::Leg;
use stickler_model::event::Closed;
use stickler_oracle::Grade::{NonStrict, NotExercised, Ok};
use stickler_oracle::Requirement::St2;

use crate::story::Story;

/// alice authenticates her connection 1, and asks once more without a token.
fn asked_again(status: u16) -> Story {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, status);
    story
}

#[test]
fn st2_is_kept_when_the_next_request_is_served() {
    let verdict = asked_again(200).verdict(St2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn st2_is_not_strictly_followed_when_the_next_request_is_asked_for_credentials() {
    let story = asked_again(401);
    assert_eq!(story.grade(St2), NonStrict);
    assert_eq!(story.summary(St2), "alice's connection 1 was authenticated, but its request r2 was answered with 401");
}

#[test]
fn st2_is_kept_by_a_refusal_of_the_right_user() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start("alice");
    story.forbid(id, (1, "iis1", 1), Leg::Anonymous);
    assert_eq!(story.grade(St2), Ok);
}

#[test]
fn st2_is_not_put_to_the_test_on_new_connections_or_by_a_handshake_of_the_clients_own_accord() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    story.exchange(id, (2, "iis1", 2), Leg::Anonymous, 401);
    assert_eq!(story.grade(St2), NotExercised);

    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    story.close("alice", 1, Closed::ByPeer);
    story.whole("alice", (2, "iis1", 2));
    assert_eq!(story.grade(St2), NotExercised);
}
