//! Connections that a loss of power left behind: what each of them may have cost.

use stickler_model::event::Closed;
use stickler_model::trace::Service;
use stickler_model::{BalancerSpec, Fault, Leg, Payload, What};
use stickler_oracle::Party;
use stickler_oracle::Requirement::Hs1;

use crate::faults::{EXCUSED, VIOLATED, answered, site};
use crate::trace_builder::{IIS1, Route, Start, TraceBuilder};

/// Who is at fault for each of two requests that end in 502 on new connections of alice, a minute after `iis1` is back.
fn after_a_loss_of_power(method: &str, before: impl FnOnce(&mut TraceBuilder)) -> Vec<Party> {
    let mut trace = site();
    trace.see("iis1", What::ServerAccepted { connection: 1, peer: ([10, 0, 0, 1], 50_000).into() });
    before(&mut trace);
    trace.fault(Fault::Restart("iis1".into()));
    trace.pass(60);
    for connection in 1..=2 {
        trace.connect("alice", connection);
        let id = trace.start_with(Start { method, body: Payload::Empty, ..Start::by("alice") });
        trace.send(id, connection, Leg::Anonymous);
        trace.end(id, 502);
    }
    trace.verdict(Hs1).evidence.iter().map(|evidence| evidence.fault).collect()
}

#[test]
fn each_connection_that_a_loss_of_power_left_behind_may_cost_one_request() {
    for method in ["GET", "POST"] {
        let faults = after_a_loss_of_power(method, |trace| trace.fault(Fault::PowerLoss("iis1".into())));
        assert_eq!(faults, [Party::InjectedFault, Party::Balancer], "{method}: one connection, one request");
    }
}

#[test]
fn a_connection_left_behind_costs_a_request_once_its_host_is_back_and_only_one_that_failed() {
    let faults = after_a_loss_of_power("GET", |trace| {
        trace.fault(Fault::PowerLoss("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        trace.fault(Fault::Crash("iis1".into()));
        answered(trace, 9, 502);
    });
    assert_eq!(faults, [Party::InjectedFault, Party::InjectedFault, Party::Balancer], "the crash explains the first");
    let faults = after_a_loss_of_power("GET", |trace| {
        trace.fault(Fault::PowerLoss("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        answered(trace, 9, 400);
    });
    assert_eq!(faults, [Party::InjectedFault, Party::Balancer], "the balancer itself answered the first");
}

#[test]
fn an_end_that_is_recorded_twice_costs_one_connection_left_behind() {
    let mut trace = site();
    for connection in 1..=2 {
        trace.see("iis1", What::ServerAccepted { connection, peer: ([10, 0, 0, 1], 50_000).into() });
    }
    trace.fault(Fault::PowerLoss("iis1".into()));
    trace.fault(Fault::Restart("iis1".into()));
    trace.pass(60);
    let id = answered(&mut trace, 1, 502);
    trace.end(id, 502);
    answered(&mut trace, 2, 502);
    let faults: Vec<Party> = trace.verdict(Hs1).evidence.iter().map(|evidence| evidence.fault).collect();
    assert_eq!(faults, [Party::InjectedFault; 2]);
}

#[test]
fn a_connection_that_somebody_saw_end_costs_no_request() {
    let closed = after_a_loss_of_power("GET", |trace| {
        trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Here });
        trace.fault(Fault::PowerLoss("iis1".into()));
    });
    assert_eq!(closed, [Party::Balancer; 2]);
    let crashed = after_a_loss_of_power("GET", |trace| trace.fault(Fault::Crash("iis1".into())));
    assert_eq!(crashed, [Party::Balancer; 2], "a process that ends has its connections closed");
    let another = after_a_loss_of_power("GET", |trace| {
        trace.fault(Fault::PowerLoss("iis2".into()));
        trace.fault(Fault::Restart("iis2".into()));
    });
    assert_eq!(another, [Party::Balancer; 2], "it had accepted none");
}

#[test]
fn a_connection_left_behind_costs_no_request_that_a_server_received_or_of_another_service() {
    let answered_by = |path: &str, server: Option<Route<'_>>| {
        let mut trace = site();
        let service = |backend: &str| Service { prefix: format!("/{backend}"), backends: vec![backend.into()] };
        trace.promises.services = vec![service("iis1"), service("iis2")];
        trace.see("iis1", What::ServerAccepted { connection: 1, peer: ([10, 0, 0, 1], 50_000).into() });
        trace.fault(Fault::PowerLoss("iis1".into()));
        trace.fault(Fault::Restart("iis1".into()));
        trace.pass(60);
        trace.path = format!("/{path}");
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        server.map(|route| trace.reach(id, route, Leg::Anonymous));
        trace.end(id, 502);
        trace.blame(Hs1)
    };
    assert_eq!(answered_by("iis1", None), EXCUSED);
    assert_eq!(answered_by("iis2", None), VIOLATED);
    assert_eq!(answered_by("iis1", Some(IIS1)), VIOLATED);
}

#[test]
fn a_balancer_behind_another_leaves_connections_behind_as_well() {
    for (front, host, closed, expected) in [
        (true, "lb", false, [Party::InjectedFault, Party::Balancer]),
        (false, "lb", false, [Party::Balancer; 2]),
        (true, "lb", true, [Party::Balancer; 2]),
        (true, "iis1", false, [Party::Balancer; 2]),
        (true, "dc", false, [Party::Balancer; 2]),
        (true, "bob", false, [Party::Balancer; 2]),
    ] {
        let mut trace = site();
        trace.front = front.then(|| BalancerSpec::named("shared-pool"));
        trace.arrive("bob", IIS1);
        if closed {
            trace.close("bob", 1, Closed::Here);
        }
        trace.fault(Fault::PowerLoss(host.into()));
        trace.fault(Fault::Restart(host.into()));
        trace.pass(60);
        for connection in 1..=2 {
            answered(&mut trace, connection, 502);
        }
        let faults: Vec<Party> = trace.verdict(Hs1).evidence.iter().map(|evidence| evidence.fault).collect();
        assert_eq!(faults, expected, "{front} {host} {closed}");
    }
}
