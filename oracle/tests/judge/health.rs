//! HC-1 to HC-3.

use std::time::Duration;

use stickler_model::event::Closed;
use stickler_model::site::SiteSpec;
use stickler_model::trace::Checks;
use stickler_model::{Action, Fault, Leg, RequestId, What};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Hc1, Hc2, Hc3};

use crate::trace_builder::{IIS1, IIS2, Logon, Route, TraceBuilder, user};

const NO_LOGON_SERVERS: u32 = 0xC000_005E;
/// Seconds in which the declared checks notice a failure.
const FALL: u64 = 7;

/// bob is served by iis2. Health checks are declared, and `authenticated` says whether they log on.
fn checked(authenticated: bool) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.checks = Some(Checks {
        after_end: false,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        user: authenticated.then(|| user("probe")),
    });
    trace.whole("bob", IIS2);
    trace
}

/// Adds a logon that finds no DC.
fn fails(trace: &mut TraceBuilder, id: RequestId, server: &str, connection: u32) {
    trace.send(id, 1, Leg::Authenticate);
    trace.reach(id, Route { server, server_connection: connection, ..IIS1 }, Leg::Authenticate);
    trace.logon(id, Logon { server, number: u64::from(connection), account: "alice", status: NO_LOGON_SERVERS });
    trace.receive(id, 1, 401, Some(id), None);
}

/// iis1 has been unable to authenticate for this many seconds.
fn cut_off(seconds: u64) -> TraceBuilder {
    let mut trace = checked(true);
    let id = trace.start("alice");
    fails(&mut trace, id, "iis1", 1);
    trace.end(id, 401);
    trace.pass(seconds);
    trace
}

#[test]
fn hc1_is_kept_when_nobody_is_sent_to_a_backend_that_cannot_authenticate() {
    let mut trace = cut_off(FALL);
    trace.whole("alice", Route { client_connection: 2, server_connection: 2, ..IIS2 });
    let verdict = trace.verdict(Hc1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn hc1_is_violated_when_clients_are_still_sent_there() {
    let late = |seconds| {
        let mut trace = cut_off(seconds);
        let id = trace.start("carol");
        fails(&mut trace, id, "iis1", 2);
        trace
    };
    let summary = late(FALL).summary(Hc1);
    assert!(
        summary.starts_with("carol's request r3 was sent to iis1, which had found no logon server since"),
        "{summary}"
    );
    assert!(summary.ends_with("while iis2 was healthy"), "{summary}");
    assert_eq!(late(FALL - 1).grade(Hc1), NotExercised);
}

#[test]
fn hc1_blames_nobody_when_the_dc_is_down_for_all() {
    let mut trace = cut_off(0);
    let id = trace.start("bob");
    fails(&mut trace, id, "iis2", 9);
    trace.pass(FALL);
    let id = trace.start("carol");
    fails(&mut trace, id, "iis1", 2);
    assert_eq!(trace.grade(Hc1), Ok);
}

#[test]
fn hc1_is_violated_by_a_503_where_a_plain_401_was_taken_for_down() {
    let mut trace = checked(false);
    trace.check("iis2", 9, 401, None);
    trace.turned_away("alice", 1, 503);
    assert_eq!(
        trace.summary(Hc1),
        "alice's request r2 was answered with 503, though iis2 is up and answered a check with 401"
    );
}

#[test]
fn hc1_is_kept_where_a_plain_401_is_alive_and_a_503_has_its_fault() {
    let mut trace = checked(false);
    trace.check("iis2", 9, 401, None);
    trace.whole("alice", Route { server_connection: 2, ..IIS2 });
    assert_eq!(trace.grade(Hc1), Ok);
    trace.fault(Fault::Crash("iis2".into()));
    trace.turned_away("alice", 1, 503);
    assert_eq!(trace.grade(Hc1), Ok);
}

#[test]
fn hc1_is_not_put_to_the_test_on_a_sound_farm_and_does_not_apply_without_checks() {
    let mut trace = checked(true);
    trace.whole("alice", IIS1);
    assert_eq!(trace.grade(Hc1), NotExercised);
    trace.promises.checks = None;
    assert_eq!(trace.grade(Hc1), NotApplicable);
}

#[test]
fn hc2_is_kept_by_a_check_on_a_connection_of_its_own() {
    let mut trace = checked(true);
    trace.check("iis1", 9, 200, Some(user("probe")));
    trace.whole("alice", IIS1);
    let verdict = trace.verdict(Hc2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn hc2_is_violated_by_a_client_on_the_checks_connection() {
    let mut trace = checked(true);
    trace.check("iis1", 9, 200, Some(user("probe")));
    let id = trace.start("alice");
    trace.exchange_as(id, Route { server_connection: 9, ..IIS1 }, Leg::Anonymous, 200, Some(user("probe")));
    assert_eq!(
        trace.summary(Hc2),
        "iis1 received alice's request r2 on connection 9, which a health check had authenticated"
    );
}

#[test]
fn hc2_is_not_put_to_the_test_without_a_checks_logon_and_does_not_apply_without_its_account() {
    let mut trace = checked(true);
    trace.check("iis1", 9, 401, None);
    trace.whole("alice", Route { server_connection: 9, ..IIS1 });
    assert_eq!(trace.grade(Hc2), NotExercised);
    trace.promises.checks.as_mut().unwrap().user = None;
    assert_eq!(trace.grade(Hc2), NotApplicable);
}

#[test]
fn hc1_needs_another_backend_that_can_log_users_on_and_nothing_else_in_the_way() {
    let late = |before: &dyn Fn(&mut TraceBuilder)| {
        let mut trace = cut_off(0);
        before(&mut trace);
        trace.pass(FALL);
        let id = trace.start("carol");
        fails(&mut trace, id, "iis1", 2);
        trace.grade(Hc1)
    };
    let violated = late(&|_| ());
    assert_eq!(violated, Violated);
    assert_eq!(late(&|trace| trace.fault(Fault::Crash("iis2".into()))), Ok, "nobody else is up");
    assert_eq!(late(&|trace| trace.fault(Fault::Crash("dc".into()))), Ok, "the DC is away");
    assert_eq!(late(&|trace| trace.fault(Fault::Hold("bob".into(), "lb".into()))), violated);
    let recovered = |trace: &mut TraceBuilder| {
        let id = trace.start("dave");
        trace.logon(id, Logon { server: "iis1", number: 77, account: "dave", status: 0 });
    };
    assert_eq!(late(&recovered), NotExercised, "iis1 has logged a user on since");
}

#[test]
fn hc1_takes_a_401_for_alive_only_if_the_check_does_not_log_on_and_came_before_the_request() {
    let with = |authenticated, status, before: bool| {
        let mut trace = checked(authenticated);
        if before {
            trace.check("iis2", 9, status, None);
        }
        let id = trace.start("alice");
        if !before {
            trace.check("iis2", 9, status, None);
        }
        trace.send(id, 1, Leg::Anonymous);
        trace.receive(id, 1, 503, None, None);
        trace.end(id, 503);
        trace.grade(Hc1)
    };
    assert_eq!(with(false, 401, true), Violated);
    assert_eq!(with(false, 401, false), NotExercised);
    assert_eq!(with(false, 500, true), NotExercised);
    assert_eq!(with(true, 401, true), NotExercised);
}

#[test]
fn hc2_forgets_a_connection_of_before_a_restart_and_one_that_a_client_authenticates_is_none() {
    let accept = What::ServerAccepted { connection: 9, peer: ([10, 0, 0, 1], 50_000).into() };
    for (restarted, expected) in [(true, Ok), (false, Violated)] {
        let mut trace = checked(true);
        trace.check("iis1", 9, 200, Some(user("probe")));
        if restarted {
            trace.fault(Fault::Crash("iis1".into()));
            trace.fault(Fault::Restart("iis1".into()));
            trace.see("iis1", accept.clone());
        }
        trace.whole("alice", Route { server_connection: 9, ..IIS1 });
        assert_eq!(trace.grade(Hc2), expected, "{restarted}");
    }
    let mut other = checked(true);
    other.check("iis1", 9, 200, Some(user("dave")));
    other.whole("alice", Route { server_connection: 9, ..IIS1 });
    assert_eq!(other.grade(Hc2), NotExercised, "that is not the check's account");
}

/// iis1 is dead, and failures of requests take a backend out of use.
fn failing() -> TraceBuilder {
    let mut trace = TraceBuilder::at(&SiteSpec::default());
    trace.promises.out_after_failures = Some(Duration::from_secs(10));
    trace.whole("bob", IIS2);
    trace.fault(Fault::Crash("iis1".into()));
    trace
}

#[test]
fn hc3_is_violated_by_a_503_while_a_backend_is_up_that_has_never_failed() {
    let mut trace = failing();
    trace.turned_away("carol", 1, 503);
    assert_eq!(
        trace.summary(Hc3),
        "carol's request r2 was answered with 503 while iis1 was down, though iis2 is up and has never failed"
    );
    let mut closed = failing();
    closed.whole("dave", Route { server_connection: 3, ..IIS2 });
    closed.see("iis2", What::ServerClosed { connection: 3, how: Closed::Here });
    closed.turned_away("carol", 1, 503);
    assert_eq!(closed.grade(Hc3), Violated, "the end of an idle connection is no failure");
}

#[test]
fn hc3_is_kept_by_service_and_by_what_a_dead_backend_costs() {
    let mut served = failing();
    served.whole("carol", Route { server_connection: 2, ..IIS2 });
    assert_eq!((served.grade(Hc3), served.verdict(Hc3).exercised), (Ok, 1));
    let mut lost = failing();
    lost.turned_away("carol", 1, 502);
    assert_eq!(lost.grade(Hc3), Ok, "she was sent to the dead one");
    let mut full = failing();
    let id = full.start("carol");
    full.exchange(id, Route { server: "iis3", ..IIS1 }, Leg::Anonymous, 503);
    full.end(id, 503);
    assert_eq!(full.grade(Hc3), Ok, "a third one had no place for her");
}

#[test]
fn hc3_is_not_put_to_the_test_where_the_other_has_failed_as_well_or_nobody_has() {
    let broken = |fail: &dyn Fn(&mut TraceBuilder)| {
        let mut trace = failing();
        fail(&mut trace);
        trace.turned_away("carol", 1, 503);
        trace.grade(Hc3)
    };
    let half = |trace: &mut TraceBuilder| {
        let id = trace.start("dave");
        trace.reach(id, Route { server_connection: 3, ..IIS2 }, Leg::Anonymous);
        trace.see("iis2", What::ServerClosed { connection: 3, how: Closed::Here });
    };
    let internal = |trace: &mut TraceBuilder| trace.check("iis2", 3, 500, None);
    assert_eq!(broken(&half), NotExercised);
    assert_eq!(broken(&internal), NotExercised);
    assert_eq!(broken(&|trace| trace.fault(Fault::Reset("lb".into(), "iis2".into()))), NotExercised);
    assert_eq!(broken(&|trace| trace.fault(Fault::Crash("lb".into()))), NotExercised);
    assert_eq!(broken(&|trace| trace.act(Action::Drain("iis2".into()))), NotExercised);
    assert_eq!(broken(&|trace| trace.fault(Fault::Restart("iis1".into()))), NotExercised, "nobody is down");
    let mut undeclared = failing();
    undeclared.promises.out_after_failures = None;
    assert_eq!(undeclared.grade(Hc3), NotApplicable);
}
