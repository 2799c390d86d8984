//! FO-1 to FO-3, FO-6 and FO-7.

use std::time::Duration;

use stickler_model::event::Closed;
use stickler_model::trace::{Checks, NoneLeft, Service, Spread, SpreadUnit};
use stickler_model::{Action, Fault, Leg, Name, Payload, standard};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo1, Fo2, Fo3, Fo6, Fo7, Hs1};

use crate::trace_builder::{IIS1, IIS2, Logon, Route, Start, TraceBuilder, user};

/// Seconds in which the declared checks notice a death.
const FALL: u64 = 7;
/// Seconds in which the declared checks notice a return.
const RISE: u64 = 5;

/// alice is served by iis1, bob by iis2. Health checks are declared.
fn two_backends() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.checks = Some(Checks {
        after_end: false,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        user: None,
    });
    trace.arrive("alice", IIS1);
    trace.arrive("bob", IIS2);
    trace
}

/// A host crashed this many seconds ago.
fn crashed(host: &str, seconds: u64) -> TraceBuilder {
    let mut trace = two_backends();
    trace.fault(Fault::Crash(host.into()));
    trace.pass(seconds);
    trace
}

#[test]
fn fo1_is_kept_when_the_orphaned_client_logs_on_elsewhere() {
    let mut trace = crashed("iis1", FALL);
    trace.arrive("alice", Route { client_connection: 2, server_connection: 2, ..IIS2 });
    trace.again("alice", Route { client_connection: 2, server_connection: 2, ..IIS2 });
    let verdict = trace.verdict(Fo1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo1_is_violated_by_an_error_after_the_time_promised() {
    let mut trace = crashed("iis1", FALL);
    trace.turned_away("alice", 1, 503);
    assert_eq!(trace.summary(Fo1), "alice's request r3 ended in 503, long after iis1 died, while iis2 was up");
}

#[test]
fn fo1_is_violated_by_a_401_unless_the_site_refuses_the_account_or_the_server_the_user() {
    let there = Route { client_connection: 2, server_connection: 2, ..IIS2 };
    let grade = |forbidden: bool, status: u32| {
        let mut trace = crashed("iis1", FALL);
        let id = trace.start("alice");
        trace.exchange(id, there, Leg::Negotiate, 401);
        trace.logon(id, Logon { server: "iis2", number: 1, account: "alice", status });
        if forbidden {
            trace.forbid(id, there, Leg::Authenticate);
        } else {
            trace.exchange(id, there, Leg::Authenticate, 401);
        }
        trace.end(id, 401);
        trace.grade(Fo1)
    };
    assert_eq!(grade(false, 0), Violated);
    assert_eq!(grade(true, 0), Ok, "the server refuses alice");
    assert_eq!(grade(false, 0xC000_018B), Ok, "the domain has no account of the server");
}

#[test]
fn fo1_is_violated_by_service_under_an_identity_that_another_client_gave() {
    let mut trace = crashed("iis1", FALL);
    let same = trace.start_with(Start { identity: Some(user("alice")), ..Start::by("twin") });
    trace.handshake(same, Route { server_connection: 3, ..IIS2 });
    trace.again("alice", Route { client_connection: 2, server_connection: 3, ..IIS2 });
    assert_eq!(
        trace.summary(Fo1),
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
    for mut trace in [early, other, none] {
        assert_eq!(trace.grade(Fo1), NotExercised);
        trace.promises.checks = None;
        assert_eq!(trace.grade(Fo1), NotApplicable);
    }
}

#[test]
fn fo2_is_kept_by_one_leg_on_one_connection_and_by_a_client_that_tries_anew() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start("alice");
    trace.exchange(id, Route { client_connection: 2, server_connection: 2, ..IIS1 }, Leg::Authenticate, 401);
    trace.exchange(id, Route { client_connection: 3, server_connection: 3, ..IIS1 }, Leg::Authenticate, 200);
    let verdict = trace.verdict(Fo2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 3));
}

#[test]
fn fo2_is_violated_by_a_leg_that_its_client_sent_once_and_two_connections_received() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Authenticate);
    trace.reach(id, IIS1, Leg::Authenticate);
    trace.reach(id, IIS2, Leg::Authenticate);
    assert_eq!(
        trace.summary(Fo2),
        "alice's request r1: iis2 received the Authenticate leg on connection 1, \
         where the client has sent 1 and servers have received it on 2 connections"
    );
}

#[test]
fn fo2_is_not_put_to_the_test_without_an_authenticate_leg() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    assert_eq!(trace.grade(Fo2), NotExercised);
}

/// A POST that is processed on two connections of the server. The client sends it on the connections `sent_on`.
fn posted_twice(sent_on: &[u32]) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let id = trace.start_post("alice", &Payload::Bytes(9));
    for &connection in sent_on {
        trace.send(id, connection, Leg::Authenticate);
        if connection > 1 {
            trace.close("alice", connection - 1, Closed::Broken);
        }
    }
    trace.serve(id, IIS1, Leg::Authenticate, 200, Some(user("alice")));
    trace.serve(id, IIS2, Leg::Authenticate, 200, Some(user("alice")));
    trace.end(id, 200);
    trace
}

#[test]
fn fo3_is_violated_by_a_post_that_is_sent_once_and_processed_twice() {
    assert_eq!(posted_twice(&[1]).summary(Fo3), "alice's POST r1 was processed 2 times");
}

#[test]
fn fo3_is_kept_by_once_and_by_a_client_that_lost_its_connection_and_asked_again() {
    assert_eq!(posted_twice(&[1, 2]).grade(Fo3), Ok);
    let mut trace = TraceBuilder::default();
    let id = trace.start_post("alice", &Payload::Bytes(9));
    trace.handshake(id, IIS1);
    let verdict = trace.verdict(Fo3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo3_is_not_put_to_the_test_by_what_is_idempotent_or_not_processed() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start_post("alice", &Payload::Bytes(9));
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    assert_eq!(trace.grade(Fo3), NotExercised);
}

/// iis1 was restarted this many seconds ago.
fn back(seconds: u64) -> TraceBuilder {
    let mut trace = crashed("iis1", 60);
    trace.fault(Fault::Restart("iis1".into()));
    trace.pass(seconds);
    trace
}

#[test]
fn fo6_is_kept_when_the_backend_serves_again() {
    let mut trace = back(1);
    trace.arrive("carol", IIS1);
    let verdict = trace.verdict(Fo6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn fo6_is_violated_by_a_503_after_the_time_promised() {
    let mut trace = back(RISE);
    trace.turned_away("carol", 1, 503);
    assert!(
        trace.summary(Fo6).starts_with("carol's request r3 was answered with 503, though iis1 has been back since")
    );
    let mut early = back(RISE - 1);
    early.turned_away("carol", 1, 503);
    assert_eq!(early.grade(Fo6), NotExercised);
    early.pass(1);
    early.turned_away("carol", 1, 503);
    early.turned_away("carol", 1, 503);
    assert_eq!(early.verdict(Fo6).evidence.len(), 1, "the first that came too late counts, and stands for the rest");
}

#[test]
fn fo6_is_about_backends_that_were_cut_off_as_well() {
    for from in ["lb", "dc"] {
        let mut trace = two_backends();
        trace.fault(Fault::Hold(from.into(), "iis1".into()));
        trace.pass(FALL);
        trace.fault(Fault::Release(from.into(), "iis1".into()));
        trace.pass(RISE);
        trace.turned_away("carol", 1, 503);
        assert_eq!(trace.grade(Fo6), Violated, "{from}");
    }
}

#[test]
fn fo6_is_violated_when_all_new_clients_go_elsewhere_though_a_spread_is_promised() {
    let arrivals = |count: u32, seconds: u64| {
        let mut trace = back(seconds);
        trace.promises.spread =
            Some(Spread { unit: SpreadUnit::Connections, percent: 0, units: 1, weights: Vec::new() });
        for client in 1..=count {
            trace.arrive(&format!("client{client}"), Route { server_connection: client + 1, ..IIS2 });
        }
        trace
    };
    assert_eq!(arrivals(31, RISE).grade(Fo6), NotExercised);
    assert!(arrivals(40, RISE).summary(Fo6).ends_with("and 32 new clients went elsewhere"));
    assert_eq!(arrivals(40, RISE - 1).grade(Fo6), NotExercised, "they came too early");
}

#[test]
fn fo6_is_not_put_to_the_test_without_a_return_and_does_not_apply_without_checks() {
    let mut trace = crashed("iis1", FALL);
    trace.arrive("carol", Route { server_connection: 2, ..IIS2 });
    assert_eq!(trace.grade(Fo6), NotExercised);
    trace.promises.checks = None;
    assert_eq!(trace.grade(Fo6), NotApplicable);
}

#[test]
fn fo6_is_about_a_process_that_went_on_or_was_started_anew_after_a_hang_and_no_other_change() {
    let hang = Action::Fault(Fault::Hang("iis1".into()));
    let crash = Action::Fault(Fault::Crash("iis1".into()));
    let resume = Action::Fault(Fault::Resume("iis1".into()));
    let configure = Action::Configure(Box::new(standard::server("iis1".into())));
    for (before, cure, expected) in [
        (Some(&hang), &resume, Violated),
        (Some(&hang), &configure, Violated),
        (Some(&crash), &resume, NotExercised),
        (Some(&crash), &configure, NotExercised),
        (None, &configure, NotExercised),
    ] {
        let mut trace = two_backends();
        if let Some(before) = before {
            trace.act(before.clone());
        }
        trace.pass(FALL);
        trace.act(cure.clone());
        trace.pass(RISE);
        trace.turned_away("carol", 1, 503);
        assert_eq!(trace.grade(Fo6), expected, "{before:?} {cure:?}");
    }
}

/// Both backends have been dead for this many seconds.
fn without_backends(seconds: u64) -> TraceBuilder {
    let mut trace = crashed("iis1", 1);
    trace.fault(Fault::PowerLoss("iis2".into()));
    trace.pass(seconds);
    trace
}

#[test]
fn fo7_is_kept_by_a_prompt_503_and_by_a_refused_connection() {
    let mut trace = without_backends(FALL);
    trace.turned_away("alice", 1, 503);
    let id = trace.start("bob");
    trace.fail(id);
    let verdict = trace.verdict(Fo7);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn fo7_is_violated_by_another_status_a_late_503_a_connection_that_is_taken_and_by_silence() {
    let outcome = |trace: TraceBuilder| trace.summary(Fo7).split_once(" r3 ").unwrap().1.to_owned();
    let mut wrong = without_backends(FALL);
    wrong.turned_away("alice", 1, 502);
    assert_eq!(outcome(wrong), "ended in 502, not in 503, with no backend left");

    let mut late = without_backends(FALL);
    let id = late.start("alice");
    late.pass(30);
    late.end(id, 503);
    assert!(outcome(late).starts_with("ended only after 30.0"));

    let mut taken = without_backends(FALL);
    let id = taken.start("alice");
    taken.connect("alice", 2);
    taken.send(id, 2, Leg::Anonymous);
    taken.fail(id);
    assert_eq!(outcome(taken), "was taken, and ended without an answer, with no backend left");

    let mut silent = without_backends(FALL);
    silent.start("alice");
    silent.pass(2);
    silent.close("bob", 1, Closed::Here);
    assert!(outcome(silent).starts_with("has no answer after 2.0"));
}

#[test]
fn fo7_goes_by_what_the_balancer_declares() {
    let mut other = without_backends(FALL);
    other.promises.none_left = NoneLeft::Status(502);
    other.turned_away("alice", 1, 502);
    assert_eq!(other.grade(Fo7), Ok);
    other.turned_away("bob", 1, 503);
    assert!(other.summary(Fo7).ends_with("ended in 503, not in 502, with no backend left"));

    let mut closed = without_backends(FALL);
    closed.promises.none_left = NoneLeft::Closed;
    let id = closed.start("alice");
    closed.connect("alice", 2);
    closed.send(id, 2, Leg::Anonymous);
    closed.fail(id);
    assert_eq!(closed.grade(Fo7), Ok);
    closed.turned_away("bob", 1, 503);
    assert!(closed.summary(Fo7).ends_with("ended in 503, not in a closed connection, with no backend left"));
}

#[test]
fn fo7_is_not_put_to_the_test_early_or_with_a_backend_left_and_needs_checks() {
    let mut early = without_backends(FALL - 1);
    early.turned_away("alice", 1, 502);
    let mut left = crashed("iis1", FALL);
    left.turned_away("alice", 1, 502);
    for mut trace in [early, left] {
        assert_eq!(trace.grade(Fo7), NotExercised);
        trace.promises.checks = None;
        assert_eq!(trace.grade(Fo7), NotApplicable);
    }
}

#[test]
fn fo7_is_not_put_to_the_test_once_a_backend_is_back() {
    let back = || Fault::Restart("iis1".into());
    let mut meanwhile = without_backends(FALL);
    let id = meanwhile.start("alice");
    meanwhile.fault(back());
    meanwhile.end(id, 502);
    let mut later = without_backends(FALL);
    later.fault(back());
    later.pass(FALL);
    later.turned_away("alice", 1, 502);
    let mut waiting = without_backends(FALL);
    waiting.start("alice");
    waiting.fault(back());
    waiting.pass(FALL);
    waiting.close("bob", 1, Closed::Here);
    for trace in [meanwhile, later, waiting] {
        assert_eq!(trace.grade(Fo7), NotExercised);
    }
    let mut away_again = without_backends(FALL);
    away_again.fault(back());
    away_again.fault(Fault::Crash("iis1".into()));
    away_again.turned_away("alice", 1, 502);
    assert_eq!(away_again.grade(Fo7), NotExercised, "nobody has noticed yet");
    away_again.pass(FALL);
    away_again.turned_away("alice", 1, 502);
    assert_eq!(away_again.grade(Fo7), Violated);
}

#[test]
fn fo1_takes_the_last_backend_that_served_the_client_itself_for_its_home() {
    let home = |before: &dyn Fn(&mut TraceBuilder)| {
        let mut trace = two_backends();
        before(&mut trace);
        trace.fault(Fault::Crash("iis1".into()));
        trace.pass(FALL);
        trace.turned_away("alice", 1, 503);
        trace.grade(Fo1)
    };
    let elsewhere = Route { client_connection: 2, server_connection: 2, ..IIS2 };
    assert_eq!(home(&|_| ()), Violated);
    assert_eq!(home(&|trace| _ = trace.again("alice", elsewhere)), NotExercised, "her home is iis2 now");
    let challenged = |trace: &mut TraceBuilder| {
        let id = trace.start("alice");
        trace.exchange(id, elsewhere, Leg::Anonymous, 401);
    };
    assert_eq!(home(&challenged), Violated, "a challenge is no service");
    let as_another = |trace: &mut TraceBuilder| {
        let id = trace.start("alice");
        trace.exchange_as(id, elsewhere, Leg::Anonymous, 200, Some(user("bob")));
    };
    assert_eq!(home(&as_another), Violated, "nor is another's page");
}

#[test]
fn fo1_judges_the_first_request_after_a_death_and_the_next_death_again() {
    let mut trace = crashed("iis1", FALL);
    trace.turned_away("alice", 1, 503);
    trace.turned_away("alice", 1, 503);
    assert_eq!(trace.verdict(Fo1).evidence.len(), 1);
    trace.fault(Fault::Restart("iis1".into()));
    trace.pass(60);
    trace.again("alice", Route { client_connection: 2, ..IIS1 });
    trace.fault(Fault::Crash("iis1".into()));
    trace.pass(FALL);
    trace.turned_away("alice", 1, 503);
    assert_eq!(trace.verdict(Fo1).evidence.len(), 2);
}

#[test]
fn fo1_and_fo7_blame_no_balancer_while_a_fault_elsewhere_stands_or_was_just_mended() {
    let cases = [
        (Some(Fault::Crash("lb".into())), None, 0, NotExercised),
        (Some(Fault::Crash("dc".into())), None, 0, NotExercised),
        (Some(Fault::Hold("alice".into(), "lb".into())), None, 0, NotExercised),
        (Some(Fault::Hold("bob".into(), "lb".into())), None, 0, Violated),
        (Some(Fault::Crash("dc".into())), Some(Fault::Restart("dc".into())), RISE, NotExercised),
        (Some(Fault::Crash("dc".into())), Some(Fault::Restart("dc".into())), RISE + 1, Violated),
        (None, None, 0, Violated),
    ];
    for (fault, cure, seconds, expected) in cases {
        for (start, requirement) in [(two_backends(), Fo1), (without_backends(0), Fo7)] {
            let mut trace = start;
            if requirement == Fo1 {
                trace.fault(Fault::Crash("iis1".into()));
            }
            trace.pass(FALL);
            for fault in fault.iter().chain(&cure) {
                trace.fault(fault.clone());
            }
            trace.pass(seconds);
            trace.turned_away("alice", 1, 502);
            assert_eq!(trace.grade(requirement), expected, "{requirement} {fault:?}");
        }
    }
}

#[test]
fn fo1_asks_for_a_backend_of_the_same_service() {
    let mut trace = crashed("iis1", FALL);
    let service = |prefix: &str, backend: &str| Service { prefix: prefix.into(), backends: vec![backend.into()] };
    trace.promises.services = vec![service("", "iis1"), service("/api", "iis2")];
    trace.turned_away("alice", 1, 503);
    assert_eq!((trace.grade(Fo1), trace.grade(Hs1)), (NotExercised, Ok));
}

#[test]
fn fo6_blames_no_balancer_for_what_something_else_prevents() {
    let dc = |fault: fn(Name) -> Fault| fault("dc".into());
    for (faults, seconds, expected) in [
        (vec![], 0, Violated),
        (vec![dc(Fault::Crash)], 0, NotExercised),
        (vec![dc(Fault::Crash), dc(Fault::Restart)], RISE, NotExercised),
        (vec![dc(Fault::Crash), dc(Fault::Restart)], RISE + 1, Violated),
        (vec![Fault::Hold("bob".into(), "lb".into())], 0, Violated),
    ] {
        let mut trace = back(RISE);
        for fault in &faults {
            trace.fault(fault.clone());
        }
        trace.pass(seconds);
        trace.turned_away("carol", 1, 503);
        assert_eq!(trace.grade(Fo6), expected, "{faults:?} {seconds}");
    }
}
