//! Tests of persistence, and of the preference for the last backend.

use std::time::Duration;

use stickler_lb_core::policy::composed::{PreferLast, Rules};
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{Applied, Coupling, Host, PinRule};
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule};
use stickler_lb_core::{BackendState, UpstreamId};

use crate::front::{Ask, CHALLENGE, Front, OK};

fn sources(entries: usize) -> Rules {
    let rule = SourceRule { timeout: Duration::from_secs(10), entries, mask: Mask::HOST };
    Rules { persist: Some(PersistRule::Source(rule)), ..Rules::PLAIN }
}

fn cookies(on_401: bool) -> Rules {
    let rule = CookieRule { name: "SRV".into(), on_401, life: None, indirect: false };
    Rules { persist: Some(PersistRule::Cookie(rule)), ..Rules::PLAIN }
}

#[test]
fn a_source_address_keeps_its_backend_over_connections_until_the_timeout() {
    let mut front = Front::new(sources(8), 3);
    assert_eq!((front.get(1), front.get(2), front.get(1)), (Some(0), Some(1), Some(0)));
    front.close_client(1);
    front.pass(9);
    assert_eq!(front.get(1), Some(0), "on another connection");
    front.pass(10);
    assert_eq!(front.get(1), Some(2), "forgotten: its turn");
}

#[test]
fn a_full_source_table_forgets_the_client_that_was_away_longest() {
    let mut front = Front::new(sources(2), 4);
    let picks: Vec<_> = [1, 2, 1, 3, 1, 2].map(|client| front.get(client).unwrap()).into();
    assert_eq!(picks, [0, 1, 0, 2, 0, 3]);
}

#[test]
fn a_source_whose_backend_is_down_moves_for_good() {
    let mut front = Front::new(sources(8), 2);
    assert_eq!(front.get(1), Some(0));
    front.set_state(0, BackendState::Down);
    assert_eq!(front.get(1), Some(1));
    front.set_state(0, BackendState::Up);
    assert_eq!(front.get(1), Some(1));
}

#[test]
fn a_cookie_is_set_once_and_brings_its_client_back_on_any_connection() {
    let mut front = Front::new(cookies(true), 3);
    let (_, backend, cookie) = front.exchange(1, &Ask::default(), CHALLENGE);
    let with = Ask { cookie, ..Ask::default() };
    assert!(with.cookie.is_some(), "on the 401 of the handshake");
    for client in [1, 2, 3] {
        let (_, again, more) = front.exchange(client, &with, OK);
        assert_eq!((again, more), (backend, None));
    }
}

#[test]
fn a_cookie_that_the_401_does_not_set_comes_with_the_answer_after() {
    let mut front = Front::new(cookies(false), 3);
    assert_eq!(front.exchange(1, &Ask::default(), CHALLENGE).2, None);
    let (_, backend, cookie) = front.exchange(1, &Ask::default(), OK);
    assert_eq!(backend, Some(1), "a client in mid-handshake was sent elsewhere");
    assert!(cookie.is_some());
}

#[test]
fn a_forged_cookie_is_ignored_and_replaced() {
    let mut front = Front::new(cookies(true), 3);
    let forged = Ask { cookie: Some("SRV=2.0.0000000000000000".into()), ..Ask::default() };
    let (_, backend, cookie) = front.exchange(1, &forged, OK);
    assert_eq!(backend, Some(0));
    assert!(cookie.is_some());
}

#[test]
fn a_cookie_for_a_backend_that_is_down_is_replaced_by_one_for_another() {
    let mut front = Front::new(cookies(true), 2);
    let (_, first, cookie) = front.exchange(1, &Ask::default(), OK);
    assert_eq!(first, Some(0));
    front.set_state(0, BackendState::Down);
    let (_, second, moved) = front.exchange(1, &Ask { cookie, ..Ask::default() }, OK);
    assert_eq!(second, Some(1));
    front.set_state(0, BackendState::Up);
    assert_eq!(front.exchange(1, &Ask { cookie: moved, ..Ask::default() }, OK).1, Some(1));
}

#[test]
fn prefer_last_keeps_a_connection_with_its_backend_unless_that_is_gone() {
    let mut front = Front::new(Rules { prefer_last: PreferLast::Always, ..Rules::PLAIN }, 3);
    assert_eq!((front.get(1), front.get(2), front.get(1)), (Some(0), Some(1), Some(0)));
    front.set_state(0, BackendState::Drain);
    assert_eq!(front.get(1), Some(2), "what is preferred is no session of its own");
    front.close_client(1);
    front.set_state(0, BackendState::Up);
    assert_eq!(front.get(1), Some(0), "another connection has no last");
}

#[test]
fn prefer_last_never_overrides_a_hash() {
    for algorithm in [Algorithm::Hash, Algorithm::ConsistentHash].map(|kind| kind(HashKey::Uri { query: false })) {
        let select = SelectRule::new(algorithm);
        let (mut with, mut without) = (
            Front::new(Rules { select: select.clone(), prefer_last: PreferLast::Always, ..Rules::PLAIN }, 4),
            Front::new(Rules { select, ..Rules::PLAIN }, 4),
        );
        let paths = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"];
        let picks = |front: &mut Front| paths.map(|path| front.exchange(1, &Ask { path, ..Ask::default() }, OK).1);
        let picked = picks(&mut with);
        assert_eq!(picked, picks(&mut without));
        assert!(picked.iter().any(|pick| *pick != picked[0]));
    }
}

#[test]
fn after_a_challenge_the_last_backend_is_preferred_where_the_host_is_picked_again() {
    let coupling = Coupling { downstream_follows: false, ..Coupling::BOTH };
    let pin = PinRule { host: Host::Repicked, applied: Applied::AtOnce, coupling, ..PinRule::ON_401 };
    let rules = Rules { pin: Some(pin), prefer_last: PreferLast::AfterChallenge, ..Rules::PLAIN };
    let mut front = Front::new(rules, 3);
    assert_eq!((front.get(1), front.get(1)), (Some(0), Some(1)), "before: in turn");
    assert_eq!(front.exchange(1, &Ask::default(), CHALLENGE).1, Some(2));
    assert_eq!((front.get(1), front.get(1)), (Some(2), Some(2)));
    front.close_upstream(UpstreamId(3));
    assert_eq!(front.get(1), Some(2), "the same backend, though the connection is lost");
}
