//! Tests of rules that meet in one mechanism: pins with services, streams, cookies, drains and the end of connections.

use std::time::Duration;

use stickler_lb_core::policy::composed::{Connect, Defects, OnDown, QueueRule, RetryRule, Rules};
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{Applied, Coupling, Covers, Host, PinKey, PinRule, Trigger};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_core::policy::select::{Algorithm, SelectRule};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{BackendState, FailureKind, Route, UpstreamId, texts};

use crate::front::{Ask, CHALLENGE, Front, OK};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));
const NTLM: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAB"), cookie: None, claim: None };
const API: Ask = Ask { path: "/api/x", authorization: None, cookie: None, claim: None };
const DOCS: Ask = Ask { path: "/docs/x", authorization: None, cookie: None, claim: None };

const fn pinned(number: u32) -> Route {
    Route::Pinned(UpstreamId(number))
}

fn pins(pin: PinRule) -> Rules {
    Rules { pool: Some(POOL), pin: Some(pin), ..Rules::PLAIN }
}

fn cookies() -> PersistRule {
    PersistRule::Cookie(CookieRule { name: "SRV".into(), on_401: true, life: None, indirect: false })
}

#[test]
fn a_pinned_client_gets_the_cookie_of_its_backend_if_it_lacks_that_one() {
    let mut front = Front::new(Rules { persist: Some(cookies()), ..pins(PinRule::ON_401) }, 2);
    let cookie = front.exchange(1, &Ask::default(), CHALLENGE).2;
    let of_other = front.exchange(2, &Ask::default(), OK).2;
    assert!(cookie.is_some() && of_other.is_some());
    for (sent, is_set) in [(None, true), (of_other, true), (cookie, false)] {
        let (route, backend, set) = front.exchange(1, &Ask { cookie: sent.clone(), ..Ask::default() }, OK);
        assert_eq!((route, backend, set.is_some()), (pinned(1), Some(0), is_set), "{sent:?}");
    }
}

#[test]
fn a_client_without_a_cookie_gets_that_of_the_backend_that_serves_it_in_the_end() {
    let retry = RetryRule { connect: Connect::Other, ..RetryRule::NONE };
    let mut front = Front::new(Rules { persist: Some(cookies()), retry, ..Rules::PLAIN }, 2);
    front.request(1, &Ask::default());
    assert_eq!(front.fail(1, FailureKind::Refused), Route::Open(1));
    let cookie = front.answer(1, OK);
    front.finish(1);
    assert!(cookie.is_some());
    for client in [1, 2] {
        assert_eq!(front.exchange(client, &Ask { cookie: cookie.clone(), ..Ask::default() }, OK).1, Some(1));
    }
}

#[test]
fn a_client_whose_backend_fails_gets_the_cookie_of_the_other() {
    let retry = RetryRule { connect: Connect::Other, ..RetryRule::NONE };
    let mut front = Front::new(Rules { persist: Some(cookies()), retry, ..Rules::PLAIN }, 2);
    let (_, backend, cookie) = front.exchange(1, &Ask::default(), OK);
    assert_eq!(backend, Some(0));
    let with = Ask { cookie: cookie.clone(), ..Ask::default() };
    front.request(1, &with);
    assert_eq!(front.fail_asking(1, FailureKind::Refused, &with, 1), Route::Open(1));
    let of_other = front.answer(1, OK);
    assert!(of_other.is_some() && of_other != cookie);
    front.finish(1);
    let with = Ask { cookie: of_other, ..Ask::default() };
    let (_, backend, more) = front.exchange(1, &with, OK);
    assert_eq!((backend, more), (Some(1), None));
}

#[test]
fn concurrent_streams_without_a_cookie_get_one() {
    let mut front = Front::new(Rules { persist: Some(cookies()), ..Rules::PLAIN }, 2);
    front.http2 = true;
    for stream in [1, 11] {
        front.request(stream, &Ask::default());
    }
    assert_eq!([1, 11].map(|stream| front.answer(stream, OK).is_some()), [true, false]);
}

#[test]
fn a_pin_beside_the_first_does_not_take_the_place_of_a_first_that_ended() {
    let coupling = Coupling { when_idle: false, ..Coupling::BOTH };
    let mut front = Front::new(pins(PinRule { covers: Covers::WithCredentials, coupling, ..PinRule::ON_401 }), 1);
    assert_eq!(front.exchange(1, &NTLM, CHALLENGE).0, Route::Open(0));
    assert_eq!(front.exchange(1, &Ask::default(), CHALLENGE).0, Route::Open(0));
    assert_eq!(front.exchange(1, &NTLM, OK).0, pinned(1));
    assert!(!front.close_upstream(UpstreamId(1)));
    assert_eq!(front.exchange(1, &NTLM, OK).0, Route::Open(0));
}

#[test]
fn streams_with_the_host_picked_again_take_the_dedicated_connection_of_each_pick() {
    let pin =
        PinRule { trigger: Trigger::AnyResponse, applied: Applied::Dedicated, host: Host::Repicked, ..PinRule::ON_401 };
    let mut front = Front::new(pins(pin), 2);
    front.http2 = true;
    front.exchange(1, &Ask::default(), CHALLENGE);
    let routes: Vec<_> = [11, 21, 31, 41].into_iter().map(|stream| front.route(stream)).collect();
    assert_eq!(routes, [Route::Open(1), Route::Open(0), pinned(2), pinned(3)]);
}

#[test]
fn a_client_of_three_services_takes_no_pin_of_another() {
    let mut front = Front::new(Rules { services: texts(&["/api", "/docs"]), ..pins(PinRule::ON_401) }, 3);
    let asks = [Ask::default(), API, DOCS];
    let first: Vec<_> = asks.iter().map(|ask| front.exchange(1, ask, CHALLENGE).0).collect();
    assert_eq!(first, [Route::Open(0), Route::Open(1), Route::Open(2)]);
    let again: Vec<_> = asks.iter().map(|ask| front.exchange(1, ask, OK).0).collect();
    assert_eq!(again, [pinned(1), pinned(2), pinned(3)]);
    assert_eq!(front.close_client(1), [3, 1, 2].map(UpstreamId), "the latest service first");
}

#[test]
fn each_worker_takes_its_own_turns_in_each_service() {
    for (turns, expected) in [(Turns::Own, [0, 0, 2, 2]), (Turns::Shared, [0, 2, 0, 2])] {
        let workers = Some(WorkerRule { count: 2, landing: Landing::RoundRobin, turns });
        let mut front = Front::new(Rules { services: texts(&["/api"]), workers, ..Rules::PLAIN }, 4);
        let rest = [1, 2, 1, 2].map(|client| front.get(client).unwrap());
        let api = [1, 2, 1, 2].map(|client| front.exchange(client, &API, OK).1.unwrap());
        assert_eq!((rest, api), (expected, expected.map(|backend| backend + 1)), "{turns:?}");
    }
}

#[test]
fn a_session_on_a_draining_backend_does_not_wait_for_the_others_and_one_on_a_full_backend_does() {
    let mask = Mask::HOST;
    let source = SourceRule { timeout: Duration::from_mins(1), entries: 8, mask };
    let select = SelectRule { max_connections: Some(1), ..SelectRule::new(Algorithm::RoundRobin) };
    let rules = Rules {
        select,
        queue: Some(QueueRule { length: 2 }),
        persist: Some(PersistRule::Source(source)),
        ..Rules::PLAIN
    };
    for (state, route) in [(BackendState::Drain, Route::Open(0)), (BackendState::Up, Route::Wait)] {
        let mut front = Front::new(rules.clone(), 2);
        assert_eq!((front.get(1), front.get(2), front.get(3)), (Some(0), Some(1), Some(0)));
        front.request(2, &Ask::default());
        if state == BackendState::Up {
            front.request(3, &Ask::default());
        }
        front.set_state(0, state);
        assert_eq!(front.request(1, &Ask::default()).verdict, route, "{state:?}");
    }
}

#[test]
fn a_draining_backend_keeps_its_idle_connections_and_a_dead_one_loses_them() {
    for (state, left) in [(BackendState::Drain, 1), (BackendState::Down, 0)] {
        let mut front = Front::new(Rules { pool: Some(POOL), ..Rules::PLAIN }, 1);
        front.route(1);
        front.set_state(0, state);
        assert_eq!(front.open.len(), left, "{state:?}");
    }
}

#[test]
fn a_dead_backend_ends_only_the_clients_that_are_pinned_to_it() {
    let mut front = Front::new(Rules { on_down: OnDown::Closed, ..pins(PinRule::ON_401) }, 2);
    front.exchange(1, &Ask::default(), CHALLENGE);
    front.exchange(2, &Ask::default(), CHALLENGE);
    front.request(3, &Ask::default());
    let before = [1, 2, 3].map(|client| front.id(client));
    front.set_state(0, BackendState::Down);
    let after = [1, 2, 3].map(|client| front.id(client));
    assert_eq!([0, 1, 2].map(|client| before[client] == after[client]), [false, true, true]);
}

#[test]
fn a_drain_that_moves_ends_the_pins_to_its_own_backend_only() {
    let mut front = Front::new(Rules { drain_moves: true, ..pins(PinRule::ON_401) }, 2);
    assert_eq!([1, 2].map(|client| front.exchange(client, &Ask::default(), CHALLENGE).1), [Some(0), Some(1)]);
    front.set_state(0, BackendState::Drain);
    assert_eq!((front.route(2), front.get(1)), (pinned(2), Some(1)));
}

#[test]
fn a_pinned_connection_to_a_dead_backend_is_not_pooled_when_its_client_goes() {
    let coupling = Coupling { upstream_follows: false, ..Coupling::BOTH };
    for (state, closed) in [(BackendState::Up, &[][..]), (BackendState::Down, &[UpstreamId(1)])] {
        let mut front = Front::new(pins(PinRule { coupling, ..PinRule::ON_401 }), 1);
        front.exchange(1, &Ask::default(), CHALLENGE);
        front.set_state(0, state);
        assert_eq!(front.close_client(1), closed, "{state:?}");
    }
}

#[test]
fn a_pin_that_the_pool_took_and_gave_up_is_not_found_by_its_stream() {
    let coupling = Coupling { upstream_follows: false, ..Coupling::BOTH };
    let defects = Defects { streams_share_pin: true, ..Defects::NONE };
    for (clients, in_all) in [(&[1][..], None), (&[1, 2], None), (&[1, 2], Some(1))] {
        let pool = Some(PoolRule { in_all, ..POOL });
        let mut front = Front::new(Rules { defects, pool, ..pins(PinRule { coupling, ..PinRule::ON_401 }) }, 1);
        front.http2 = true;
        for &client in clients {
            front.request(client, &Ask::default());
        }
        for &client in clients {
            front.answer(client, CHALLENGE);
            front.finish(client);
        }
        for &client in clients {
            assert_eq!(front.close_client(client), []);
        }
        front.pass(60);
        assert!(front.open.is_empty(), "the idle limit");
        assert_eq!(front.route(1), Route::Open(0));
    }
}

#[test]
fn a_client_whose_pin_is_coupled_leaves_none_to_its_address() {
    for (upstream_follows, closed) in [(true, &[UpstreamId(1)][..]), (false, &[])] {
        let coupling = Coupling { upstream_follows, ..Coupling::BOTH };
        let mut front = Front::new(pins(PinRule { key: PinKey::Client, coupling, ..PinRule::ON_401 }), 1);
        front.exchange(1, &Ask::default(), CHALLENGE);
        assert_eq!(front.close_client(1), closed, "{upstream_follows}");
    }
}

#[test]
fn a_pin_beside_a_busy_one_of_the_same_service_is_the_second() {
    let mut front = Front::new(Rules { services: texts(&["/api"]), ..pins(PinRule::ON_401) }, 4);
    front.http2 = true;
    let routes = [1, 11].map(|stream| front.request(stream, &Ask::default()).verdict);
    assert_eq!(routes, [Route::Open(0), Route::Open(2)]);
    for stream in [1, 11] {
        front.answer(stream, CHALLENGE);
        front.finish(stream);
    }
    assert_eq!((front.route(1), front.route(11)), (pinned(1), pinned(1)));
}

#[test]
fn a_client_that_needs_dedicated_connections_does_so_after_it_lost_one() {
    let coupling = Coupling { when_idle: false, ..Coupling::BOTH };
    let trigger = Trigger::AnyResponse;
    let pin = PinRule { trigger, applied: Applied::Dedicated, coupling, ..PinRule::ON_401 };
    let mut front = Front::new(pins(pin), 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert_eq!((front.route(1), front.route(1)), (Route::Open(0), pinned(2)));
    assert!(!front.close_upstream(UpstreamId(2)));
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Reuse(UpstreamId(1))));
}

#[test]
fn a_parked_pin_is_given_up_for_another_of_its_own_address_only() {
    let coupling = Coupling { upstream_follows: false, ..Coupling::BOTH };
    let mut front = Front::new(pins(PinRule { key: PinKey::Client, coupling, ..PinRule::ON_401 }), 1);
    for client in [1, 2, 3] {
        front.exchange(client, &Ask::default(), CHALLENGE);
        assert_eq!(front.close_client(client), []);
    }
    assert_eq!([1, 2, 3].map(|client| front.route(client)), [pinned(1), pinned(2), pinned(3)]);
}
