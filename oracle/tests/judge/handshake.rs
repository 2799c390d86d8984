//! HS-1 to HS-5 with NTLM.

use proptest::prelude::*;
use stickler_model::event::Closed;
use stickler_model::{Action, Fault, Leg, Payload};
use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Party;
use stickler_oracle::Requirement::{Hs1, Hs2, Hs3, Hs4, Hs5};

use crate::trace_builder::{Answer, IIS1, IIS2, Route, Start, TraceBuilder, user};

#[test]
fn an_empty_trace_puts_nothing_to_the_test() {
    assert!(
        TraceBuilder::default()
            .judge()
            .iter()
            .all(|verdict| matches!(verdict.grade, NotExercised | NotApplicable) && verdict.exercised == 0)
    );
}

#[test]
fn hs1_is_kept_by_three_requests_and_a_200() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let verdict = trace.verdict(Hs1);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 1));
}

#[test]
fn hs1_is_violated_by_a_401_for_valid_credentials() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.exchange(id, IIS2, Leg::Authenticate, 401);
    trace.end(id, 401);
    assert_eq!(
        trace.summary(Hs1),
        "alice's request r1 ended in 401 after 2 HTTP requests though the credentials are valid"
    );
}

#[test]
fn hs1_is_violated_by_a_second_handshake_without_a_lost_connection() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.handshake(id, IIS1);
    trace.end(id, 200);
    assert_eq!(trace.summary(Hs1), "alice's request r1 took 4 HTTP requests, although at most 3 are allowed");
}

#[test]
fn hs1_allows_one_request_more_after_a_lost_connection_and_no_more() {
    for (tries, expected) in [(1, Ok), (2, Violated)] {
        let mut trace = TraceBuilder::default();
        trace.whole("alice", IIS1);
        let id = trace.start("alice");
        for _ in 0..tries {
            trace.send(id, 1, Leg::Anonymous);
        }
        trace.close("alice", 1, Closed::ByPeer);
        trace.handshake(id, Route { client_connection: 2, server_connection: 2, ..IIS1 });
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), expected, "{tries}");
    }
}

#[test]
fn hs1_forgives_no_extra_request_for_a_connection_that_the_client_closed_itself_or_lost_long_ago() {
    for how in [Closed::Here, Closed::ByPeer] {
        let mut trace = TraceBuilder::default();
        trace.whole("alice", IIS1);
        if how == Closed::ByPeer {
            trace.close("alice", 1, how);
            trace.whole("alice", Route { client_connection: 2, server_connection: 2, ..IIS1 });
        }
        let id = trace.start("alice");
        if how == Closed::Here {
            trace.close("alice", 1, how);
        }
        trace.exchange(id, Route { client_connection: 3, server_connection: 3, ..IIS1 }, Leg::Anonymous, 401);
        trace.handshake(id, Route { client_connection: 3, server_connection: 3, ..IIS1 });
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), Violated, "{how:?}");
    }
}

#[test]
fn hs1_allows_a_whole_new_handshake_where_a_fault_explains_the_lost_connection() {
    for (fault, expected) in [(true, Ok), (false, Violated)] {
        let mut trace = TraceBuilder::default();
        let id = trace.start("alice");
        trace.exchange(id, IIS1, Leg::Anonymous, 401);
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.send(id, 1, Leg::Authenticate);
        if fault {
            trace.fault(Fault::Crash("iis1".into()));
        }
        trace.close("alice", 1, Closed::ByPeer);
        trace.handshake(id, Route { client_connection: 2, ..IIS2 });
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), expected);
    }
}

#[test]
fn hs1_takes_a_leg_that_no_server_received_for_lost_on_the_way_to_the_backend_with_the_fault() {
    for (received, expected) in [(false, Ok), (true, Violated)] {
        let mut trace = TraceBuilder::default();
        trace.arrive("bob", Route { server_connection: 5, ..IIS1 });
        let id = trace.start("alice");
        trace.exchange(id, IIS2, Leg::Anonymous, 401);
        trace.fault(Fault::Crash("iis1".into()));
        trace.send(id, 1, Leg::Negotiate);
        if received {
            trace.reach(id, IIS2, Leg::Negotiate);
        }
        trace.close("alice", 1, Closed::ByPeer);
        trace.handshake(id, Route { client_connection: 2, server_connection: 2, ..IIS2 });
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs1), expected, "{received}");
    }
}

#[test]
fn hs1_expects_two_requests_of_a_client_that_sends_its_token_at_once() {
    for (preemptive, expected) in [(false, Ok), (true, Violated)] {
        let mut trace = TraceBuilder::default();
        trace.preemptive = preemptive;
        trace.whole("alice", IIS1);
        assert_eq!(trace.grade(Hs1), expected);
    }
}

#[test]
fn hs1_lets_a_preemptive_client_log_on_all_the_same_where_its_own_user_was_refused() {
    // The user whom the server refuses on the connection, and the leg that it refuses.
    for (refused, leg, expected) in
        [("alice", Leg::Anonymous, Ok), ("bob", Leg::Anonymous, Violated), ("alice", Leg::Authenticate, Violated)]
    {
        let mut trace = TraceBuilder::default();
        trace.preemptive = true;
        let id = trace.start("alice");
        if leg == Leg::Anonymous {
            trace.forbid_as(id, IIS1, leg, Some(user(refused)));
        } else {
            trace.exchange(id, IIS1, Leg::Anonymous, 401);
        }
        trace.exchange(id, IIS1, Leg::Negotiate, 401);
        trace.forbid(id, IIS1, Leg::Authenticate);
        trace.end(id, 401);
        assert_eq!(trace.grade(Hs1), expected, "{refused} {leg:?}");
    }
}

#[test]
fn hs1_is_violated_by_no_answer_unless_a_fault_explains_it() {
    let with = |act: Option<Action>| {
        let mut trace = TraceBuilder::default();
        let _ = trace.start_anonymous("bob");
        let id = trace.start("alice");
        trace.send(id, 1, Leg::Negotiate);
        if let Some(action) = act {
            trace.act(action);
        }
        trace.fail(id);
        trace.blame(Hs1)
    };
    let fault = |fault| with(Some(Action::Fault(fault)));
    let violated = (Violated, Some(Party::Balancer));
    let excused = |party| (NotExercised, Some(party));
    assert_eq!(with(None), violated);
    assert_eq!(fault(Fault::Crash("iis1".into())), excused(Party::InjectedFault));
    assert_eq!(fault(Fault::Reset("alice".into(), "lb".into())), excused(Party::InjectedFault));
    assert_eq!(fault(Fault::Reset("bob".into(), "lb".into())), violated, "bob's link is not alice's");
    assert_eq!(fault(Fault::Restart("iis1".into())), violated, "a restart mends");
    assert_eq!(with(Some(Action::Disconnect("alice".into()))), excused(Party::Script));
    assert_eq!(with(Some(Action::Disconnect("bob".into()))), violated);
}

#[test]
fn hs1_is_violated_by_a_502_after_the_held_link_was_released() {
    let mut trace = TraceBuilder::default();
    trace.fault(Fault::Hold("lb".into(), "iis1".into()));
    let held = trace.start("alice");
    trace.end(held, 504);
    assert_eq!(trace.blame(Hs1), (NotExercised, Some(Party::InjectedFault)));
    trace.fault(Fault::Release("iis1".into(), "lb".into()));
    trace.pass(1);
    let after = trace.start("alice");
    trace.end(after, 502);
    let verdict = trace.verdict(Hs1);
    let counted: Vec<&str> = verdict.against_balancer().map(|evidence| evidence.summary.as_str()).collect();
    assert_eq!(counted, ["alice's request r2 ended in 502 after 0 HTTP requests, and no fault explains it"]);
    assert_eq!(verdict.exercised, 1, "an excused outcome is no test");
}

#[test]
fn hs1_takes_a_refusal_of_the_right_user_for_an_answer() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.forbid(id, IIS1, Leg::Authenticate);
    trace.end(id, 401);
    assert_eq!(trace.grade(Hs1), Ok);
}

#[test]
fn hs1_takes_no_401_for_an_answer_in_place_of_the_page_that_the_server_gave() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.send(id, 1, Leg::Authenticate);
    trace.serve(id, IIS1, Leg::Authenticate, 200, Some(user("alice")));
    trace.receive(id, 1, 401, None, None);
    trace.end(id, 401);
    assert_eq!(trace.grade(Hs1), Violated);
}

#[test]
fn hs1_says_nothing_of_other_clients_and_of_requests_under_way() {
    let mut trace = TraceBuilder::default();
    let _ = trace.start("alice");
    let id = trace.start_anonymous("bob");
    trace.end(id, 401);
    assert_eq!(trace.grade(Hs1), NotExercised);
}

#[test]
fn hs2_is_kept_when_a_handshake_starts_over_elsewhere() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.handshake(id, Route { client_connection: 2, ..IIS2 });
    assert_eq!(trace.grade(Hs2), Ok);
}

#[test]
fn hs2_is_violated_when_the_authenticate_leg_goes_to_another_connection() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, Route { server_connection: 3, ..IIS1 }, Leg::Negotiate, 401);
    trace.exchange(id, Route { server_connection: 5, ..IIS2 }, Leg::Authenticate, 401);
    assert_eq!(
        trace.summary(Hs2),
        "alice's request r1: iis2 received the Authenticate leg on connection 5, but its Negotiate leg went elsewhere: on connection 3 of iis1"
    );
    assert_eq!(trace.verdict(Hs2).evidence[0].events, [2, 6]);
}

#[test]
fn hs2_is_violated_when_only_the_authenticate_leg_arrives() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Authenticate, 401);
    assert!(trace.summary(Hs2).ends_with("which no server received"));
}

#[test]
fn hs2_is_not_put_to_the_test_by_an_authenticate_leg_that_arrives_nowhere() {
    let mut trace = TraceBuilder::default();
    let id = trace.start("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.send(id, 1, Leg::Authenticate);
    trace.end(id, 502);
    assert_eq!(trace.grade(Hs2), NotExercised);
    assert_eq!(trace.grade(Hs1), Violated);
}

/// alice's and bob's handshakes overlap. bob's succeeds or fails.
fn interleaved(bob_succeeds: bool) -> TraceBuilder {
    let mut trace = TraceBuilder::default();
    let (alice, bob) = (trace.start("alice"), trace.start("bob"));
    trace.exchange(alice, IIS1, Leg::Negotiate, 401);
    trace.exchange(bob, Route { server_connection: 2, ..IIS1 }, Leg::Negotiate, 401);
    trace.exchange(alice, IIS1, Leg::Authenticate, 200);
    trace.end(alice, 200);
    let status = if bob_succeeds { 200 } else { 401 };
    trace.exchange(bob, Route { server_connection: 2, ..IIS1 }, Leg::Authenticate, status);
    trace.end(bob, status);
    trace
}

#[test]
fn hs3_is_kept_when_both_overlapping_handshakes_succeed() {
    let verdict = interleaved(true).verdict(Hs3);
    assert_eq!((verdict.grade, verdict.exercised), (Ok, 2));
}

#[test]
fn hs3_is_violated_when_one_of_the_overlapping_handshakes_ends_in_401() {
    assert_eq!(
        interleaved(false).summary(Hs3),
        "bob's request r2 ended in 401 while its handshake overlapped that of alice's request r1"
    );
}

#[test]
fn hs3_is_not_put_to_the_test_by_handshakes_one_after_another_or_of_one_client() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    trace.whole("bob", Route { server_connection: 2, ..IIS1 });
    let (first, second) = (trace.start("alice"), trace.start("alice"));
    trace.exchange(first, Route { client_connection: 2, server_connection: 3, ..IIS1 }, Leg::Negotiate, 401);
    trace.exchange(second, Route { client_connection: 3, server_connection: 4, ..IIS1 }, Leg::Negotiate, 401);
    trace.end(first, 401);
    trace.end(second, 401);
    assert_eq!(trace.grade(Hs3), NotExercised);
}

#[test]
fn hs3_takes_a_refusal_of_the_right_user_for_a_success() {
    let mut trace = TraceBuilder::default();
    let (alice, bob) = (trace.start("alice"), trace.start("bob"));
    trace.exchange(alice, IIS1, Leg::Negotiate, 401);
    trace.exchange(bob, Route { server_connection: 2, ..IIS1 }, Leg::Negotiate, 401);
    trace.forbid(bob, Route { server_connection: 2, ..IIS1 }, Leg::Authenticate);
    trace.end(bob, 401);
    trace.exchange(alice, IIS1, Leg::Authenticate, 200);
    trace.end(alice, 200);
    assert_eq!(trace.grade(Hs3), Ok);
}

#[test]
fn hs3_finds_the_overlap_with_a_handshake_of_another_client_that_longer_ones_began_after() {
    // Handshakes by client, beginning and end.
    let bobs = ("bob", 0, 10);
    for handshakes in [
        [bobs, ("alice", 1, 20), ("alice", 2, 15), ("alice", 5, 8)],
        [bobs, ("alice", 1, 20), ("carol", 2, 5), ("alice", 6, 8)],
    ] {
        let mut trace = TraceBuilder::default();
        let ids = handshakes.map(|(client, ..)| trace.start(client));
        for time in 0..=20 {
            for (id, (_, from, to)) in ids.into_iter().zip(handshakes) {
                if time == from {
                    trace.send(id, 1, Leg::Negotiate);
                } else if time == to {
                    trace.end(id, 200);
                }
            }
        }
        assert_eq!(trace.verdict(Hs3).exercised, 4, "{handshakes:?}");
    }
}

/// The duration of a handshake. Several may begin or end at one time; the place among all handshakes breaks the tie, as
/// the order of events does in a trace.
struct Span {
    client: usize,
    from: (u32, usize),
    to: (u32, usize),
}

impl Span {
    fn overlaps(&self, other: &Self) -> bool {
        self.client != other.client && self.from < other.to && other.from < self.to
    }
}

proptest! {
    #[test]
    fn hs3_finds_the_same_overlaps_as_the_obvious_quadratic_search(
        shapes in prop::collection::vec((0..3usize, 0..24u32, 1..12u32), 0..10)
    ) {
        // Handshakes as client, beginning and duration; all of them end in 401.
        let mut trace = TraceBuilder::default();
        let ids: Vec<_> = shapes.iter().map(|&(client, ..)| trace.start(["alice", "bob", "carol"][client])).collect();
        let spans: Vec<Span> = (0..)
            .zip(&shapes)
            .map(|(place, &(client, from, lasts))| Span { client, from: (from, place), to: (from + lasts, place) })
            .collect();
        for time in 0..36 {
            for (&id, span) in ids.iter().zip(&spans) {
                if time == span.from.0 {
                    trace.send(id, 1, Leg::Negotiate);
                } else if time == span.to.0 {
                    trace.end(id, 401);
                }
            }
        }
        let verdict = trace.verdict(Hs3);
        let expected = spans.iter().filter(|span| spans.iter().any(|other| span.overlaps(other))).count();
        prop_assert_eq!((verdict.exercised, verdict.evidence.len()), (expected, expected));
    }
}

#[test]
fn hs4_is_kept_by_a_body_processed_once_and_whole() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_post("alice", &Payload::Bytes(1_000));
    trace.handshake(id, IIS1);
    trace.end(id, 200);
    assert_eq!(trace.grade(Hs4), Ok);
}

#[test]
fn hs4_is_violated_by_a_body_processed_in_part_twice_or_not_at_all() {
    let body = Payload::Bytes(1_000);
    let with = |processed: &[Payload]| {
        let mut trace = TraceBuilder::default();
        let id = trace.start_post("alice", &body);
        for part in processed {
            let number = trace.reach(id, IIS1, Leg::Authenticate);
            trace.answer(Answer {
                request: Some(id),
                route: IIS1,
                number,
                leg: Leg::Authenticate,
                status: 200,
                user: Some(user("alice")),
                body: part.clone(),
            });
        }
        trace.end(id, 200);
        trace.summary(Hs4)
    };
    assert!(with(&[Payload::Bytes(999)]).contains("with a body of 999 bytes"));
    assert!(with(&[Payload::Text("x".repeat(1_000))]).contains("not the 1000 sent"));
    assert_eq!(with(&[body.clone(), body.clone()]), "alice's request r1 was processed 2 times");
    assert!(with(&[]).contains("no application processed its body"));
}

#[test]
fn hs4_lets_an_idempotent_request_be_repeated_after_a_fault_and_a_post_never() {
    for (method, fault, expected) in [("PUT", true, Ok), ("PUT", false, Violated), ("POST", true, Violated)] {
        let mut trace = TraceBuilder::default();
        let id = trace.start_with(Start { method, body: Payload::Bytes(9), ..Start::by("alice") });
        trace.exchange(id, IIS1, Leg::Authenticate, 200);
        if fault {
            trace.fault(Fault::Crash("iis1".into()));
        }
        trace.exchange(id, Route { client_connection: 2, ..IIS2 }, Leg::Authenticate, 200);
        trace.end(id, 200);
        assert_eq!(trace.grade(Hs4), expected, "{method} {fault}");
    }
}

#[test]
fn hs4_is_not_put_to_the_test_without_a_body_or_when_nothing_was_processed() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    let id = trace.start_post("alice", &Payload::Bytes(9));
    trace.end(id, 401);
    assert_eq!(trace.grade(Hs4), NotExercised);
}

#[test]
fn hs5_is_kept_by_a_401_within_three_requests() {
    let mut trace = TraceBuilder::default();
    let id = trace.start_wrong("alice");
    trace.exchange(id, IIS1, Leg::Negotiate, 401);
    trace.exchange(id, IIS1, Leg::Authenticate, 401);
    trace.end(id, 401);
    assert_eq!(trace.grade(Hs5), Ok);
    assert_eq!(trace.grade(Hs1), NotExercised);
}

#[test]
fn hs5_is_violated_by_a_200_by_no_end_to_the_asking_and_by_no_answer() {
    let with = |tries: u32, status: u16| {
        let mut trace = TraceBuilder::default();
        let id = trace.start_wrong("alice");
        for _ in 0..tries {
            trace.exchange(id, IIS1, Leg::Negotiate, 401);
        }
        trace.end(id, status);
        trace.summary(Hs5)
    };
    assert_eq!(
        with(1, 200),
        "alice's request r1, with wrong credentials, ended in 200 after 1 HTTP request, not in 401"
    );
    assert_eq!(
        with(4, 401),
        "alice's request r1, with wrong credentials, ended in 401 after 4 HTTP requests, although at most 3 are allowed"
    );
    assert!(with(1, 502).contains("ended in 502"));
}

#[test]
fn hs5_is_not_put_to_the_test_by_good_credentials() {
    let mut trace = TraceBuilder::default();
    trace.whole("alice", IIS1);
    assert_eq!(trace.grade(Hs5), NotExercised);
}
