//! ST-4.

use std::time::Duration;

use stickler_model::trace::{Spread, SpreadUnit};
use stickler_model::{Action, Fault, Leg, RawSpec, What, standard};
use stickler_oracle::Grade::{NonStrict, NotApplicable, NotExercised, Ok};
use stickler_oracle::Requirement::St4;

use crate::trace_builder::{IIS1, Route, TraceBuilder};

/// This many clients at each backend, each with two requests on a connection of its own.
fn spread(unit: SpreadUnit, at_iis1: u32, at_iis2: u32) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    trace.promises.spread = Some(Spread { unit, percent: 0, units: 1, weights: Vec::new() });
    for (server, count) in [("iis1", at_iis1), ("iis2", at_iis2)] {
        for client in 1..=count {
            let id = trace.start(&format!("{server}-{client}"));
            trace.exchange(id, Route { server, server_connection: client, ..IIS1 }, Leg::Anonymous, 401);
            trace.exchange(id, Route { server, server_connection: client, ..IIS1 }, Leg::Negotiate, 401);
        }
    }
    trace
}

#[test]
fn st4_is_kept_within_the_bound() {
    assert_eq!(spread(SpreadUnit::Connections, 4, 3).grade(St4), Ok);
    let verdict = spread(SpreadUnit::Requests, 3, 3).verdict(St4);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn st4_is_put_to_the_test_by_two_backends_or_more_and_a_unit_for_each() {
    let exercised = |at_iis1, at_iis2| spread(SpreadUnit::Connections, at_iis1, at_iis2).verdict(St4).exercised;
    assert_eq!(exercised(1, 1), 1);
    assert_eq!(exercised(5, 0), 0, "iis2 is unknown");
    let three = |at_iis1| {
        let mut trace = spread(SpreadUnit::Connections, at_iis1, 0);
        trace.servers = standard::servers(3);
        trace.verdict(St4).exercised
    };
    assert_eq!((three(2), three(3)), (0, 1));
}

#[test]
fn st4_is_not_followed_beyond_the_bound() {
    let trace = spread(SpreadUnit::Connections, 5, 1);
    assert_eq!(trace.grade(St4), NonStrict);
    assert_eq!(trace.summary(St4), "iis1 got 5 of 6 connections, although at most 4 are allowed");
    let about = &trace.verdict(St4).evidence[0].about;
    assert_eq!(about.iter().map(|cited| cited.client().as_str()).collect::<Vec<_>>(), ["iis1-5"], "the fifth");
    assert_eq!(
        spread(SpreadUnit::Requests, 5, 1).summary(St4),
        "iis1 got 10 of 12 requests, although at most 7 are allowed"
    );
}

/// A connection that carries no request may have taken a turn where nobody saw it.
#[test]
fn st4_allows_for_connections_that_carry_no_request() {
    let mut trace = spread(SpreadUnit::Connections, 5, 1);
    let idle = |connection| What::ClientConnected { connection, local: ([10, 1, 0, 1], 50_000).into() };
    for connection in [70, 71] {
        trace.see("iis1-1", idle(connection));
    }
    assert_eq!(trace.grade(St4), Ok);
    let mut requests = spread(SpreadUnit::Requests, 5, 1);
    for connection in 70..80 {
        requests.see("iis1-1", idle(connection));
    }
    assert_eq!(requests.grade(St4), NonStrict);
}

#[test]
fn weights_and_percents_move_the_bound() {
    let mut trace = spread(SpreadUnit::Connections, 9, 1);
    let mut bound = |percent, weights| {
        trace.promises.spread = Some(Spread { unit: SpreadUnit::Connections, percent, units: 0, weights });
        trace.grade(St4)
    };
    assert_eq!(bound(0, vec![("iis1".into(), 9)]), Ok);
    assert_eq!(bound(80, Vec::new()), Ok);
    assert_eq!(bound(79, Vec::new()), NonStrict);
    assert_eq!(bound(0, vec![("iis1".into(), 0)]), NonStrict);
}

#[test]
fn st4_is_not_put_to_the_test_after_a_fault_and_does_not_apply_where_no_bound_is_promised() {
    let mut trace = TraceBuilder::default();
    trace.fault(Fault::Crash("iis2".into()));
    trace.events.extend(spread(SpreadUnit::Connections, 5, 1).events);
    assert_eq!(trace.grade(St4), NotApplicable);
    trace.promises = spread(SpreadUnit::Connections, 0, 0).promises;
    assert_eq!(trace.grade(St4), NotExercised);
}

#[test]
fn st4_is_not_put_to_the_test_by_what_comes_after_bytes_that_nobody_can_count() {
    let raw = |trace: &mut TraceBuilder| {
        trace.act(Action::SendRaw(RawSpec::new("alice".into(), "GET / HTTP/1.1\r\n\r\n", Duration::from_secs(1))));
    };
    let mut after = spread(SpreadUnit::Requests, 5, 1);
    raw(&mut after);
    assert_eq!(after.grade(St4), NonStrict);
    let mut before = TraceBuilder::default();
    before.promises.clone_from(&after.promises);
    raw(&mut before);
    before.events.extend(spread(SpreadUnit::Requests, 5, 1).events);
    assert_eq!(before.grade(St4), NotExercised);
}
