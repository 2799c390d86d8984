//! HS-6, and what a lockout excuses.

use stickler_model::site::SiteSpec;
use stickler_model::topology::{ControllerSpec, DomainSpec, PartnerSpec};
use stickler_model::{Fault, Leg, Principal, RequestId, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Hs1, Hs6};
use stickler_oracle::judge;

use crate::trace_builder::{IIS1, LOCKOUT, Logon, TraceBuilder, user};

const WRONG_PASSWORD: u32 = 0xC000_006A;
const LOCKED_OUT: u32 = 0xC000_0234;
const NO_LOGON_SERVERS: u32 = 0xC000_005E;

/// Adds one failed logon of a client with a wrong password for `account`.
fn mistyped(trace: &mut TraceBuilder, client: &str, account: &str, logon: u64) {
    let id = trace.start_wrong(client);
    trace.send(id, 1, Leg::Authenticate);
    trace.logon(id, Logon { server: "iis1", number: logon, account, status: WRONG_PASSWORD });
    trace.end(id, 401);
}

#[test]
fn hs6_is_kept_by_good_logons_and_by_mistyped_passwords() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0 });
    mistyped(&mut trace, "bob", "bob", 2);
    let verdict = trace.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn hs6_is_violated_by_a_failed_logon_with_valid_credentials() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Authenticate);
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: WRONG_PASSWORD });
    assert_eq!(
        trace.summary(Hs6),
        r"the DC holds a failed logon of CORP\alice against request r1 of alice, whose credentials are valid"
    );
    assert_eq!(trace.verdict(Hs6).evidence[0].events, [1, 2, 3]);
}

#[test]
fn hs6_is_violated_when_one_wrong_password_is_tried_twice() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_wrong("alice");
    trace.send(id, 1, Leg::Authenticate);
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: WRONG_PASSWORD });
    assert_eq!(trace.grade(Hs6), Ok);
    trace.logon(id, Logon { server: "iis2", number: 1, account: "alice", status: WRONG_PASSWORD });
    assert!(trace.summary(Hs6).contains("less often than they were tried"));
}

#[test]
fn hs6_compares_failures_with_the_authenticate_legs_that_were_sent_by_then() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_wrong("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.send(id, 1, Leg::Authenticate);
    for server in ["iis1", "iis2"] {
        trace.logon(id, Logon { server, number: 1, account: "alice", status: WRONG_PASSWORD });
    }
    trace.send(id, 1, Leg::Authenticate);
    assert_eq!(trace.grade(Hs6), Violated);
}

#[test]
fn hs6_is_violated_by_a_failed_logon_for_a_client_without_credentials() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_anonymous("bob");
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: WRONG_PASSWORD });
    assert!(trace.summary(Hs6).contains("who has no credentials"));
}

#[test]
fn hs6_does_not_judge_an_unknown_sender() {
    let mut trace = TraceBuilder::default();
    trace.logon(RequestId(99), Logon { server: "iis1", number: 1, account: "alice", status: WRONG_PASSWORD });
    assert_eq!(trace.grade(Hs6), NotExercised);
}

#[test]
fn a_lockout_that_users_caused_excuses_hs6_and_hs1_and_one_that_they_did_not_cause_does_not() {
    for (mistakes, expected) in [(LOCKOUT, Ok), (LOCKOUT - 1, Violated)] {
        let mut trace = TraceBuilder::default();
        for logon in 1..=mistakes {
            mistyped(&mut trace, "mallory", "ALICE", u64::from(logon));
        }
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.logon(id, Logon { server: "iis1", number: 9, account: "alice", status: LOCKED_OUT });
        trace.end(id, 401);
        assert_eq!(trace.grade(Hs6), expected, "{mistakes}");
        let blame =
            if expected == Ok { (NotExercised, Some(Party::Client)) } else { (Violated, Some(Party::Balancer)) };
        assert_eq!(trace.blame(Hs1), blame, "{mistakes}");
    }
}

#[test]
fn the_domain_of_the_account_says_after_how_many_mistakes_it_is_locked() {
    let partner = |threshold| PartnerSpec {
        domain: DomainSpec { netbios: "PARTNER".into(), lockout_threshold: threshold, ..DomainSpec::default() },
        ..PartnerSpec::default()
    };
    // The domain CORP locks accounts after LOCKOUT mistakes.
    for (domain, threshold, expected) in [
        ("PARTNER", Some(1), Ok),
        ("PARTNER", None, Violated),
        ("PARTNER", Some(2), Violated),
        ("CORP", Some(1), Violated),
    ] {
        let mut trace = TraceBuilder::default();
        let account = Principal::new(domain, "alice");
        let asks = |trace: &mut TraceBuilder, id, logon, status| {
            let (server, account) = ("iis1".into(), account.clone());
            trace.see("dc", What::DcLogon { server, logon, account: account.clone(), status, bad_count: 0 });
            trace.see("iis1", What::ServerLogon { connection: 1, request: Some(id), logon, account, status });
        };
        let mallory = trace.start_wrong("mallory");
        trace.send(mallory, 1, Leg::Authenticate);
        asks(&mut trace, mallory, 1, WRONG_PASSWORD);
        let alice = trace.start("alice");
        trace.send(alice, 1, Leg::Authenticate);
        asks(&mut trace, alice, 2, LOCKED_OUT);
        let mut trace = trace.build();
        trace.header.topology.partner = Some(partner(threshold));
        let verdicts = judge(&trace);
        let verdict = verdicts.iter().find(|verdict| verdict.requirement == Hs6).unwrap();
        assert_eq!(verdict.grade, expected, "{domain} {threshold:?}");
    }
}

#[test]
fn a_good_logon_makes_earlier_mistakes_forgotten() {
    let mut trace = TraceBuilder::default();
    mistyped(&mut trace, "mallory", "alice", 1);
    let id = trace.start("alice");
    trace.logon(id, Logon { server: "iis1", number: 2, account: "alice", status: 0 });
    mistyped(&mut trace, "mallory", "alice", 3);
    let id = trace.start("alice");
    trace.logon(id, Logon { server: "iis1", number: 4, account: "alice", status: LOCKED_OUT });
    assert_eq!(trace.grade(Hs6), Violated);
}

#[test]
fn a_logon_number_that_begins_again_after_a_restart_is_tied_to_the_latest_decision() {
    let mut trace = TraceBuilder::default();
    let lost =
        What::DcLogon { server: "iis1".into(), logon: 1, account: user("bob"), status: WRONG_PASSWORD, bad_count: 1 };
    trace.see("dc", lost);
    trace.fault(Fault::Crash("iis1".into()));
    let id = trace.start("alice");
    trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status: 0 });
    let verdict = trace.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn a_decision_that_another_dc_was_asked_for_is_tied_to_the_servers_request() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Authenticate);
    // The first decision belongs to another question, although it has the number that the server gave its own.
    for (by, server, logon) in [("dc-partner", "dc", 1), ("dc-partner", "dc", 2)] {
        let account = user("alice");
        trace.see(by, What::DcLogon { server: server.into(), logon, account, status: WRONG_PASSWORD, bad_count: 1 });
    }
    let (account, to) = (user("alice"), "PARTNER".to_owned());
    let passed = What::DcPassedOn { server: "iis1".into(), logon: 1, account, to, passed: 2, status: WRONG_PASSWORD };
    trace.see("dc", passed);
    let account = user("alice");
    trace
        .see("iis1", What::ServerLogon { connection: 1, request: Some(id), logon: 1, account, status: WRONG_PASSWORD });
    let verdict = trace.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Violated, 1));
    // The leg, the second decision, the server's record.
    assert_eq!(verdict.evidence[0].events, [1, 3, 5]);
}

#[test]
fn a_401_that_is_not_about_the_password_is_the_sites_and_one_that_is_the_balancers() {
    let (site, balancer) = ((NotExercised, Some(Party::SiteSetUp)), (Violated, Some(Party::Balancer)));
    for (status, expected, logon) in [
        (0xC000_018B, site, Ok),
        (0xC000_018D, site, Ok),
        (0xC000_019B, site, Ok),
        (0xC000_0001, site, Ok),
        (WRONG_PASSWORD, balancer, Violated),
        (0, balancer, Ok),
    ] {
        let mut trace = TraceBuilder::default();
        let id = trace.start("alice");
        trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status });
        trace.end(id, 401);
        assert_eq!((trace.blame(Hs1), trace.grade(Hs6)), (expected, logon), "{status:08X}");
    }
}

#[test]
fn a_401_because_a_fault_keeps_the_dc_away_is_not_the_balancers() {
    for (fault, party) in [
        (Some(Fault::Crash("dc".into())), Party::InjectedFault),
        (Some(Fault::Hold("dc".into(), "iis1".into())), Party::InjectedFault),
        (Some(Fault::Hold("dc".into(), "iis2".into())), Party::SiteSetUp),
        (None, Party::SiteSetUp),
    ] {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        if let Some(fault) = fault {
            trace.fault(fault);
        }
        let id = trace.start("alice");
        let what = What::ServerLogon {
            connection: 1,
            request: Some(id),
            logon: 1,
            account: user("alice"),
            status: NO_LOGON_SERVERS,
        };
        trace.see("iis1", what);
        trace.end(id, 401);
        assert_eq!(trace.blame(Hs1), (NotExercised, Some(party)));
    }
}

#[test]
fn a_dc_that_is_behind_is_the_sites_and_one_that_is_behind_for_somebody_else_is_not() {
    for (outdated, status, expected) in [
        ("ALICE", WRONG_PASSWORD, (NotExercised, Some(Party::SiteSetUp))),
        ("bob", WRONG_PASSWORD, (Violated, Some(Party::Balancer))),
    ] {
        let mut trace = TraceBuilder::default();
        trace.controllers =
            vec![ControllerSpec { outdated: vec![outdated.into()], ..ControllerSpec::new("dc".into()) }];
        let id = trace.start("alice");
        trace.logon(id, Logon { server: "iis1", number: 1, account: "alice", status });
        trace.end(id, 401);
        assert_eq!((trace.blame(Hs1), trace.blame(Hs6)), (expected, expected), "{outdated}");
    }
    let mut trace = TraceBuilder::default();
    trace.controllers = vec![ControllerSpec { outdated: vec!["alice".into()], ..ControllerSpec::new("dc".into()) }];
    mistyped(&mut trace, "mallory", "alice", 1);
    let verdict = trace.verdict(Hs6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1), "a wrong password is wrong there as well");
}
