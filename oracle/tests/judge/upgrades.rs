//! ID-6.

use stickler_model::{Leg, What};
use stickler_oracle::Grade::{NotExercised, Ok, Violated};
use stickler_oracle::Requirement::Id6;

use crate::trace_builder::{IIS1, IIS2, TraceBuilder};

/// alice's connection to iis1 was upgraded.
fn upgraded() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Anonymous, 101);
    trace
}

#[test]
fn id6_is_kept_while_an_upgraded_connection_carries_no_request() {
    let mut trace = upgraded();
    let id = trace.start("bob");
    trace.exchange(id, IIS2, Leg::Anonymous, 401);
    let verdict = trace.verdict(Id6);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
    let peer = ([10, 0, 0, 1], 40_000).into();
    trace.see("iis1", What::ServerAccepted { connection: IIS1.server_connection, peer });
    let id = trace.start("bob");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    assert_eq!(trace.grade(Id6), Ok, "another connection of the same number");
}

#[test]
fn id6_is_violated_by_a_request_on_it() {
    let mut trace = upgraded();
    let id = trace.start("bob");
    trace.exchange(id, IIS1, Leg::Anonymous, 401);
    assert_eq!(trace.grade(Id6), Violated);
    assert_eq!(trace.summary(Id6), "iis1 received request r2 on connection 1, which had been upgraded");
}

#[test]
fn id6_is_not_put_to_the_test_without_an_upgrade() {
    let mut trace = TraceBuilder::default();
    trace.arrive("alice", IIS1);
    trace.again("alice", IIS1);
    assert_eq!(trace.grade(Id6), NotExercised);
}
