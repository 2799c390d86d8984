//! Connections that came to nothing: which backend they may have been meant for, and who held the port that they
//! needed.

use stickler_model::event::Closed;
use stickler_model::site::SiteSpec;
use stickler_model::{Action, ClientSpec, Fault, Leg, Profile};
use stickler_oracle::Grade::{self, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::Hs1;

use crate::faults::{EXCUSED, VIOLATED, site};
use crate::trace_builder::{ClientTls, IIS1, Route, TraceBuilder};

#[test]
fn a_connection_on_which_nothing_was_sent_any_more_may_have_led_to_any_backend() {
    let blame = |opens: bool, sends: bool| {
        let mut trace = site();
        trace.fault(Fault::Hold("lb".into(), "iis2".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Negotiate);
        trace.reach(id, IIS1, Leg::Negotiate);
        if opens {
            trace.connect("alice", 2);
        }
        if sends {
            let other = Route { client_connection: 2, server_connection: 2, ..IIS1 };
            trace.send(id, 2, Leg::Negotiate);
            trace.reach(id, other, Leg::Negotiate);
        }
        trace.fail(id);
        trace.blame(Hs1)
    };
    assert_eq!(blame(true, false), EXCUSED);
    assert_eq!(blame(true, true), VIOLATED, "it led to iis1, as the first did");
    assert_eq!(blame(false, false), VIOLATED);
}

#[test]
fn a_connection_that_the_client_opens_for_another_request_is_not_this_ones() {
    let mut trace = site();
    trace.fault(Fault::Hold("lb".into(), "iis2".into()));
    trace.connect("alice", 1);
    let first = trace.start("alice");
    trace.send(first, 1, Leg::Negotiate);
    trace.reach(first, IIS1, Leg::Negotiate);
    trace.connect("alice", 2);
    let second = trace.start("alice");
    trace.send(second, 2, Leg::Negotiate);
    trace.fail(first);
    assert_eq!(trace.blame(Hs1), VIOLATED, "iis1 has the request, and its way is free");
}

#[test]
fn a_connection_that_nobody_opened_may_have_been_meant_for_any_backend() {
    let blame = |closed: bool, seconds: u64| {
        let mut trace = site();
        trace.fault(Fault::Crash("iis2".into()));
        trace.connect("alice", 1);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.reach(id, IIS1, Leg::Anonymous);
        trace.pass(30);
        if closed {
            trace.close("alice", 1, Closed::Here);
        }
        trace.at_once();
        trace.pass(seconds);
        trace.fail(id);
        trace.blame(Hs1)
    };
    assert_eq!(blame(true, 1), EXCUSED, "the second connection was refused");
    assert_eq!(blame(false, 1), VIOLATED, "the client still waits for iis1");
    assert_eq!(blame(true, 0), VIOLATED, "the client gave up waiting for iis1");
}

#[test]
fn a_request_that_a_server_refused_by_http2_may_have_gone_on_to_any_backend() {
    let blame = |http2: bool, received: bool, answered: bool| {
        let mut trace = site();
        trace.fault(Fault::Crash("iis2".into()));
        trace.connect("alice", 1);
        trace.secure(ClientTls { client: "alice", connection: 1, certificate: "iis1", http2 });
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        if answered {
            trace.serve(id, IIS1, Leg::Anonymous, 401, None);
        } else if received {
            trace.reach(id, IIS1, Leg::Anonymous);
        }
        trace.fail(id);
        trace.blame(Hs1)
    };
    assert_eq!(blame(true, true, false), EXCUSED, "it is to be sent by HTTP/1.1, on a connection that came to nothing");
    assert_eq!(blame(false, true, false), VIOLATED);
    assert_eq!(blame(true, true, true), VIOLATED, "the answer was lost");
    assert_eq!(blame(true, false, false), EXCUSED, "it may have been sent to iis2");
}

#[test]
fn a_port_that_another_client_holds_is_the_scripts_to_share() {
    let blame = |at: Option<&str>, port: u16, closed: bool| {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        for (name, at, port) in [("alice", None, 5000), ("bob", at, port)] {
            let spec = ClientSpec::new(name.into(), Profile::BROWSER, None);
            trace.act(Action::AddClient(ClientSpec { at: at.map(Into::into), port: Some(port), ..spec }));
        }
        trace.arrive("alice", IIS1);
        if closed {
            trace.close("alice", 1, Closed::Here);
        }
        let id = trace.start("bob");
        trace.fail(id);
        trace.blame(Hs1)
    };
    assert_eq!(blame(Some("alice"), 5000, false), (Grade::Ok, Some(Party::Script)));
    let balancers = (Violated, Some(Party::Balancer));
    assert_eq!(blame(Some("alice"), 5000, true), balancers, "the port is free");
    assert_eq!(blame(Some("alice"), 5001, false), balancers, "it is another port");
    assert_eq!(blame(None, 5000, false), balancers, "it is the port of another host");
}

#[test]
fn a_port_is_held_as_long_as_nobody_acknowledges_the_end_of_its_connection() {
    let blame = |answered: bool, reopened: bool, micros: u64| {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        for (name, at) in [("alice", None), ("bob", Some("alice"))] {
            let spec = ClientSpec::new(name.into(), Profile::BROWSER, None);
            trace.act(Action::AddClient(ClientSpec { at: at.map(Into::into), port: Some(5000), ..spec }));
        }
        trace.arrive("alice", IIS1);
        let last = trace.start("alice");
        trace.send(last, 1, Leg::Anonymous);
        if answered {
            trace.receive(last, 1, 200, Some(last), None);
        }
        trace.close("alice", 1, Closed::Here);
        if reopened {
            trace.connect("bob", 1);
            trace.close("bob", 1, Closed::Here);
        }
        trace.pass_micros(micros);
        let id = trace.start("bob");
        trace.fail(id);
        trace.verdict(Hs1).evidence.last().map(|evidence| evidence.fault)
    };
    // The end of the request is two events, of a microsecond each, after the close.
    assert_eq!(blame(false, false, 99_999_997), Some(Party::Script));
    let balancers = Some(Party::Balancer);
    assert_eq!(blame(false, false, 99_999_998), balancers, "its host has given up");
    assert_eq!(blame(true, false, 99_000_000), balancers, "the peer was there");
    assert_eq!(blame(false, true, 99_000_000), balancers, "the port is free");
}

#[test]
fn a_port_is_free_when_its_own_holder_has_closed_the_connection() {
    let blame = |closes: &str| {
        let mut trace = TraceBuilder::at(&SiteSpec::default());
        for (name, at) in [("alice", None), ("bob", Some("alice"))] {
            let spec = ClientSpec::new(name.into(), Profile::BROWSER, None);
            trace.act(Action::AddClient(ClientSpec { at: at.map(Into::into), port: Some(5000), ..spec }));
        }
        trace.connect("bob", 1);
        trace.connect("alice", 1);
        trace.close(closes, 1, Closed::Here);
        let id = trace.start("bob");
        trace.fail(id);
        trace.blame(Hs1).1
    };
    assert_eq!(blame("bob"), Some(Party::Script), "alice holds it");
    assert_eq!(blame("alice"), Some(Party::Balancer));
}
