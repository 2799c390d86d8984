//! Tests of the fate of connections, apart from pools and pins: connections with credentials, connections of clients,
//! connections to the farm's last backend, and connections of several workers.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONNECTION};
use stickler_lb_core::policy::composed::{Credentials, NoneLeft, OnDown, PreferLast, Rules};
use stickler_lb_core::policy::per_connection::{FlowRules, FlowsOnDown, NoneLeft as FlowsLeft, PerConnection};
use stickler_lb_core::policy::persist::{Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{Covers, PinRule};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_core::policy::select::{Algorithm, SelectRule};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{
    BackendAware as _, BackendState, Edit, Finish, FiveTuple, L4Decision, L4Policy as _, L4Work, Route, RuleError,
    UpstreamId,
};
use stickler_model::{Entropy, Time};

use crate::front::{Ask, CHALLENGE, Front, OK, farm};

const POOL: Rules = Rules { pool: Some(PoolRule::shared(Duration::from_mins(1))), ..Rules::PLAIN };
const NTLM: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAB"), cookie: None, claim: None };

const fn reuse(number: u32) -> Route {
    Route::Reuse(UpstreamId(number))
}

/// Sends a request and ends the exchange with this answer. Returns the route of the request and the fate of the
/// connection.
fn ask(front: &mut Front, client: u32, ask: &Ask, challenged: bool) -> (Route, Finish) {
    let route = front.request(client, ask).verdict;
    front.answer(client, if challenged { CHALLENGE } else { OK });
    (route, front.finish(client))
}

#[test]
fn credentials_go_over_a_connection_of_their_own_that_nobody_gets_afterwards() {
    let mut front = Front::new(Rules { credentials: Credentials::OwnConnection, ..POOL }, 1);
    let anonymous = Ask::default();
    assert_eq!(ask(&mut front, 1, &anonymous, true), (Route::Open(0), Finish::Pool));
    assert_eq!(ask(&mut front, 1, &NTLM, false), (Route::Open(0), Finish::Close));
    assert_eq!(ask(&mut front, 1, &anonymous, false), (reuse(1), Finish::Pool));
    let pinned = Rules { pin: Some(PinRule::ON_401), credentials: Credentials::OwnConnection, ..POOL };
    assert!(matches!(pinned.check(), Err(RuleError::Contradiction { .. })));
}

#[test]
fn what_carried_credentials_or_a_challenge_is_never_pooled() {
    let mut front = Front::new(Rules { credentials: Credentials::NeverPooled, ..POOL }, 1);
    let anonymous = Ask::default();
    assert_eq!(ask(&mut front, 1, &anonymous, false), (Route::Open(0), Finish::Pool));
    assert_eq!(ask(&mut front, 1, &NTLM, false), (reuse(1), Finish::Close), "taken from the pool, and not given back");
    assert_eq!(ask(&mut front, 1, &anonymous, true), (Route::Open(0), Finish::Close));
}

#[test]
fn credentials_that_are_not_passed_on_are_taken_out_and_nothing_else() {
    let mut front = Front::new(Rules { credentials: Credentials::NotPassedOn, ..POOL }, 1);
    assert_eq!(front.request(1, &NTLM).edits, [Edit::Remove(AUTHORIZATION)]);
    front.answer(1, OK);
    assert_eq!(front.finish(1), Finish::Pool);
    assert!(front.request(1, &Ask::default()).edits.is_empty());
}

#[test]
fn a_client_is_closed_after_each_answer_and_told_so() {
    let closes = |edits: &[Edit]| {
        edits.iter().any(|edit| matches!(edit, Edit::Set(name, value) if name == CONNECTION && value == "close"))
    };
    let mut front = Front::new(Rules { client_requests: Some(1), ..POOL }, 1);
    front.request(1, &Ask::default());
    assert!(closes(&front.answer_edits(1, OK)));
    front.finish(1);
    front.set_state(0, BackendState::Down);
    let none = front.request(1, &Ask::default());
    assert!(closes(&none.edits) && none.verdict == Route::Reject(StatusCode::SERVICE_UNAVAILABLE));
    let mut open = Front::new(POOL, 1);
    open.request(1, &Ask::default());
    assert!(!closes(&open.answer_edits(1, OK)));
}

#[test]
fn a_client_is_told_of_the_close_with_the_answer_to_the_last_of_its_requests() {
    let mut front = Front::new(Rules { client_requests: Some(3), ..POOL }, 1);
    let mut closes = |downstream| {
        front.request(downstream, &Ask::default());
        let edits = front.answer_edits(downstream, OK);
        front.finish(downstream);
        !edits.is_empty()
    };
    assert_eq!(
        [1, 1, 2, 1, 2].map(&mut closes),
        [false, false, false, true, false],
        "each connection counts for itself"
    );
    assert!(Rules { client_requests: Some(0), ..POOL }.check().is_err());
}

#[test]
fn a_request_without_a_backend_is_told_what_the_rules_say() {
    for (none_left, told) in [
        (NoneLeft::Status(StatusCode::BAD_GATEWAY), Route::Reject(StatusCode::BAD_GATEWAY)),
        (NoneLeft::Closed, Route::CloseDownstream),
    ] {
        let mut front = Front::new(Rules { none_left, ..POOL }, 1);
        front.set_state(0, BackendState::Down);
        assert_eq!(front.request(1, &Ask::default()).verdict, told);
    }
}

#[test]
fn clients_of_a_backend_that_goes_down_move_and_one_in_the_middle_of_a_request_afterwards() {
    let rules = Rules { pin: Some(PinRule::ON_401), on_down: OnDown::Moved, ..POOL };
    let mut front = Front::new(rules, 2);
    assert_eq!(ask(&mut front, 1, &NTLM, true), (Route::Open(0), Finish::Keep));
    front.set_state(0, BackendState::Down);
    assert_eq!(front.request(1, &NTLM).verdict, Route::Open(1), "the pinned connection is gone");
    front.answer(1, CHALLENGE);
    front.finish(1);
    front.set_state(0, BackendState::Up);
    assert_eq!(front.request(1, &NTLM).verdict, Route::Pinned(UpstreamId(2)));
    front.set_state(1, BackendState::Down);
    front.answer(1, OK);
    assert_eq!(front.finish(1), Finish::Close, "what it was pinned to is of no use any more");
    assert_eq!(front.request(1, &NTLM).verdict, Route::Open(0));
}

#[test]
fn clients_of_a_backend_that_is_drained_stay_unless_the_drain_moves_them() {
    for (drain_moves, route) in [(false, Route::Pinned(UpstreamId(1))), (true, Route::Open(1))] {
        let prefer_last = PreferLast::AfterChallenge;
        let mut front = Front::new(Rules { pin: Some(PinRule::ON_401), prefer_last, drain_moves, ..POOL }, 2);
        ask(&mut front, 1, &NTLM, true);
        front.set_state(0, BackendState::Drain);
        assert_eq!(front.request(1, &NTLM).verdict, route);
        front.answer(1, OK);
        front.finish(1);
        if drain_moves {
            front.set_state(0, BackendState::Up);
            front.set_state(1, BackendState::Drain);
            let back = ask(&mut front, 1, &Ask::default(), false);
            assert_eq!(back, (reuse(1), Finish::Keep), "what was pinned is the client's own yet");
            assert_eq!(front.close_client(1), [UpstreamId(1)]);
        }
    }
}

#[test]
fn a_pin_for_credentials_leaves_the_other_requests_of_its_client_to_the_pool() {
    let pin = PinRule { covers: Covers::WithCredentials, ..PinRule::ON_AUTHORIZATION };
    let mut front = Front::new(Rules { pin: Some(pin), ..POOL }, 1);
    assert_eq!(ask(&mut front, 2, &Ask::default(), false), (Route::Open(0), Finish::Pool));
    assert_eq!(ask(&mut front, 1, &NTLM, false), (reuse(1), Finish::Keep));
    assert_eq!(ask(&mut front, 1, &Ask::default(), false), (Route::Open(0), Finish::Pool), "not its pinned connection");
    assert_eq!(ask(&mut front, 1, &NTLM, false), (Route::Pinned(UpstreamId(1)), Finish::Keep));
}

#[test]
fn what_affinity_has_decided_is_a_turn_where_the_rules_count_it() {
    let source = SourceRule { timeout: Duration::from_mins(1), entries: 8, mask: Mask::HOST };
    for (bound_take_turns, next) in [(false, 1), (true, 2)] {
        let select = SelectRule { bound_take_turns, ..SelectRule::new(Algorithm::RoundRobin) };
        let persist = Some(PersistRule::Source(source));
        let mut front = Front::new(Rules { select: select.clone(), persist, ..Rules::PLAIN }, 3);
        assert_eq!((front.get(1), front.get(1), front.get(2)), (Some(0), Some(0), Some(next)));
        let flows = FlowRules { select, source: Some(source), ..FlowRules::ROUND_ROBIN };
        let mut flows = PerConnection::new(flows, &farm(3), Entropy::new(1, "test")).unwrap();
        let picks = [(1, 1), (1, 2), (2, 1)].map(|(client, port)| flows.connect(Time(0), flow(client, port)));
        assert_eq!(picks, [0, 0, next].map(L4Decision::Backend));
    }
}

#[test]
fn each_worker_has_a_pool_and_turns_of_its_own() {
    let workers = |turns| Some(WorkerRule { count: 2, landing: Landing::RoundRobin, turns });
    let mut front = Front::new(Rules { workers: workers(Turns::Own), ..POOL }, 2);
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Open(0)), "each begins with the first");
    assert_eq!((front.route(1), front.route(2)), (Route::Open(1), Route::Open(1)));
    assert_eq!((front.route(2), front.route(1)), (reuse(2), reuse(1)), "each from its own pool");
    assert_eq!(front.route(3), reuse(3), "on the first worker again: its turn, and its pool");
    let mut shared = Front::new(Rules { workers: workers(Turns::Shared), ..POOL }, 2);
    assert_eq!((shared.route(1), shared.route(2)), (Route::Open(0), Route::Open(1)), "one turn for both");
    assert_eq!((shared.route(2), shared.route(1)), (Route::Open(0), Route::Open(1)), "but a pool for each");
}

#[test]
fn the_next_client_inherits_the_pool_of_the_process_that_is_free() {
    let workers = Some(WorkerRule { count: 8, landing: Landing::Idle, turns: Turns::Own });
    let mut front = Front::new(Rules { workers, ..POOL }, 1);
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Open(0)), "two processes");
    front.close_client(1);
    assert_eq!(front.route(3), reuse(1));
    assert_eq!(front.route(4), Route::Open(0), "none of the two is free");
}

fn flow(client: u8, port: u16) -> FiveTuple {
    FiveTuple { client: SocketAddr::from(([10, 0, 1, client], port)), front: SocketAddr::from(([10, 0, 0, 1], 80)) }
}

#[test]
fn flows_of_a_backend_that_goes_down_fall_silent_or_move() {
    let flows = |on_down| {
        let rules = FlowRules { on_down, ..FlowRules::ROUND_ROBIN };
        let mut policy = PerConnection::new(rules, &farm(2), Entropy::new(1, "test")).unwrap();
        assert_eq!(policy.connect(Time(0), flow(1, 1)), L4Decision::Backend(0));
        policy.set_state(Time(0), 0, BackendState::Down);
        policy
    };
    let silent = flows(FlowsOnDown::Silent).poll(Time(0));
    assert_eq!(silent, Some(L4Work::SilenceFlow(flow(1, 1))));
    let mut moved = flows(FlowsOnDown::Moved);
    assert_eq!(moved.poll(Time(0)), Some(L4Work::MoveFlow(flow(1, 1), 1)));
    moved.set_state(Time(0), 1, BackendState::Down);
    assert_eq!(moved.poll(Time(0)), Some(L4Work::SilenceFlow(flow(1, 1))), "there is nowhere to go");
    assert_eq!(flows(FlowsOnDown::Nothing).poll(Time(0)), None);
}

#[test]
fn a_flow_without_a_backend_is_refused_or_dropped() {
    for (none_left, decision) in [(FlowsLeft::Refused, L4Decision::Refuse), (FlowsLeft::Dropped, L4Decision::Drop)] {
        let rules = FlowRules { none_left, ..FlowRules::ROUND_ROBIN };
        let mut policy = PerConnection::new(rules, &farm(1), Entropy::new(1, "test")).unwrap();
        policy.set_state(Time(0), 0, BackendState::Down);
        assert_eq!(policy.connect(Time(0), flow(1, 1)), decision);
    }
}

#[test]
fn workers_at_l4_take_turns_by_themselves() {
    let workers = Some(WorkerRule { count: 2, landing: Landing::RoundRobin, turns: Turns::Own });
    let rules = FlowRules { workers, ..FlowRules::ROUND_ROBIN };
    let mut policy = PerConnection::new(rules, &farm(2), Entropy::new(1, "test")).unwrap();
    let picks = [1, 2, 3, 4].map(|port| policy.connect(Time(0), flow(1, port)));
    assert_eq!(picks, [0, 0, 1, 1].map(L4Decision::Backend));
}
