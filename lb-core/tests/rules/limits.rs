//! Tests of services, queues, slots, idle limits, groups of clients and slow start.

use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::policy::composed::{Defects, PreferLast, QueueRule, Rules};
use stickler_lb_core::policy::persist::{Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::PinRule;
use stickler_lb_core::policy::pool::{PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, SelectRule};
use stickler_lb_core::{BackendAware as _, BackendState, Route, RuleError, UpstreamId, texts};

use crate::front::{Ask, CHALLENGE, Front, OK};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));
const API: Ask = Ask { path: "/api/x", authorization: None, cookie: None, claim: None };

const fn pinned(number: u32) -> Route {
    Route::Pinned(UpstreamId(number))
}

fn queued(limit: u32, length: u32) -> Rules {
    let select = SelectRule { max_connections: Some(limit), ..SelectRule::new(Algorithm::RoundRobin) };
    Rules { select, queue: Some(QueueRule { length }), ..Rules::PLAIN }
}

fn pins(pin: PinRule) -> Rules {
    Rules { pool: Some(POOL), pin: Some(pin), ..Rules::PLAIN }
}

#[test]
fn each_service_has_its_backends_and_its_own_turns() {
    let mut front = Front::new(Rules { services: texts(&["/api"]), ..Rules::PLAIN }, 4);
    let rest: Vec<_> = (0..3).map(|_| front.get(1).unwrap()).collect();
    let api: Vec<_> = (0..3).map(|_| front.exchange(1, &API, OK).1.unwrap()).collect();
    assert_eq!((rest, api), (vec![0, 2, 0], vec![1, 3, 1]));
    let mut small = Front::new(Rules { services: texts(&["/api"]), ..Rules::PLAIN }, 1);
    assert_eq!(small.exchange(1, &API, OK).1, Some(0), "too small a farm serves all with all");
}

#[test]
fn a_client_has_a_pinned_connection_for_each_service() {
    let mut front = Front::new(Rules { services: texts(&["/api"]), ..pins(PinRule::ON_401) }, 2);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert_eq!(front.exchange(1, &API, CHALLENGE).0, Route::Open(1));
    let routes = [front.route(1), front.exchange(1, &API, OK).0, front.route(1)];
    assert_eq!(routes, [pinned(1), pinned(2), pinned(1)]);
    let mut closed = front.close_client(1);
    closed.sort_unstable();
    assert_eq!(closed, [UpstreamId(1), UpstreamId(2)]);
}

#[test]
fn requests_wait_for_a_full_farm_and_are_served_in_order() {
    let mut front = Front::new(queued(1, 2), 1);
    let asked: Vec<_> = (1..=4).map(|client| front.request(client, &Ask::default()).verdict).collect();
    let turned_away = Route::Reject(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked, [Route::Open(0), Route::Wait, Route::Wait, turned_away]);
    for (client, next) in [(1, 2), (2, 3)] {
        front.answer(client, OK);
        front.finish(client);
        assert_eq!(front.busy.keys().copied().collect::<Vec<_>>(), [next]);
    }
}

#[test]
fn who_waits_and_leaves_is_passed_over_and_a_dead_farm_has_no_queue() {
    let mut front = Front::new(queued(1, 2), 1);
    (1..=3).for_each(|client| drop(front.request(client, &Ask::default())));
    front.close_client(2);
    front.close_client(1);
    assert_eq!(front.busy.keys().copied().collect::<Vec<_>>(), [3]);
    front.set_state(0, BackendState::Down);
    let turned_away = Route::Reject(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(front.request(4, &Ask::default()).verdict, turned_away);
}

#[test]
fn a_pin_without_a_free_slot_closes_the_one_that_was_idle_longest_and_its_client() {
    let mut front = Front::new(pins(PinRule { slots: Some(2), ..PinRule::ON_401 }), 1);
    for client in [1, 2] {
        front.exchange(client, &Ask::default(), CHALLENGE);
        front.pass(1);
    }
    front.route(1);
    front.exchange(3, &Ask::default(), CHALLENGE);
    assert_eq!((front.route(1), front.route(3)), (pinned(1), pinned(3)));
    assert_eq!(front.open.keys().copied().collect::<Vec<_>>(), [UpstreamId(1), UpstreamId(3)]);
}

#[test]
fn where_all_slots_are_busy_the_new_connection_is_nobodys_afterwards() {
    let mut front = Front::new(pins(PinRule { slots: Some(1), ..PinRule::ON_401 }), 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    front.request(1, &Ask::default());
    front.exchange(2, &Ask::default(), CHALLENGE);
    assert_eq!(front.open.keys().copied().collect::<Vec<_>>(), [UpstreamId(1)], "not pinned, and not shared");
}

#[test]
fn a_clients_own_connection_ends_after_its_idle_limit_and_a_pinned_one_with_its_client() {
    let own_idle = Some(Duration::from_secs(30));
    let mut front = Front::new(Rules { own_idle, ..pins(PinRule::ON_401) }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    front.pass(29);
    assert_eq!(front.route(1), pinned(1));
    front.pass(29);
    assert_eq!(front.open.len(), 1, "it was used meanwhile");
    let before = front.id(1);
    front.pass(1);
    assert!(front.open.is_empty() && front.id(1) != before, "both are closed");

    let private = Some(PoolRule { share: Share::Never { slots: 2 }, ..POOL });
    let mut front = Front::new(Rules { own_idle, pool: private, ..Rules::PLAIN }, 1);
    front.route(1);
    let before = front.id(1);
    front.pass(30);
    assert!(front.open.is_empty() && front.id(1) == before, "the client stays");
}

#[test]
fn clients_of_different_networks_share_no_connection_under_a_source_mask() {
    let with = |mask| {
        let pool = Some(PoolRule { source: Some(mask), ..POOL });
        let mut front = Front::new(Rules { pool, ..Rules::PLAIN }, 1);
        [2, 3, 4].map(|client| front.route(client))
    };
    let one = UpstreamId(1);
    assert_eq!(with(Mask::HOST), [Route::Open(0); 3]);
    assert_eq!(with(Mask { v4: 31, v6: 128 }), [Route::Open(0), Route::Reuse(one), Route::Open(0)]);
    assert_eq!(with(Mask { v4: 24, v6: 128 }), [Route::Open(0), Route::Reuse(one), Route::Reuse(one)]);
}

#[test]
fn a_network_is_one_client_to_a_source_table_with_a_mask() {
    let mask = Mask { v4: 24, v6: 64 };
    let rule = SourceRule { timeout: Duration::from_secs(10), entries: 8, mask };
    let mut front = Front::new(Rules { persist: Some(PersistRule::Source(rule)), ..Rules::PLAIN }, 2);
    assert_eq!([1, 2, 3].map(|client| front.get(client)), [Some(0); 3]);
}

#[test]
fn a_backend_that_starts_slowly_gets_its_share_under_each_algorithm_that_balances() {
    let algorithms = [
        Algorithm::RoundRobin,
        Algorithm::WeightedRoundRobin,
        Algorithm::Random { draws: 1 },
        Algorithm::LeastConnections,
    ];
    for algorithm in algorithms {
        let select = SelectRule::new(algorithm.clone());
        let mut front = Front::new(Rules { select, ..Rules::PLAIN }, 2);
        front.policy.set_share(front.now, 1, 25);
        let slow = (0..200).filter(|_| front.get(1) == Some(1)).count();
        // Backend 1 has a fifth of all weights. Without load, least connections always chooses the other backend.
        let least = if algorithm == Algorithm::LeastConnections { 0 } else { 20 };
        assert!((least..=60).contains(&slow), "{algorithm:?}: {slow} of 200");
        front.policy.set_share(front.now, 1, 100);
        let later = (0..200).filter(|_| front.get(1) == Some(1)).count();
        assert!((70..=130).contains(&later), "{algorithm:?}: {later} of 200");
    }
}

#[test]
fn parts_that_mean_nothing_alone_are_errors() {
    let queue = Some(QueueRule { length: 1 });
    let steals = Defects { pool_steals_pinned: true, ..Defects::NONE };
    for rules in [
        Rules { queue, ..Rules::PLAIN },
        Rules { own_idle: Some(Duration::from_secs(1)), ..Rules::PLAIN },
        Rules { own_idle: Some(Duration::from_secs(1)), pool: Some(POOL), ..Rules::PLAIN },
        Rules { prefer_last: PreferLast::AfterChallenge, ..Rules::PLAIN },
        Rules { defects: steals, ..Rules::PLAIN },
        Rules { defects: steals, pool: Some(POOL), ..Rules::PLAIN },
        Rules { defects: steals, pin: Some(PinRule::ON_401), ..Rules::PLAIN },
    ] {
        assert!(matches!(rules.check(), Err(RuleError::Without { .. })), "{rules:?}");
    }
    for sound in [
        Rules { prefer_last: PreferLast::AfterChallenge, ..pins(PinRule::ON_401) },
        Rules { prefer_last: PreferLast::Always, ..Rules::PLAIN },
        Rules { defects: steals, ..pins(PinRule::ON_401) },
    ] {
        assert_eq!(sound.check(), Ok(()), "{sound:?}");
    }
    assert!(matches!(pins(PinRule { slots: Some(0), ..PinRule::ON_401 }).check(), Err(RuleError::Zero(_))));
    assert!(matches!(queued(1, 0).check(), Err(RuleError::Zero(_))));
}
