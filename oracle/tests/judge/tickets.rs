//! A ticket authenticates as an Authenticate leg does, where the site lets it: ID, ST, FO and HC.

use std::time::Duration;

use stickler_model::event::{Closed, Credentials};
use stickler_model::site::SiteSpec;
use stickler_model::trace::Checks;
use stickler_model::{Action, Fault, Leg, Payload, RequestId, What};
use stickler_oracle::Grade::{NonStrict, NotExercised, Ok, Violated};
use stickler_oracle::Requirement::{Fo1, Fo2, Fo4, Fo5, Hc2, Id1, Id3, Id5, St2};
use stickler_oracle::{Grade, Requirement};

use crate::story::{Story, user};

/// `authPersistNonNTLM` off: a ticket is good for its request.
fn by_request() -> SiteSpec {
    SiteSpec { persist_non_ntlm: false, ..SiteSpec::default() }
}

/// `authPersistSingleRequest`: so is everything.
fn single_request() -> SiteSpec {
    SiteSpec { single_request: true, ..SiteSpec::default() }
}

/// What a requirement says where a ticket authenticates its connection, where it does not, where nothing does, and
/// where the header says nothing of the server.
#[track_caller]
fn assert_grades(requirement: Requirement, tell: impl Fn(&mut Story), persistent: Grade, otherwise: Grade) {
    for (site, expected) in
        [(SiteSpec::default(), persistent), (by_request(), otherwise), (single_request(), otherwise)]
    {
        let mut story = Story::at(&site);
        tell(&mut story);
        assert_eq!(story.grade(requirement), expected, "{site:?}");
    }
    let mut story = Story::default();
    tell(&mut story);
    assert_eq!(story.grade(requirement), persistent, "unknown servers have the defaults");
}

#[test]
fn id1_is_kept_by_tickets_and_violated_by_whom_one_left_behind_on_its_connection() {
    let mut story = Story::default();
    story.whole_ticket("alice", (1, "iis1", 2));
    assert_eq!(story.grade(Id1), Ok);
    let id = story.start("bob");
    story.exchange_as(id, (1, "iis1", 2), Leg::Anonymous, 200, Some(user("alice")));
    assert!(story.summary(Id1).starts_with(r"bob's request r2 was processed as CORP\alice"));
    let first = story.verdict(Id1).evidence[0].events[0];
    let gives =
        |what: &What| matches!(what, What::ServerAnswered { request: Some(RequestId(1)), leg: Leg::Ticket, .. });
    assert!(gives(&story.events[first].what), "the ticket gave the connection its identity");

    story.servers = Story::at(&by_request()).servers;
    let first = story.verdict(Id1).evidence[0].events[0];
    assert!(!gives(&story.events[first].what), "the ticket was good for its request alone");
}

#[test]
fn id3_is_violated_by_a_departed_tickets_connection_only_where_tickets_authenticate_connections() {
    let departed = |story: &mut Story| {
        story.whole_ticket("alice", (1, "iis1", 1));
        story.close("alice", 1, Closed::Here);
        let id = story.start("bob");
        story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
    };
    assert_grades(Id3, departed, Violated, NotExercised);
}

#[test]
fn id3_is_kept_when_a_ticket_replaces_whoever_was_on_the_connection() {
    for site in [SiteSpec::default(), by_request()] {
        let mut story = Story::at(&site);
        story.whole("alice", (1, "iis1", 1));
        story.close("alice", 1, Closed::Here);
        story.whole_ticket("bob", (1, "iis1", 1));
        story.again("bob", (1, "iis1", 1));
        assert_eq!(story.grade(Id3), Ok);
    }
}

#[test]
fn id3_does_not_hold_a_logon_of_ntlm_against_a_site_that_authenticates_each_request() {
    let mut story = Story::at(&single_request());
    story.whole("alice", (1, "iis1", 1));
    story.close("alice", 1, Closed::Here);
    story.whole("bob", (1, "iis1", 1));
    assert_eq!(story.grade(Id3), NotExercised);
}

#[test]
fn id5_counts_a_ticket_as_authentication_and_follows_its_connection_where_it_stays() {
    let seat = |story: &mut Story| {
        story.whole_ticket("seat", (1, "iis1", 1));
        let id = story.start_for("seat", Some(user("carol")), Credentials::Valid, "GET", &Payload::Empty);
        story.ticket(id, (1, "iis1", 1));
    };
    assert_grades(Id5, seat, Ok, Ok);
    let another = |story: &mut Story| {
        seat(story);
        let id = story.start("bob");
        story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("carol")));
    };
    assert_grades(Id5, another, Violated, Ok);
    let anew = |story: &mut Story| {
        seat(story);
        let id = story.start("bob");
        story.ticket(id, (1, "iis1", 1));
        let id = story.start("dave");
        story.exchange_as(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("bob")));
    };
    assert_grades(Id5, anew, Ok, Ok);
}

#[test]
fn st2_is_not_followed_when_a_tickets_connection_is_asked_again_unless_the_site_authenticates_each_request() {
    let asked = |story: &mut Story| {
        story.whole_ticket("alice", (1, "iis1", 1));
        let id = story.start("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
    };
    assert_grades(St2, asked, NonStrict, NotExercised);
}

#[test]
fn st2_is_not_put_to_the_test_by_a_fresh_ticket_with_each_request() {
    let each = |story: &mut Story| {
        for _ in 0..3 {
            story.whole_ticket("alice", (1, "iis1", 1));
        }
        let id = story.start("alice");
        story.present(id, (1, "iis1", 1), 41, 401);
    };
    assert_grades(St2, each, NotExercised, NotExercised);
}

#[test]
fn st2_holds_ntlm_to_it_where_only_tickets_are_good_for_one_request_and_not_where_everything_is() {
    for (site, expected) in [(by_request(), NonStrict), (single_request(), NotExercised)] {
        let mut story = Story::at(&site);
        story.whole("alice", (1, "iis1", 1));
        let id = story.start("alice");
        story.exchange(id, (1, "iis1", 1), Leg::Anonymous, 401);
        assert_eq!(story.grade(St2), expected);
    }
}

#[test]
fn st2_goes_by_what_the_client_sent_where_the_balancer_authenticates() {
    for (site, expected) in [(SiteSpec::default(), NonStrict), (by_request(), NotExercised)] {
        let mut story = Story::at(&site);
        let id = story.start("alice");
        story.send(id, 1, Leg::Ticket);
        story.serve(id, (1, "iis1", 1), Leg::Anonymous, 200, Some(user("alice")));
        story.receive(id, 1, 200, Some(id), Some(user("alice")));
        story.end(id, 200);
        let id = story.start("alice");
        story.send(id, 1, Leg::Anonymous);
        story.receive(id, 1, 401, None, None);
        assert_eq!(story.grade(St2), expected);
    }
}

/// alice is at iis1, and it is dead.
fn orphaned() -> Story {
    let mut story = Story::default();
    let second = Duration::from_secs(1);
    story.promises.checks = Some(Checks { interval: second, timeout: second, rise: 1, fall: 1, user: None });
    story.whole_ticket("alice", (1, "iis1", 1));
    story.whole_ticket("bob", (1, "iis2", 1));
    story.fault(Fault::Crash("iis1".into()));
    story.pass(2);
    story
}

#[test]
fn fo1_takes_a_ticket_for_fresh_and_another_clients_connection_for_not() {
    let mut story = orphaned();
    story.whole_ticket("alice", (2, "iis2", 1));
    assert_eq!(story.grade(Fo1), Ok);

    let mut story = orphaned();
    let twin = story.start_for("twin", Some(user("alice")), Credentials::Valid, "GET", &Payload::Empty);
    story.ticket(twin, (1, "iis2", 3));
    story.again("alice", (2, "iis2", 3));
    assert!(story.summary(Fo1).ends_with("by the identity that twin had given it"));
}

#[test]
fn fo2_is_violated_by_a_ticket_that_its_client_sent_once_and_two_connections_received() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.send(id, 1, Leg::Ticket);
    story.reach(id, (1, "iis1", 1), Leg::Ticket);
    story.reach(id, (1, "iis2", 1), Leg::Ticket);
    assert_eq!(
        story.summary(Fo2),
        "alice's request r1: iis2 received the ticket on connection 1, \
         where the client has sent 1 and servers have received it on 2 connections"
    );
}

#[test]
fn fo2_is_kept_by_fresh_tickets_and_by_ntlm_after_a_ticket() {
    let mut story = Story::default();
    let id = story.start("alice");
    story.present(id, (1, "iis1", 1), 37, 401);
    story.present(id, (2, "iis2", 1), 41, 401);
    story.exchange(id, (3, "iis1", 3), Leg::Negotiate, 401);
    story.exchange(id, (3, "iis1", 3), Leg::Authenticate, 200);
    let verdict = story.verdict(Fo2);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 3));
}

#[test]
fn fo4_and_fo5_count_a_ticket_as_a_bond_only_where_it_authenticates_its_connection() {
    let lost = |story: &mut Story| {
        story.whole_ticket("alice", (1, "iis1", 1));
        story.again("alice", (1, "iis1", 1));
        story.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
        let id = story.start("alice");
        story.exchange(id, (1, "iis2", 2), Leg::Anonymous, 401);
    };
    assert_grades(Fo4, lost, Violated, NotExercised);
    let moved = |story: &mut Story| {
        story.whole_ticket("bob", (1, "iis2", 1));
        story.whole_ticket("alice", (1, "iis1", 1));
        story.act(Action::Drain("iis1".into()));
        let id = story.start("alice");
        story.exchange(id, (1, "iis2", 2), Leg::Anonymous, 401);
    };
    assert_grades(Fo5, moved, Violated, NotExercised);
}

#[test]
fn fo4_and_fo5_forget_a_bond_when_anothers_ticket_takes_the_servers_connection() {
    let mut story = Story::at(&by_request());
    story.whole("alice", (1, "iis1", 1));
    story.again("alice", (1, "iis1", 1));
    story.whole_ticket("bob", (1, "iis1", 1));
    story.whole_ticket("bob", (2, "iis2", 1));
    story.act(Action::Drain("iis1".into()));
    story.see("iis1", What::ServerClosed { connection: 1, how: Closed::Broken });
    let id = story.start("alice");
    story.exchange(id, (1, "iis2", 2), Leg::Anonymous, 401);
    assert_eq!((story.grade(Fo4), story.grade(Fo5)), (NotExercised, NotExercised));
}

#[test]
fn hc2_is_violated_by_a_client_on_a_connection_that_a_checks_ticket_authenticated() {
    let checked = |story: &mut Story| {
        let second = Duration::from_secs(1);
        let user = Some(user("probe"));
        story.promises.checks =
            Some(Checks { interval: second, timeout: second, rise: 1, fall: 1, user: user.clone() });
        story.see("iis1", What::ServerReceived { connection: 9, number: 1, request: None, leg: Leg::Ticket });
        story.answer(None, (0, "iis1", 9), 1, Leg::Ticket, 200, user, &Payload::Empty);
        story.whole_ticket("alice", (1, "iis1", 9));
    };
    assert_grades(Hc2, checked, Violated, NotExercised);
}
