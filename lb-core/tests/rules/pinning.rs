//! Tests of pinning: the trigger, the pinned connection, its owner, and the effect of a close on the other side.

use std::time::Duration;

use stickler_lb_core::policy::composed::{Lost, RetryRule, Rules};
use stickler_lb_core::policy::pin::{Applied, Coupling, Host, PinKey, PinRule, Schemes, Trigger};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_core::{FailureKind, Route, UpstreamId};

use crate::front::{Answer, Ask, CHALLENGE, Front, OK};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));
const NTLM: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAB"), cookie: None, claim: None };

fn front(pin: PinRule, backends: usize) -> Front {
    Front::new(Rules { pool: Some(POOL), pin: Some(pin), ..Rules::PLAIN }, backends)
}

const fn pinned(number: u32) -> Route {
    Route::Pinned(UpstreamId(number))
}

const fn reuse(number: u32) -> Route {
    Route::Reuse(UpstreamId(number))
}

#[test]
fn a_request_with_credentials_pins_the_connection_that_carries_it() {
    let mut front = front(PinRule { trigger: Trigger::Request, ..PinRule::ON_401 }, 1);
    assert_eq!(front.route(1), Route::Open(0));
    assert_eq!(front.exchange(2, &NTLM, CHALLENGE).0, reuse(1), "the shared one");
    assert_eq!((front.route(2), front.route(1)), (pinned(1), Route::Open(0)));
    assert_eq!(front.close_client(2), [UpstreamId(1)]);
}

#[test]
fn the_two_rules_that_products_have_in_common_pin_by_an_answer_or_by_a_request() {
    for (pin, by_answer, by_request) in [(PinRule::ON_401, true, false), (PinRule::ON_AUTHORIZATION, false, true)] {
        let pins = |ask: &Ask, answer: Answer| {
            let mut front = front(pin.clone(), 1);
            front.exchange(1, ask, answer);
            front.route(1) == pinned(1)
        };
        assert_eq!((pins(&Ask::default(), CHALLENGE), pins(&NTLM, OK)), (by_answer, by_request), "{pin:?}");
    }
}

#[test]
fn a_dedicated_connection_is_opened_by_the_request_that_triggers() {
    let pin = PinRule { trigger: Trigger::Request, applied: Applied::Dedicated, ..PinRule::ON_401 };
    let mut front = front(pin, 1);
    front.route(1);
    assert_eq!(front.exchange(2, &NTLM, CHALLENGE).0, Route::Open(0), "not the one that lies idle");
    assert_eq!((front.route(2), front.route(1)), (pinned(2), reuse(1)));
}

#[test]
fn after_a_challenge_a_dedicated_connection_is_opened_by_the_next_request() {
    let pin = PinRule { trigger: Trigger::AnyResponse, applied: Applied::Dedicated, ..PinRule::ON_401 };
    let mut front = front(pin, 1);
    let ok_with_token = Answer { status: 200, ..CHALLENGE };
    assert_eq!(front.exchange(1, &Ask::default(), ok_with_token).0, Route::Open(0));
    assert_eq!(front.exchange(1, &NTLM, CHALLENGE).0, Route::Open(0));
    assert_eq!((front.route(1), front.route(2)), (pinned(2), reuse(1)), "the first one stayed shared");
}

#[test]
fn with_the_host_picked_again_each_backend_has_a_dedicated_connection() {
    let pin =
        PinRule { trigger: Trigger::AnyResponse, applied: Applied::Dedicated, host: Host::Repicked, ..PinRule::ON_401 };
    let mut front = front(pin, 2);
    front.exchange(1, &Ask::default(), CHALLENGE);
    let routes: Vec<_> = (0..4).map(|_| front.route(1)).collect();
    assert_eq!(routes, [Route::Open(1), Route::Open(0), pinned(2), pinned(3)]);
    assert_eq!(front.close_client(1), [UpstreamId(2), UpstreamId(3)]);
}

#[test]
fn without_coupling_the_pinned_connection_goes_back_to_the_pool() {
    let coupling = Coupling { upstream_follows: false, ..Coupling::BOTH };
    let mut front = front(PinRule { coupling, ..PinRule::ON_401 }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert_eq!(front.route(1), pinned(1));
    assert_eq!(front.close_client(1), []);
    assert_eq!(front.route(2), reuse(1), "a stranger gets what the first authenticated");
}

#[test]
fn without_coupling_a_lost_connection_is_replaced_behind_the_clients_back() {
    let coupling = Coupling { downstream_follows: false, ..Coupling::BOTH };
    let pin = Some(PinRule { coupling, ..PinRule::ON_401 });
    let retry = RetryRule { lost: Lost::IdleRace, carries_authenticate: true, ..RetryRule::NONE };
    let mut front = Front::new(Rules { pool: Some(POOL), pin, retry, ..Rules::PLAIN }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    front.request(1, &NTLM);
    assert_eq!(front.fail(1, FailureKind::Lost), Route::Open(0), "the last leg is replayed");
    front.answer(1, OK);
    front.finish(1);
    assert!(!front.close_upstream(UpstreamId(2)));
}

#[test]
fn one_that_couples_only_with_a_request_on_it_is_replaced_when_it_ends_idle() {
    let coupling = Coupling { when_idle: false, ..Coupling::BOTH };
    let mut front = front(PinRule { coupling, ..PinRule::ON_401 }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert!(!front.close_upstream(UpstreamId(1)), "the client stays");
    assert_eq!(front.route(1), Route::Open(0), "and its next request goes elsewhere");
    front.exchange(2, &Ask::default(), CHALLENGE);
    front.request(2, &NTLM);
    assert_eq!(front.fail(2, FailureKind::Lost), Route::CloseDownstream, "with a request on it, it ends the client's");
}

#[test]
fn a_pin_by_client_address_passes_to_the_next_connection_from_there() {
    let coupling = Coupling { upstream_follows: false, ..Coupling::BOTH };
    let mut front = front(PinRule { key: PinKey::Client, coupling, ..PinRule::ON_401 }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert_eq!(front.close_client(1), []);
    assert_eq!((front.route(2), front.route(1)), (Route::Open(0), pinned(1)));
    front.close_client(1);
    assert!(!front.close_upstream(UpstreamId(1)), "nobody is there to close");
    assert_eq!(front.route(1), reuse(2));
}

#[test]
fn challenges_are_stripped_and_still_pin() {
    let rules = Rules { pin: Some(PinRule::ON_401), strip: Some(Schemes::HAPROXY), ..Rules::PLAIN };
    let mut front = Front::new(rules, 1);
    front.request(1, &Ask::default());
    front.answer(1, CHALLENGE);
    front.finish(1);
    assert_eq!(front.route(1), pinned(1));
}

/// The streams 1, 11, 21 ... belong to the first client, in the order of their places.
#[test]
fn streams_beside_a_busy_pin_open_further_connections_on_which_nobody_has_authenticated() {
    let mut front = Front::http2("pin-on-401", 1);
    front.exchange(1, &NTLM, CHALLENGE);
    let routes: Vec<_> = [1, 11, 21].into_iter().map(|stream| front.request(stream, &Ask::default()).verdict).collect();
    assert_eq!(routes, [pinned(1), Route::Open(0), Route::Open(0)]);
    front.answer(1, OK);
    front.finish(1);
    for stream in [11, 21] {
        front.answer(stream, CHALLENGE);
        front.finish(stream);
    }
    assert_eq!(front.route(1), pinned(1), "the first stays the first");
    assert_eq!(front.route(2), Route::Open(0), "and all three are the client's own");
    let mut closed = front.close_client(1);
    closed.sort_unstable();
    assert_eq!(closed, [UpstreamId(1), UpstreamId(2), UpstreamId(3)]);
}

#[test]
fn the_legs_of_streams_at_a_time_find_their_connections_in_order() {
    let mut front = Front::http2("pin-on-401", 1);
    let all = |front: &mut Front, answer: Answer| -> Vec<Route> {
        let routes = [1, 11, 21].map(|stream| front.request(stream, &NTLM).verdict);
        for stream in [1, 11, 21] {
            front.answer(stream, answer);
            front.finish(stream);
        }
        routes.to_vec()
    };
    assert_eq!(all(&mut front, CHALLENGE), [Route::Open(0); 3]);
    assert_eq!(all(&mut front, OK), [pinned(1), pinned(2), pinned(3)]);
}

#[test]
fn the_end_of_any_connection_that_is_pinned_beside_another_ends_the_client() {
    let mut front = Front::http2("pin-on-401", 1);
    for stream in [1, 11] {
        front.request(stream, &NTLM);
    }
    for stream in [1, 11] {
        front.answer(stream, CHALLENGE);
        front.finish(stream);
    }
    assert!(front.close_upstream(UpstreamId(2)));
    assert!(!front.open.contains_key(&UpstreamId(1)));
}

#[test]
fn private_connections_of_streams_are_kept_within_their_slots() {
    let mut front = Front::http2("private-slot", 1);
    for stream in [1, 11] {
        front.request(stream, &Ask::default());
    }
    for stream in [1, 11] {
        front.answer(stream, OK);
        front.finish(stream);
    }
    assert_eq!(front.open.len(), 1, "one slot");
    front.request(1, &Ask::default());
    assert_eq!(front.route(11), Route::Open(0));
    front.answer(1, OK);
    front.finish(1);
    assert_eq!(front.open.len(), 1);
}

#[test]
fn streams_wait_each_for_itself() {
    let mut front = Front::http2("pin-queue", 1);
    let full: Vec<u32> = (0..64).map(|place| place * 10 + 1).collect();
    for &stream in &full {
        assert_eq!(front.request(stream, &Ask::default()).verdict, Route::Open(0));
    }
    assert_eq!(front.request(641, &Ask::default()).verdict, Route::Wait);
    assert_eq!(front.request(651, &Ask::default()).verdict, Route::Wait);
    for stream in [1, 11] {
        front.answer(stream, OK);
        front.finish(stream);
    }
    assert!(front.busy.contains_key(&641) && front.busy.contains_key(&651), "each was called");
}
