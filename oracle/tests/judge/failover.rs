//! FO-1 to FO-3, FO-6 and FO-7.

use std::time::Duration;

use stickler_model::event::{Closed, Credentials};
use stickler_model::trace::{Checks, Spread, SpreadUnit};
use stickler_model::{Fault, Leg, Payload};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok};
use stickler_oracle::Requirement::{Fo1, Fo2, Fo3, Fo6, Fo7};

use crate::story::{Story, user};

/// Seconds until a death is noticed, and until a return is.
const FALL: u64 = 7;
const RISE: u64 = 5;

/// alice is at iis1, bob at iis2; the checks are declared.
fn two_backends() -> Story {
    let mut story = Story::default();
    story.promises.checks = Some(Checks {
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        user: None,
    });
    story.arrive("alice", (1, "iis1", 1));
    story.arrive("bob", (1, "iis2", 1));
    story
}

fn crashed(host: &str, seconds: u64) -> Story {
    let mut story = two_backends();
    story.fault(Fault::Crash(host.into()));
    story.pass(seconds);
    story
}

#[test]
fn fo1_is_kept_when_the_orphaned_client_logs_on_elsewhere() {
    let mut story = crashed("iis1", FALL);
    story.arrive("alice", (2, "iis2", 2));
    story.again("alice", (2, "iis2", 2));
    let verdict = story.verdict(Fo1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo1_is_violated_by_an_error_after_the_time_promised() {
    let mut story = crashed("iis1", FALL);
    story.turned_away("alice", 1, 503);
    assert_eq!(story.summary(Fo1), "alice's request r3 ended in 503, long after iis1 died, while iis2 was up");
}

#[test]
fn fo1_is_violated_by_service_under_an_identity_that_another_client_gave() {
    let mut story = crashed("iis1", FALL);
    let same = story.start_for("twin", Some(user("alice")), Credentials::Valid, "GET", &Payload::Empty);
    story.handshake(same, (1, "iis2", 3));
    story.again("alice", (2, "iis2", 3));
    assert_eq!(
        story.summary(Fo1),
        r"alice's request r4 was served as CORP\alice by iis2 on connection 3 after iis1 died, by the identity that twin had given it"
    );
}

#[test]
fn fo1_is_not_put_to_the_test_early_by_others_or_with_no_backend_up_and_needs_checks() {
    let mut early = crashed("iis1", FALL - 1);
    early.turned_away("alice", 1, 503);
    let mut other = crashed("iis1", FALL);
    other.turned_away("bob", 1, 503);
    let mut none = crashed("iis1", 0);
    none.fault(Fault::Crash("iis2".into()));
    none.pass(FALL);
    none.turned_away("alice", 1, 503);
    for mut story in [early, other, none] {
        assert_eq!(story.grade(Fo1), NotExercised);
        story.promises.checks = None;
        assert_eq!(story.grade(Fo1), NotApplicable);
    }
}

#[test]
fn fo2_is_kept_by_one_leg_on_one_connection_and_by_a_client_that_tries_anew() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start("alice");
    story.exchange(id, (2, "iis1", 2), Leg::Authenticate, 401);
    story.exchange(id, (3, "iis1", 3), Leg::Authenticate, 200);
    let verdict = story.verdict(Fo2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 3));
}

#[test]
fn fo2_is_violated_by_a_leg_that_its_client_sent_once_and_two_connections_received() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.send(id, 1, Leg::Authenticate);
    story.reach(id, (1, "iis1", 1), Leg::Authenticate);
    story.reach(id, (1, "iis2", 1), Leg::Authenticate);
    assert_eq!(
        story.summary(Fo2),
        "alice's request r1: iis2 received the Authenticate leg on connection 1, \
         where the client has sent 1 and servers have received it on 2 connections"
    );
}

#[test]
fn fo2_is_not_put_to_the_test_without_an_authenticate_leg() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    assert_eq!(story.grade(Fo2), NotExercised);
}

/// A POST that is processed on two connections; the client sends it on these of its own.
fn posted_twice(sent_on: &[u32]) -> Story {
    let mut story = Story::default();
    let id = story.start_post("alice", &Payload::Bytes(9));
    for &connection in sent_on {
        story.send(id, connection, Leg::Authenticate);
        if connection > 1 {
            story.close("alice", connection - 1, Closed::Broken);
        }
    }
    story.serve(id, (1, "iis1", 1), Leg::Authenticate, 200, Some(user("alice")));
    story.serve(id, (1, "iis2", 1), Leg::Authenticate, 200, Some(user("alice")));
    story.end(id, 200);
    story
}

#[test]
fn fo3_is_violated_by_a_post_that_is_sent_once_and_processed_twice() {
    assert_eq!(posted_twice(&[1]).summary(Fo3), "alice's POST r1 was processed 2 times");
}

#[test]
fn fo3_is_kept_by_once_and_by_a_client_that_lost_its_connection_and_asked_again() {
    assert_eq!(posted_twice(&[1, 2]).grade(Fo3), Ok);
    let mut story = Story::default();
    let id = story.start_post("alice", &Payload::Bytes(9));
    story.handshake(id, (1, "iis1", 1));
    let verdict = story.verdict(Fo3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo3_is_not_put_to_the_test_by_what_is_idempotent_or_not_processed() {
    let mut story = Story::default();
    story.whole("alice", (1, "iis1", 1));
    let id = story.start_post("alice", &Payload::Bytes(9));
    story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
    assert_eq!(story.grade(Fo3), NotExercised);
}

/// iis1 has been back for so many seconds.
fn back(seconds: u64) -> Story {
    let mut story = crashed("iis1", 60);
    story.fault(Fault::Restart("iis1".into()));
    story.pass(seconds);
    story
}

#[test]
fn fo6_is_kept_when_the_backend_serves_again() {
    let mut story = back(1);
    story.arrive("carol", (1, "iis1", 1));
    let verdict = story.verdict(Fo6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo6_is_violated_by_a_503_after_the_time_promised() {
    let mut story = back(RISE);
    story.turned_away("carol", 1, 503);
    assert!(
        story.summary(Fo6).starts_with("carol's request r3 was answered with 503, though iis1 has been back since")
    );
    let mut early = back(RISE - 1);
    early.turned_away("carol", 1, 503);
    assert_eq!(early.grade(Fo6), NotExercised);
}

#[test]
fn fo6_is_violated_when_all_new_clients_go_elsewhere_though_a_spread_is_promised() {
    let arrivals = |count: u32| {
        let mut story = back(RISE);
        story.promises.spread =
            Some(Spread { unit: SpreadUnit::Connections, percent: 0, units: 1, weights: Vec::new() });
        for client in 1..=count {
            story.arrive(&format!("client{client}"), (1, "iis2", client + 1));
        }
        story
    };
    assert_eq!(arrivals(31).grade(Fo6), NotExercised);
    assert!(arrivals(40).summary(Fo6).ends_with("and 32 new clients went elsewhere"));
}

#[test]
fn fo6_is_not_put_to_the_test_without_a_return_and_does_not_apply_without_checks() {
    let mut story = crashed("iis1", FALL);
    story.arrive("carol", (1, "iis2", 2));
    assert_eq!(story.grade(Fo6), NotExercised);
    story.promises.checks = None;
    assert_eq!(story.grade(Fo6), NotApplicable);
}

/// Both backends have been dead for so many seconds.
fn dark(seconds: u64) -> Story {
    let mut story = crashed("iis1", 1);
    story.fault(Fault::PowerLoss("iis2".into()));
    story.pass(seconds);
    story
}

#[test]
fn fo7_is_kept_by_a_prompt_503_and_by_a_refused_connection() {
    let mut story = dark(FALL);
    story.turned_away("alice", 1, 503);
    let id = story.start("bob");
    story.fail(id);
    let verdict = story.verdict(Fo7);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn fo7_is_violated_by_another_status_a_late_503_a_connection_that_is_taken_and_by_silence() {
    let told = |story: Story| story.summary(Fo7).split_once(" r3 ").unwrap().1.to_owned();
    let mut wrong = dark(FALL);
    wrong.turned_away("alice", 1, 502);
    assert_eq!(told(wrong), "ended in 502, not in 503, with no backend left");

    let mut late = dark(FALL);
    let id = late.start("alice");
    late.pass(30);
    late.end(id, 503);
    assert!(told(late).starts_with("ended only after 30.0"));

    let mut taken = dark(FALL);
    let id = taken.start("alice");
    taken.connect("alice", 2);
    taken.send(id, 2, Leg::Anonymous);
    taken.fail(id);
    assert_eq!(told(taken), "was taken, and ended without an answer, with no backend left");

    let mut silent = dark(FALL);
    silent.start("alice");
    silent.pass(2);
    silent.close("bob", 1, Closed::Here);
    assert!(told(silent).starts_with("has no answer after 2.0"));
}

#[test]
fn fo7_is_not_put_to_the_test_early_or_with_a_backend_left_and_needs_checks() {
    let mut early = dark(FALL - 1);
    early.turned_away("alice", 1, 502);
    let mut left = crashed("iis1", FALL);
    left.turned_away("alice", 1, 502);
    for mut story in [early, left] {
        assert_eq!(story.grade(Fo7), NotExercised);
        story.promises.checks = None;
        assert_eq!(story.grade(Fo7), NotApplicable);
    }
}
