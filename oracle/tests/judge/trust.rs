//! ID-4 and ID-5.

use stickler_model::event::Credentials;
use stickler_model::{Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok};
use stickler_oracle::Requirement::{Id4, Id5};

use crate::story::{Story, user};

/// A client's request that claims to be `claim`; the server trusts `trusted` and takes it for `taken`.
fn claim(client: &str, claim: &str, trusted: Option<&str>, taken: &str) -> Story {
    let mut story = Story::default();
    story.promises.trusted_header = Some("X-Remote-User".into());
    let id = story.start(client);
    story.see(client, What::ClientClaimed { connection: 1, request: id, value: claim.into() });
    story.send(id, 1, Leg::Anonymous);
    let number = story.reach(id, (1, "iis1", 1), Leg::Anonymous);
    if let Some(value) = trusted {
        story.see("iis1", What::ServerTrusted { connection: 1, number, request: Some(id), value: value.into() });
    }
    story.answer(Some(id), (1, "iis1", 1), number, Leg::Anonymous, 200, Some(user(taken)), &Payload::Empty);
    story
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
    for story in [
        claim("bob", "alice", Some("bob"), "bob"),
        claim("bob", "alice", None, "bob"),
        claim("alice", "alice", Some("alice"), "alice"),
    ] {
        let verdict = story.verdict(Id4);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    }
}

#[test]
fn id4_is_not_put_to_the_test_without_a_claim_and_does_not_apply_where_no_header_is_trusted() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    assert_eq!(story.grade(Id4), NotApplicable);
    story.promises.trusted_header = Some("X-Remote-User".into());
    assert_eq!(story.grade(Id4), NotExercised);
}

fn start_as(story: &mut Story, client: &str, who: &str) -> RequestId {
    story.start_for(client, Some(user(who)), Credentials::Valid, "GET", &Payload::Empty)
}

/// alice's seat is taken by carol, who authenticates on the same connections.
fn carol_takes_the_seat() -> Story {
    let mut story = Story::default();
    story.whole("seat", (1, "iis1", 1));
    let id = start_as(&mut story, "seat", "carol");
    story.handshake(id, (1, "iis1", 1));
    story
}

#[test]
fn id5_is_kept_when_later_requests_are_the_new_users() {
    let mut story = carol_takes_the_seat();
    let id = start_as(&mut story, "seat", "carol");
    story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 200);
    let verdict = story.verdict(Id5);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn id5_is_violated_when_the_former_user_comes_back() {
    let mut story = carol_takes_the_seat();
    let id = start_as(&mut story, "seat", "carol");
    story.exchange_as(id, (1, "iis1", 2), Leg::Anonymous, 200, Some(user("seat")));
    assert_eq!(
        story.summary(Id5),
        r"seat's request r3 was processed as CORP\seat by iis1 on connection 2, though seat had authenticated as another user since"
    );
}

#[test]
fn id5_is_violated_when_another_client_becomes_the_new_user() {
    let mut story = carol_takes_the_seat();
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("carol")));
    assert_eq!(
        story.summary(Id5),
        r"bob's request r3 was processed as CORP\carol by iis1 on connection 1, to which seat had given that identity by authenticating anew"
    );
}

#[test]
fn id5_is_not_put_to_the_test_by_the_same_user_authenticating_again() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    story.whole("alice", (1, "iis1", 1));
    assert_eq!(story.grade(Id5), NotExercised);
}
