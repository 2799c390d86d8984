//! HS-6, and what a lockout excuses.

use stickler_model::{Fault, Leg, RequestId, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Hs1, Hs6};

use crate::story::{LOCKOUT, Story, user};

const WRONG_PASSWORD: u32 = 0xC000_006A;
const LOCKED_OUT: u32 = 0xC000_0234;
const NO_LOGON_SERVERS: u32 = 0xC000_005E;

/// A client with a wrong password for `account` fails once.
fn mistyped(story: &mut Story, client: &str, account: &str, logon: u64) {
    let id = story.start_wrong(client);
    story.send(id, 1, Leg::Authenticate);
    story.logon(id, "iis1", logon, account, WRONG_PASSWORD);
    story.end(id, 401);
}

#[test]
fn hs6_is_kept_by_good_logons_and_by_mistyped_passwords() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.logon(id, "iis1", 1, "alice", 0);
    mistyped(&mut story, "bob", "bob", 2);
    let verdict = story.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn hs6_is_violated_by_a_failed_logon_with_valid_credentials() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.send(id, 1, Leg::Authenticate);
    story.logon(id, "iis1", 1, "alice", WRONG_PASSWORD);
    assert_eq!(
        story.summary(Hs6),
        r"the DC holds a failed logon of CORP\alice against request r1 of alice, whose credentials are valid"
    );
    assert_eq!(story.verdict(Hs6).evidence[0].events, [1, 2, 3]);
}

#[test]
fn hs6_is_violated_when_one_wrong_password_is_tried_twice() {
    let mut story = Story::default();
    let id = story.start_wrong("alice");
    story.send(id, 1, Leg::Authenticate);
    story.logon(id, "iis1", 1, "alice", WRONG_PASSWORD);
    assert_eq!(story.grade(Hs6), Ok);
    story.logon(id, "iis2", 1, "alice", WRONG_PASSWORD);
    assert!(story.summary(Hs6).contains("less often than they were tried"));
}

#[test]
fn hs6_is_violated_by_a_failed_logon_for_a_client_without_credentials() {
    let mut story = Story::default();
    let id = story.start_anonymous("bob");
    story.logon(id, "iis1", 1, "alice", WRONG_PASSWORD);
    assert!(story.summary(Hs6).contains("who has no credentials"));
}

#[test]
fn hs6_does_not_judge_an_unknown_sender() {
    let mut story = Story::default();
    story.logon(RequestId(99), "iis1", 1, "alice", WRONG_PASSWORD);
    assert_eq!(story.grade(Hs6), NotExercised);
}

#[test]
fn a_lockout_that_users_caused_excuses_hs6_and_hs1_and_one_that_they_did_not_cause_does_not() {
    for (mistakes, expected) in [(LOCKOUT, Ok), (LOCKOUT - 1, Violated)] {
        let mut story = Story::default();
        for logon in 1..=mistakes {
            mistyped(&mut story, "mallory", "ALICE", u64::from(logon));
        }
        let id = story.start("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Negotiate, 401);
        story.logon(id, "iis1", 9, "alice", LOCKED_OUT);
        story.end(id, 401);
        assert_eq!(story.grade(Hs6), expected, "{mistakes}");
        assert_eq!(story.grade(Hs1), expected, "{mistakes}");
    }
}

#[test]
fn a_good_logon_makes_earlier_mistakes_forgotten() {
    let mut story = Story::default();
    mistyped(&mut story, "mallory", "alice", 1);
    let id = story.start("alice");
    story.logon(id, "iis1", 2, "alice", 0);
    mistyped(&mut story, "mallory", "alice", 3);
    let id = story.start("alice");
    story.logon(id, "iis1", 4, "alice", LOCKED_OUT);
    assert_eq!(story.grade(Hs6), Violated);
}

#[test]
fn a_logon_number_that_begins_again_after_a_restart_is_tied_to_the_latest_decision() {
    let mut story = Story::default();
    let lost =
        What::DcLogon { server: "iis1".into(), logon: 1, account: user("bob"), status: WRONG_PASSWORD, bad_count: 1 };
    story.see("dc", lost);
    story.fault(Fault::Crash("iis1".into()));
    let id = story.start("alice");
    story.logon(id, "iis1", 1, "alice", 0);
    let verdict = story.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn a_decision_that_another_dc_was_asked_for_is_tied_to_the_servers_request() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.send(id, 1, Leg::Authenticate);
    // The first decision is for somebody else, though it has the number that the server gave its own question.
    for (by, server, logon) in [("dc-partner", "dc", 1), ("dc-partner", "dc", 2)] {
        let account = user("alice");
        story.see(by, What::DcLogon { server: server.into(), logon, account, status: WRONG_PASSWORD, bad_count: 1 });
    }
    let (account, to) = (user("alice"), "PARTNER".to_owned());
    let passed = What::DcPassedOn { server: "iis1".into(), logon: 1, account, to, passed: 2, status: WRONG_PASSWORD };
    story.see("dc", passed);
    let account = user("alice");
    story
        .see("iis1", What::ServerLogon { connection: 1, request: Some(id), logon: 1, account, status: WRONG_PASSWORD });
    let verdict = story.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Violated, 1));
    // The leg, the second decision, the server's note.
    assert_eq!(verdict.evidence[0].events, [1, 3, 5]);
}

#[test]
fn a_401_for_want_of_a_trust_is_not_the_balancers() {
    for (status, expected) in [(0xC000_018B, Ok), (0xC000_018D, Ok), (0xC000_019B, Ok), (0xC000_0001, Violated)] {
        let mut story = Story::default();
        let id = story.start("alice");
        story.logon(id, "iis1", 1, "alice", status);
        story.end(id, 401);
        assert_eq!((story.grade(Hs1), story.grade(Hs6)), (expected, Ok), "{status:08X}");
    }
}

#[test]
fn a_401_because_a_fault_keeps_the_dc_away_is_not_the_balancers() {
    for (fault, expected) in [(true, Ok), (false, Violated)] {
        let mut story = Story::default();
        if fault {
            story.fault(Fault::Crash("dc".into()));
        }
        let id = story.start("alice");
        let what = What::ServerLogon {
            connection: 1,
            request: Some(id),
            logon: 1,
            account: user("alice"),
            status: NO_LOGON_SERVERS,
        };
        story.see("iis1", what);
        story.end(id, 401);
        assert_eq!(story.grade(Hs1), expected);
    }
}
