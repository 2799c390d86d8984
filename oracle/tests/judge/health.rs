//! HC-1 and HC-2.

use std::time::Duration;

use stickler_model::trace::Checks;
use stickler_model::{Fault, Leg, RequestId};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok};
use stickler_oracle::Requirement::{Hc1, Hc2};

use crate::story::{Story, user};

const NO_LOGON_SERVERS: u32 = 0xC000_005E;
/// Seconds until what a check finds is known.
const FALL: u64 = 7;

fn checked(authenticated: bool) -> Story {
    let mut story = Story::default();
    story.promises.checks = Some(Checks {
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        user: authenticated.then(|| user("probe")),
    });
    story.whole("bob", (1, "iis2", 1));
    story
}

/// A logon that finds no DC.
fn fails(story: &mut Story, id: RequestId, server: &str, connection: u32) {
    story.send(id, 1, Leg::Authenticate);
    story.reach(id, (1, server, connection), Leg::Authenticate);
    story.logon(id, server, u64::from(connection), "alice", NO_LOGON_SERVERS);
    story.receive(id, 1, 401, Some(id), None);
}

/// iis1 cannot authenticate, and that has been so for so many seconds.
fn cut_off(seconds: u64) -> Story {
    let mut story = checked(true);
    let id = story.start("alice");
    fails(&mut story, id, "iis1", 1);
    story.end(id, 401);
    story.pass(seconds);
    story
}

#[test]
fn hc1_is_kept_when_nobody_is_sent_to_a_backend_that_cannot_authenticate() {
    let mut story = cut_off(FALL);
    story.whole("alice", (2, "iis2", 2));
    let verdict = story.verdict(Hc1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn hc1_is_violated_when_clients_are_still_sent_there() {
    let late = |seconds| {
        let mut story = cut_off(seconds);
        let id = story.start("carol");
        fails(&mut story, id, "iis1", 2);
        story
    };
    let summary = late(FALL).summary(Hc1);
    assert!(
        summary.starts_with("carol's request r3 was sent to iis1, which had found no logon server since"),
        "{summary}"
    );
    assert!(summary.ends_with("while iis2 was well"), "{summary}");
    assert_eq!(late(FALL - 1).grade(Hc1), NotExercised);
}

#[test]
fn hc1_blames_nobody_when_the_dc_is_down_for_all() {
    let mut story = cut_off(0);
    let id = story.start("bob");
    fails(&mut story, id, "iis2", 9);
    story.pass(FALL);
    let id = story.start("carol");
    fails(&mut story, id, "iis1", 2);
    assert_eq!(story.grade(Hc1), Ok);
}

#[test]
fn hc1_is_violated_by_a_503_where_a_plain_401_was_taken_for_down() {
    let mut story = checked(false);
    story.check("iis2", 9, 401, None);
    story.turned_away("alice", 1, 503);
    assert_eq!(
        story.summary(Hc1),
        "alice's request r2 was answered with 503, though iis2 is up and answered a check with 401"
    );
}

#[test]
fn hc1_is_kept_where_a_plain_401_is_alive_and_a_503_has_its_fault() {
    let mut story = checked(false);
    story.check("iis2", 9, 401, None);
    story.whole("alice", (1, "iis2", 2));
    assert_eq!(story.grade(Hc1), Ok);
    story.fault(Fault::Crash("iis2".into()));
    story.turned_away("alice", 1, 503);
    assert_eq!(story.grade(Hc1), Ok);
}

#[test]
fn hc1_is_not_put_to_the_test_on_a_sound_farm_and_does_not_apply_without_checks() {
    let mut story = checked(true);
    story.whole("alice", (1, "iis1", 1));
    assert_eq!(story.grade(Hc1), NotExercised);
    story.promises.checks = None;
    assert_eq!(story.grade(Hc1), NotApplicable);
}

#[test]
fn hc2_is_kept_by_a_check_on_a_connection_of_its_own() {
    let mut story = checked(true);
    story.check("iis1", 9, 200, Some(user("probe")));
    story.whole("alice", (1, "iis1", 1));
    let verdict = story.verdict(Hc2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn hc2_is_violated_by_a_client_on_the_checks_connection() {
    let mut story = checked(true);
    story.check("iis1", 9, 200, Some(user("probe")));
    let id = story.start("alice");
    story.exchange_as(id, (1, "iis1", 9), Leg::Anonymous, 200, Some(user("probe")));
    assert_eq!(
        story.summary(Hc2),
        "iis1 received alice's request r2 on connection 9, which a health check had authenticated"
    );
}

#[test]
fn hc2_is_not_put_to_the_test_without_a_checks_logon_and_does_not_apply_without_its_account() {
    let mut story = checked(true);
    story.check("iis1", 9, 401, None);
    story.whole("alice", (1, "iis1", 9));
    assert_eq!(story.grade(Hc2), NotExercised);
    story.promises.checks.as_mut().unwrap().user = None;
    assert_eq!(story.grade(Hc2), NotApplicable);
}
