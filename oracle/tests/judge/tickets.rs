//! A ticket authenticates a connection as an Authenticate leg does if the site allows it: ID, ST, FO and HC.

use std::time::Duration;

use stickler_model::event::Closed;
use stickler_model::site::SiteSpec;
use stickler_model::trace::Checks;
use stickler_model::{Action, Fault, Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NonStrict, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo1, Fo2, Fo4, Fo5, Hc2, Id1, Id3, Id5, St2};
use stickler_oracle::{Grade, Requirement};

use crate::trace_builder::{Answer, IIS1, IIS2, Route, Start, TraceBuilder, user};

/// `authPersistNonNTLM` is off: a ticket is valid for its request alone.
fn by_request() -> SiteSpec {
    SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() }
}

/// `authPersistSingleRequest` is on: every proof is valid for its request alone.
fn single_request() -> SiteSpec {
    SiteSpec { single_request: true, ..SiteSpec::default() }
}

/// Asserts the grade where a ticket authenticates its connection, where it does not, where nothing does, and where the
/// header does not describe the server.
#[track_caller]
fn assert_grades(requirement: Requirement, add: impl Fn(&mut TraceBuilder), persistent: Grade, otherwise: Grade) {
    for (site, expected) in
        [(SiteSpec::default(), persistent), (by_request(), otherwise), (single_request(), otherwise)]
    {
        let mut trace = TraceBuilder::at(&site);
        add(&mut trace);
        assert_eq!(trace.grade(requirement), expected, "{site:?}");
    }
    let mut trace = TraceBuilder::default();
    add(&mut trace);
    assert_eq!(trace.grade(requirement), persistent, "unknown servers have the defaults");
}

#[test]
fn id1_is_kept_by_tickets_and_violated_by_whom_one_left_behind_on_its_connection() {
    let mut trace = TraceBuilder::default();
    trace.whole_ticket("alice", Route { server_connection: 2, ..IIS1 });
    assert_eq!(trace.grade(Id1), Ok);
    let id = trace.start("bob");
    trace.exchange_as(id, Route { server_connection: 2, ..IIS1 }, Leg::Anonymous, 200, Some(user("alice")));
    assert!(trace.summary(Id1).starts_with(r"bob's request r2 was processed as CORP\alice"));
    let first = trace.verdict(Id1).evidence[0].events[0];
    let gives =
        |what: &What| matches!(what, What::ServerAnswered { request: Some(RequestId(1)), leg: Leg::Ticket, .. });
    assert!(gives(&trace.events[first].what), "the ticket gave the connection its identity");

    trace.servers = TraceBuilder::at(&by_request()).servers;
    let first = trace.verdict(Id1).evidence[0].events[0];
    assert!(!gives(&trace.events[first].what), "the ticket was good for its request alone");
}

#[test]
fn id3_is_violated_by_a_departed_tickets_connection_only_where_tickets_authenticate_connections() {
    let departed = |trace: &mut TraceBuilder| {
        trace.whole_ticket("alice", IIS1);
        trace.close("alice", 1, Closed::Here);
        let id = trace.start("bob");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
    };
    assert_grades(Id3, departed, Violated, NotExercised);
}

#[test]
fn id3_is_kept_when_a_ticket_replaces_whoever_was_on_the_connection() {
    for site in [SiteSpec::default(), by_request()] {
        let mut trace = TraceBuilder::at(&site);
        trace.whole("alice", IIS1);
        trace.close("alice", 1, Closed::Here);
        trace.whole_ticket("bob", IIS1);
        trace.again("bob", IIS1);
        assert_eq!(trace.grade(Id3), Ok);
    }
}

#[test]
fn id3_does_not_hold_a_logon_of_ntlm_against_a_site_that_authenticates_each_request() {
    let mut trace = TraceBuilder::at(&single_request());
    trace.whole("alice", IIS1);
    trace.close("alice", 1, Closed::Here);
    trace.whole("bob", IIS1);
    assert_eq!(trace.grade(Id3), NotExercised);
}

#[test]
fn id5_counts_a_ticket_as_authentication_and_follows_its_connection_where_it_stays() {
    let seat = |trace: &mut TraceBuilder| {
        trace.whole_ticket("seat", IIS1);
        let id = trace.start_with(Start { identity: Some(user("carol")), ..Start::by("seat") });
        trace.ticket(id, IIS1);
    };
    assert_grades(Id5, seat, Ok, Ok);
    let another = |trace: &mut TraceBuilder| {
        seat(trace);
        let id = trace.start("bob");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("carol")));
    };
    assert_grades(Id5, another, Violated, Ok);
    let anew = |trace: &mut TraceBuilder| {
        seat(trace);
        let id = trace.start("bob");
        trace.ticket(id, IIS1);
        let id = trace.start("dave");
        trace.exchange_as(id, IIS1, Leg::Anonymous, 200, Some(user("bob")));
    };
    assert_grades(Id5, anew, Ok, Ok);
}

#[test]
fn st2_is_not_followed_when_a_tickets_connection_is_asked_again_unless_the_site_authenticates_each_request() {
    let asked = |trace: &mut TraceBuilder| {
        trace.whole_ticket("alice", IIS1);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
    };
    assert_grades(St2, asked, NonStrict, NotExercised);
}

#[test]
fn st2_is_not_put_to_the_test_by_a_fresh_ticket_with_each_request() {
    let each = |trace: &mut TraceBuilder| {
        for _ in 0..3 {
            trace.whole_ticket("alice", IIS1);
        }
        let id = trace.start("alice");
        trace.present(id, IIS1, 41, 401);
    };
    assert_grades(St2, each, NotExercised, NotExercised);
}

#[test]
fn st2_holds_ntlm_to_it_where_only_tickets_are_good_for_one_request_and_not_where_everything_is() {
    for (site, expected) in [(by_request(), NonStrict), (single_request(), NotExercised)] {
        let mut trace = TraceBuilder::at(&site);
        trace.whole("alice", IIS1);
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        assert_eq!(trace.grade(St2), expected);
    }
}

#[test]
fn st2_goes_by_what_the_client_sent_where_the_balancer_authenticates() {
    for (site, expected) in [(SiteSpec::default(), NonStrict), (by_request(), NotExercised)] {
        let mut trace = TraceBuilder::at(&site);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Ticket);
        trace.serve(id, IIS1, Leg::Anonymous, 200, Some(user("alice")));
        trace.receive(id, 1, 200, Some(id), Some(user("alice")));
        trace.end(id, 200);
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Anonymous);
        trace.receive(id, 1, 401, None, None);
        assert_eq!(trace.grade(St2), expected);
    }
}

/// alice was served by iis1, which is dead.
fn orphaned() -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let second = Duration::from_secs(1);
    trace.promises.checks =
        Some(Checks { interval: second, after_end: false, timeout: second, rise: 1, fall: 1, user: None });
    trace.whole_ticket("alice", IIS1);
    trace.whole_ticket("bob", IIS2);
    trace.fault(Fault::Crash("iis1".into()));
    trace.pass(2);
    trace
}

#[test]
fn fo1_takes_a_ticket_for_fresh_and_another_clients_connection_for_not() {
    let mut trace = orphaned();
    trace.whole_ticket("alice", Route { client_connection: 2, ..IIS2 });
    assert_eq!(trace.grade(Fo1), Ok);

    let mut trace = orphaned();
    let twin = trace.start_with(Start { identity: Some(user("alice")), ..Start::by("twin") });
    trace.ticket(twin, Route { server_connection: 3, ..IIS2 });
    trace.again("alice", Route { client_connection: 2, server_connection: 3, ..IIS2 });
    assert!(trace.summary(Fo1).ends_with("by the identity that twin had given it"));
}

#[test]
fn fo2_is_violated_by_a_ticket_that_its_client_sent_once_and_two_connections_received() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.send(id, 1, Leg::Ticket);
    trace.reach(id, IIS1, Leg::Ticket);
    trace.reach(id, IIS2, Leg::Ticket);
    assert_eq!(
        trace.summary(Fo2),
        "alice's request r1: iis2 received the ticket on connection 1, \
         where the client has sent 1 and servers have received it on 2 connections"
    );
}

#[test]
fn fo2_is_kept_by_fresh_tickets_and_by_ntlm_after_a_ticket() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.present(id, IIS1, 37, 401);
    trace.present(id, Route { client_connection: 2, ..IIS2 }, 41, 401);
    trace.exchange(id, Route { client_connection: 3, server_connection: 3, ..IIS1 }, Leg::Negotiate, 401);
    trace.exchange(id, Route { client_connection: 3, server_connection: 3, ..IIS1 }, Leg::Authenticate, 200);
    let verdict = trace.verdict(Fo2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 3));
}

#[test]
fn fo4_and_fo5_count_a_ticket_as_a_bond_only_where_it_authenticates_its_connection() {
    let lost = |trace: &mut TraceBuilder| {
        trace.whole_ticket("alice", IIS1);
        trace.again("alice", IIS1);
        trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
        let id = trace.start("alice");
        trace.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    };
    assert_grades(Fo4, lost, Violated, NotExercised);
    let moved = |trace: &mut TraceBuilder| {
        trace.whole_ticket("bob", IIS2);
        trace.whole_ticket("alice", IIS1);
        trace.act(Action::Drain("iis1".into()));
        let id = trace.start("alice");
        trace.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    };
    assert_grades(Fo5, moved, Violated, NotExercised);
}

#[test]
fn fo4_and_fo5_forget_a_bond_when_anothers_ticket_takes_the_servers_connection() {
    let mut trace = TraceBuilder::at(&by_request());
    trace.whole("alice", IIS1);
    trace.again("alice", IIS1);
    trace.whole_ticket("bob", IIS1);
    trace.whole_ticket("bob", Route { client_connection: 2, ..IIS2 });
    trace.act(Action::Drain("iis1".into()));
    trace.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
    let id = trace.start("alice");
    trace.exchange(id, Route { server_connection: 2, ..IIS2 }, Leg::Anonymous, 401);
    assert_eq!((trace.grade(Fo4), trace.grade(Fo5)), (NotExercised, NotExercised));
}

#[test]
fn hc2_is_violated_by_a_client_on_a_connection_that_a_checks_ticket_authenticated() {
    let checked = |trace: &mut TraceBuilder| {
        let second = Duration::from_secs(1);
        let user = Some(user("probe"));
        trace.promises.checks =
            Some(Checks { interval: second, after_end: false, timeout: second, rise: 1, fall: 1, user: user.clone() });
        trace.see("iis1", What::ServerReceived { connection: 9, number: 1, request: None, leg: Leg::Ticket });
        trace.answer(Answer {
            request: None,
            route: Route { server_connection: 9, ..IIS1 },
            number: 1,
            leg: Leg::Ticket,
            status: 200,
            user,
            body: Payload::Empty,
        });
        trace.whole_ticket("alice", Route { server_connection: 9, ..IIS1 });
    };
    assert_grades(Hc2, checked, Violated, NotExercised);
}
