//! FO-8, and who is at fault where nothing can be sent again.

use std::time::Duration;

use stickler_model::event::{Closed, Credentials};
use stickler_model::{Fault, Leg, Payload, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Fo8, Hs7};

use crate::trace_builder::{IIS1, Route, Start, TraceBuilder};

/// Returns a trace in which an idle connection of iis1 ends in this way, and a request without credentials follows after
/// `micros`.
fn idle_end(how: Closed, micros: u64, method: &str, leg: Leg, status: u16) -> TraceBuilder {
    idle_end_before(Start { method, ..Start::by("probe") }, how, micros, leg, status)
}

/// Returns the trace of [`idle_end`], but with the given request at the end.
fn idle_end_before(start: Start<'_>, how: Closed, micros: u64, leg: Leg, status: u16) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.pass(120);
    trace.see("iis1", What::ServerClosed { connection: 1, how });
    trace.pass_micros(micros);
    let start = Start { identity: None, credentials: Credentials::None, ..start };
    let id = trace.start_with(start);
    trace.send(id, 1, leg);
    if status == 401 {
        trace.serve(id, Route { server_connection: 2, ..IIS1 }, leg, 401, None);
    }
    trace.receive(id, 1, status, (status == 401).then_some(id), None);
    trace.end(id, status);
    trace
}

#[test]
fn fo8_is_violated_by_a_request_that_loses_the_race_and_is_not_sent_again() {
    let lost = idle_end(Closed::Here, 0, "GET", Leg::Anonymous, 502);
    assert_eq!(lost.summary(Fo8), "probe's request r2 met iis1's close of an idle connection, and was not sent again");
    assert_eq!(lost.blame(Hs7), (Violated, Some(Party::Balancer)));
    let later = idle_end(Closed::Here, 1_000, "GET", Leg::Anonymous, 502);
    assert_eq!(later.grade(Fo8), Ok, "that is no race any more");
}

#[test]
fn fo8_blames_no_balancer_for_a_race_that_a_fault_explains() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Here });
    trace.fault(Fault::Crash("iis1".into()));
    let id = trace.start_anonymous("probe");
    trace.send(id, 1, Leg::Anonymous);
    trace.end(id, 502);
    assert_eq!(trace.grade(Fo8), NotExercised);
}

#[test]
fn fo8_takes_a_close_for_met_up_to_one_round_trip_before() {
    // The request is sent two events, of a microsecond each, after the close.
    for (jitter, micros, expected) in [(0, 498, Violated), (0, 499, Ok), (250, 998, Violated), (250, 999, Ok)] {
        let mut trace = idle_end(Closed::Here, micros, "GET", Leg::Anonymous, 502);
        trace.jitter = Duration::from_micros(jitter);
        assert_eq!(trace.grade(Fo8), expected, "{jitter} {micros}");
    }
}

#[test]
fn fo8_is_kept_by_a_request_that_met_no_close_of_a_connection_for_requests() {
    let lost = |checks: bool, micros_later: u64, received: bool| {
        let mut trace = TraceBuilder::default();
        if checks {
            trace.check("iis1", 1, 401, None);
        } else {
            trace.whole("alice", IIS1);
        }
        trace.whole("bob", Route { server_connection: 2, ..IIS1 });
        trace.pass(120);
        let start = Start { identity: None, credentials: Credentials::None, ..Start::by("probe") };
        let id = trace.start_with(start);
        trace.send(id, 1, Leg::Anonymous);
        if received {
            trace.reach(id, Route { server_connection: 3, ..IIS1 }, Leg::Anonymous);
        }
        trace.pass_micros(micros_later);
        trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Here });
        trace.receive(id, 1, 502, None, None);
        trace.end(id, 502);
        trace.grade(Fo8)
    };
    assert_eq!(lost(false, 0, false), Violated);
    assert_eq!(lost(true, 0, false), NotExercised, "the connection of a health check");
    assert_eq!(
        lost(false, 1_000_000, false),
        Ok,
        "the request had arrived, wherever it went, when the connection was closed"
    );
    assert_eq!(lost(false, 0, true), Ok, "a server has the request");
}

#[test]
fn fo8_is_about_connections_on_which_all_requests_have_their_answers_and_that_have_carried_one() {
    let peer = ([10, 0, 0, 80], 5_000).into();
    let accepts = |trace: &mut TraceBuilder| trace.see("iis1", What::ServerAccepted { connection: 1, peer });
    let reaches = |trace: &mut TraceBuilder| {
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.reach(id, IIS1, Leg::Anonymous);
    };
    let ends = |trace: &mut TraceBuilder| {
        trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Here });
    };
    let fails = |trace: &mut TraceBuilder| {
        let start = Start { identity: None, credentials: Credentials::None, ..Start::by("probe") };
        let id = trace.start_with(start);
        trace.send(id, 1, Leg::Anonymous);
        trace.receive(id, 1, 502, None, None);
        trace.end(id, 502);
    };
    let after = |steps: &[&dyn Fn(&mut TraceBuilder)]| {
        let mut trace = TraceBuilder::default();
        trace.arrive("alice", IIS1);
        for step in steps {
            step(&mut trace);
        }
        trace.grade(Fo8)
    };
    assert_eq!(after(&[&ends, &fails]), Violated);
    assert_eq!(after(&[&fails, &ends]), NotExercised, "it was closed afterwards");
    assert_eq!(after(&[&reaches, &ends, &fails]), NotExercised, "a request was in progress");
    assert_eq!(after(&[&accepts, &ends, &fails]), NotExercised, "the number is another connection's");
    let whole = |trace: &mut TraceBuilder| _ = trace.whole("bob", IIS1);
    assert_eq!(after(&[&reaches, &accepts, &whole, &ends, &fails]), Violated, "the one in progress was another's");
}

#[test]
fn fo8_is_kept_by_what_is_answered_whoever_closed() {
    for how in [Closed::Here, Closed::ByPeer] {
        let verdict = idle_end(how, 0, "GET", Leg::Anonymous, 401).verdict(Fo8);
        assert_eq!((verdict.grade, verdict.exercised), (Ok, 1), "{how:?}");
    }
    assert_eq!(idle_end(Closed::ByPeer, 0, "GET", Leg::Anonymous, 502).grade(Fo8), Ok, "the balancer closed it");
}

#[test]
fn fo8_asks_nothing_of_what_cannot_be_sent_twice_and_nobody_is_to_blame_for_that() {
    for (method, leg) in [("POST", Leg::Anonymous), ("GET", Leg::Authenticate)] {
        let trace = idle_end(Closed::Here, 0, method, leg, 502);
        assert_eq!(trace.grade(Fo8), NotExercised, "{method}");
        assert_eq!(trace.blame(Hs7), (NotExercised, Some(Party::Undetermined)), "{method}");
    }
    let put = Start { method: "PUT", body: Payload::Bytes(10), ..Start::by("probe") };
    let trace = idle_end_before(put, Closed::Here, 0, Leg::Anonymous, 502);
    assert_eq!(trace.grade(Fo8), NotExercised, "the balancer has passed the body on");
    let put = idle_end(Closed::Here, 0, "PUT", Leg::Anonymous, 502);
    assert_eq!(put.grade(Fo8), Violated, "without a body");
    let mut never = TraceBuilder::default();
    never.whole("alice", IIS1);
    assert_eq!(never.grade(Fo8), NotExercised);
}

/// alice's connection to the balancer has been idle for 60 s, and the balancer closes it while her POST is on its way.
#[test]
fn a_post_that_crosses_the_balancers_own_idle_close_is_nobodys_fault() {
    for (idle, method, expected) in [
        (60, "POST", (NotExercised, Some(Party::Undetermined))),
        (60, "GET", (Violated, Some(Party::Balancer))),
        (1, "POST", (Violated, Some(Party::Balancer))),
    ] {
        let mut trace = TraceBuilder::default();
        trace.connect("nobody", 1);
        let first = trace.start_anonymous("nobody");
        trace.exchange(first, IIS1, Leg::Anonymous, 401);
        trace.end(first, 401);
        trace.pass(idle);
        let start = Start { method, identity: None, credentials: Credentials::None, ..Start::by("nobody") };
        let id = trace.start_with(start);
        trace.send(id, 1, Leg::Anonymous);
        trace.see("nobody", What::ClientClosed { connection: 1, how: Closed::ByPeer });
        trace.fail(id);
        let verdict = trace.verdict(Hs7);
        let last = verdict.evidence.last().map(|evidence| evidence.fault);
        assert_eq!(last, expected.1, "{idle} {method}");
    }
}
