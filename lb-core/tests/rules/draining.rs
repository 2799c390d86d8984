//! Tests of draining and dead backends, at both layers.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::policy::composed::{OnDown, PreferLast, Rules};
use stickler_lb_core::policy::per_connection::{FlowRules, FlowsOnDown, PerConnection};
use stickler_lb_core::policy::persist::{Mask, SourceRule};
use stickler_lb_core::policy::pin::PinRule;
use stickler_lb_core::policy::pool::{PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, SelectRule};
use stickler_lb_core::{BackendAware as _, BackendState, FiveTuple, L4Decision, L4Policy, L4Work, Route, UpstreamId};
use stickler_model::{Entropy, Time};

use crate::front::{Ask, CHALLENGE, Front, farm};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));
const RULES: Rules = Rules { pool: Some(POOL), pin: Some(PinRule::ON_401), ..Rules::PLAIN };

#[test]
fn a_draining_backend_keeps_its_pinned_client_and_gets_no_other() {
    let mut front = Front::new(RULES, 2);
    assert_eq!(front.exchange(1, &Ask::default(), CHALLENGE).1, Some(0));
    front.set_state(0, BackendState::Drain);
    assert_eq!((front.get(2), front.get(3), front.get(1)), (Some(1), Some(1), Some(0)));
    front.close_client(1);
    assert_eq!(front.get(1), Some(1));
    front.set_state(0, BackendState::Up);
    assert_eq!((front.get(2), front.get(2)), (Some(0), Some(1)));
}

#[test]
fn a_dead_backend_loses_its_idle_connections_and_its_pinned_ones_where_the_rules_say_so() {
    for on_down in [OnDown::Nothing, OnDown::Closed] {
        let mut front = Front::new(Rules { on_down, ..RULES }, 2);
        front.exchange(1, &Ask::default(), CHALLENGE);
        assert_eq!((front.get(2), front.get(2)), (Some(1), Some(0)));
        assert_eq!(front.open.len(), 3);
        front.set_state(0, BackendState::Down);
        let left: Vec<_> = front.open.keys().map(|id| id.0).collect();
        assert_eq!(left, if on_down == OnDown::Closed { vec![2] } else { vec![1, 2] });
        let expected =
            if on_down == OnDown::Closed { Route::Reuse(UpstreamId(2)) } else { Route::Pinned(UpstreamId(1)) };
        assert_eq!(front.route(1), expected);
    }
}

#[test]
fn a_farm_that_fails_open_serves_while_all_of_it_is_down_and_is_choosy_again_afterwards() {
    let mut front = Front::new(Rules { fails_open: true, ..RULES }, 2);
    front.set_state(0, BackendState::Down);
    assert_eq!((front.get(1), front.get(1)), (Some(1), Some(1)));
    front.set_state(1, BackendState::Down);
    assert_eq!((front.get(1), front.get(1)), (Some(0), Some(1)));
    front.set_state(1, BackendState::Up);
    assert_eq!((front.get(1), front.get(1)), (Some(1), Some(1)));
}

#[test]
fn one_to_one_a_private_connection_outlasts_the_drain_of_its_backend() {
    let pool = Some(PoolRule { share: Share::Never { slots: 1 }, ..POOL });
    let mut front = Front::new(Rules { pool: pool.clone(), prefer_last: PreferLast::Always, ..Rules::PLAIN }, 2);
    assert_eq!(front.get(1), Some(0));
    front.set_state(0, BackendState::Drain);
    assert_eq!(front.route(1), Route::Reuse(UpstreamId(1)));
    assert_eq!(front.get(2), Some(1), "a new client goes elsewhere");
    front.close_client(1);
    assert_eq!(front.get(1), Some(1), "and so does a new connection");
    front.set_state(0, BackendState::Up);
    let mut lost = Front::new(Rules { pool, prefer_last: PreferLast::Always, ..Rules::PLAIN }, 2);
    assert_eq!(lost.get(1), Some(0));
    lost.set_state(0, BackendState::Drain);
    lost.close_upstream(UpstreamId(1));
    assert_eq!(lost.get(1), Some(1), "what is lost is not opened again");
}

#[test]
fn a_connection_to_a_backend_that_died_meanwhile_is_not_kept() {
    let mut front = Front::new(RULES, 1);
    front.request(1, &Ask::default());
    front.set_state(0, BackendState::Down);
    front.answer(1, crate::front::OK);
    assert_eq!(front.finish(1), stickler_lb_core::Finish::Close);
    assert_eq!(front.route(1), Route::Reject(StatusCode::SERVICE_UNAVAILABLE));
    front.set_state(0, BackendState::Up);
    assert_eq!(front.route(1), Route::Open(0));
}

#[test]
fn a_full_backend_is_passed_over_and_a_full_farm_answers_503() {
    let select = SelectRule { max_connections: Some(1), ..SelectRule::new(Algorithm::LeastConnections) };
    let mut front = Front::new(Rules { select, ..RULES }, 2);
    for client in [1, 2] {
        front.request(client, &Ask::default());
    }
    assert_eq!(front.request(3, &Ask::default()).verdict, Route::Reject(StatusCode::SERVICE_UNAVAILABLE));
    front.close_client(1);
    assert_eq!(front.request(3, &Ask::default()).verdict, Route::Open(0));
}

fn flow(client: u8, port: u16) -> FiveTuple {
    let front = SocketAddr::from(([10, 0, 0, 1], 80));
    FiveTuple { client: SocketAddr::from(([10, 0, 1, client], port)), front }
}

fn flows(rules: FlowRules) -> PerConnection {
    PerConnection::new(rules, &farm(2), Entropy::new(1, "test")).unwrap()
}

#[test]
fn flows_of_one_address_keep_their_backend_while_it_drains_and_leave_it_when_it_is_dead() {
    let source = Some(SourceRule { timeout: Duration::from_secs(10), entries: 8, mask: Mask::HOST });
    let mut policy = flows(FlowRules { source, ..FlowRules::ROUND_ROBIN });
    let connect = |policy: &mut PerConnection, client, port| policy.connect(Time(0), flow(client, port));
    assert_eq!(connect(&mut policy, 1, 1), L4Decision::Backend(0));
    policy.set_state(Time(0), 0, BackendState::Drain);
    assert_eq!(connect(&mut policy, 1, 2), L4Decision::Backend(0));
    assert_eq!(connect(&mut policy, 2, 1), L4Decision::Backend(1));
    assert_eq!(connect(&mut policy, 3, 1), L4Decision::Backend(1));
    policy.set_state(Time(0), 0, BackendState::Down);
    assert_eq!(connect(&mut policy, 1, 3), L4Decision::Backend(1));
    policy.set_state(Time(0), 1, BackendState::Down);
    assert_eq!(connect(&mut policy, 1, 4), L4Decision::Refuse);
    assert_eq!(policy.poll(Time(0)), None, "flows are left to find out");
}

#[test]
fn an_address_is_known_while_it_has_an_open_flow_and_for_the_timeout_after_the_last_one() {
    const SECOND: u64 = 1_000_000_000;
    let source = Some(SourceRule { timeout: Duration::from_secs(10), entries: 8, mask: Mask { v4: 24, v6: 128 } });
    let mut policy = flows(FlowRules { source, ..FlowRules::ROUND_ROBIN });
    let other = |port| FiveTuple { client: SocketAddr::from(([10, 0, 2, 1], port)), ..flow(1, 1) };
    assert_eq!(policy.connect(Time(0), flow(1, 1)), L4Decision::Backend(0));
    assert_eq!(policy.connect(Time(0), other(1)), L4Decision::Backend(1));
    policy.closed(Time(SECOND), other(1));
    assert_eq!(policy.connect(Time(99 * SECOND), flow(2, 1)), L4Decision::Backend(0), "another of the same network");
    policy.closed(Time(100 * SECOND), flow(1, 1));
    assert_eq!(policy.connect(Time(199 * SECOND), flow(1, 2)), L4Decision::Backend(0), "one is still open");
    policy.closed(Time(200 * SECOND), flow(1, 2));
    policy.closed(Time(201 * SECOND), flow(2, 1));
    assert_eq!(policy.connect(Time(210 * SECOND), flow(1, 3)), L4Decision::Backend(0), "nine seconds later");
    policy.closed(Time(211 * SECOND), flow(1, 3));
    assert_eq!(policy.connect(Time(221 * SECOND), other(2)), L4Decision::Backend(0), "forgotten: its turn");
    assert_eq!(policy.connect(Time(221 * SECOND), flow(1, 4)), L4Decision::Backend(1), "likewise");
}

#[test]
fn an_address_that_had_to_move_stays_where_it_went_though_an_old_flow_ends_later() {
    let source = Some(SourceRule { timeout: Duration::from_secs(10), entries: 8, mask: Mask::HOST });
    let mut policy = flows(FlowRules { source, ..FlowRules::ROUND_ROBIN });
    assert_eq!(policy.connect(Time(0), flow(1, 1)), L4Decision::Backend(0));
    policy.set_state(Time(0), 0, BackendState::Down);
    assert_eq!(policy.connect(Time(1), flow(1, 2)), L4Decision::Backend(1));
    policy.set_state(Time(2), 0, BackendState::Up);
    policy.closed(Time(3), flow(1, 2));
    policy.closed(Time(4), flow(1, 1));
    assert_eq!(policy.connect(Time(5), flow(1, 3)), L4Decision::Backend(1));
}

#[test]
fn the_flows_of_a_dead_backend_are_ended_where_the_rules_say_so() {
    let mut policy = flows(FlowRules { on_down: FlowsOnDown::Closed, ..FlowRules::ROUND_ROBIN });
    for port in 1..=4 {
        policy.connect(Time(0), flow(1, port));
    }
    policy.set_state(Time(5), 0, BackendState::Down);
    assert_eq!(policy.next_deadline(), Some(Time(5)));
    policy.closed(Time(5), flow(1, 3));
    policy.connect(Time(5), flow(1, 3));
    assert_eq!(policy.poll(Time(5)), Some(L4Work::CloseFlow(flow(1, 1))));
    assert_eq!(policy.poll(Time(5)), None, "the other one's ports are in use again, on a live backend");
    assert_eq!(policy.next_deadline(), None);
}

#[test]
fn flows_are_neither_refused_nor_ended_where_a_farm_fails_open() {
    let mut policy = flows(FlowRules { on_down: FlowsOnDown::Closed, fails_open: true, ..FlowRules::ROUND_ROBIN });
    assert_eq!(policy.connect(Time(0), flow(1, 1)), L4Decision::Backend(0));
    assert_eq!(policy.connect(Time(0), flow(1, 2)), L4Decision::Backend(1));
    policy.set_state(Time(1), 0, BackendState::Down);
    assert_eq!(policy.poll(Time(1)), Some(L4Work::CloseFlow(flow(1, 1))), "one is left to go to");
    policy.closed(Time(1), flow(1, 1));
    policy.set_state(Time(2), 1, BackendState::Down);
    assert_eq!(policy.poll(Time(2)), None);
    assert_eq!(policy.connect(Time(2), flow(1, 3)), L4Decision::Backend(0));
}

#[test]
fn least_connections_counts_flows_until_they_end() {
    let select = SelectRule::new(Algorithm::LeastConnections);
    let mut policy = flows(FlowRules { select, ..FlowRules::ROUND_ROBIN });
    for (port, backend) in [(1, 0), (2, 1), (3, 0)] {
        assert_eq!(policy.connect(Time(0), flow(1, port)), L4Decision::Backend(backend));
    }
    policy.closed(Time(0), flow(1, 1));
    policy.closed(Time(0), flow(1, 3));
    policy.closed(Time(0), flow(1, 3));
    assert_eq!(policy.connect(Time(0), flow(1, 4)), L4Decision::Backend(0));
}
