//! Tests of what a policy promises to its data plane beyond the fate of single requests: the answers to its questions,
//! the default answers, and the time at which it must be asked again.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, StatusCode};
use stickler_lb_core::policy::backends::Backends;
use stickler_lb_core::policy::composed::{NoneLeft, Rules};
use stickler_lb_core::policy::per_connection::{FlowRules, PerConnection};
use stickler_lb_core::policy::pin::{Applied, Coupling, Host, PinKey, PinRule, Streams, Trigger};
use stickler_lb_core::policy::pool::PoolRule;
use stickler_lb_core::{
    BackendAware, BackendState, Bond, Change, Decision, DownstreamId, Edit, Exchange, Failure, Finish, FiveTuple,
    L4Decision, L4Policy as _, L7Policy, RequestHead, ResponseHead, Route, UpstreamId, Work,
};
use stickler_model::{Entropy, Time};

use crate::front::{Ask, CHALLENGE, Front, farm};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));

fn pins(pin: PinRule) -> Rules {
    Rules { pool: Some(POOL), pin: Some(pin), ..Rules::PLAIN }
}

/// A policy that leaves out everything that it may leave out.
struct Least;

impl BackendAware for Least {
    type Work = Work;
}

impl L7Policy for Least {
    fn request(&mut self, _: Time, _: DownstreamId, _: UpstreamId, _: &RequestHead<'_>) -> Decision<Route> {
        Route::CloseDownstream.into()
    }

    fn response(&mut self, _: Time, _: Exchange, _: &ResponseHead<'_>) -> Decision<Bond> {
        Bond::Keep.into()
    }

    fn finished(&mut self, _: Time, _: Exchange) -> Finish {
        Finish::Close
    }

    fn failed(&mut self, _: Time, _: Exchange, _: UpstreamId, _: &Failure<'_>) -> Decision<Route> {
        Route::CloseDownstream.into()
    }

    fn downstream_closed(&mut self, _: Time, _: DownstreamId) -> Vec<UpstreamId> {
        Vec::new()
    }

    fn upstream_closed(&mut self, _: Time, _: UpstreamId) -> Option<DownstreamId> {
        None
    }
}

#[test]
fn what_a_policy_leaves_out_needs_nothing_of_the_data_plane() {
    assert!(!Least.takes_streams() && !Least.is_dedicated(UpstreamId(1)));
    assert_eq!(Least.next_deadline(), None);
}

#[test]
fn streams_go_to_the_policy_at_once_unless_they_take_turns_on_a_pin() {
    let takes = |rules| Front::new(rules, 1).policy.takes_streams();
    assert!(takes(Rules::PLAIN) && takes(pins(PinRule { streams: Streams::Apart, ..PinRule::ON_401 })));
    assert!(!takes(pins(PinRule { streams: Streams::InTurn, ..PinRule::ON_401 })));
}

#[test]
fn a_pinned_connection_is_dedicated_if_its_client_alone_has_used_it() {
    let request = PinRule { trigger: Trigger::Request, ..PinRule::ON_401 };
    for (applied, host, dedicated) in [
        (Applied::AtOnce, Host::Pinned, false),
        (Applied::Dedicated, Host::Pinned, true),
        (Applied::AtOnce, Host::Repicked, true),
    ] {
        let mut front = Front::new(pins(PinRule { applied, host, ..request.clone() }), 1);
        front.request(1, &Ask::default());
        front.request(2, &Ask { authorization: Some("NTLM TlRM"), ..Ask::default() });
        let answers = [1, 2].map(|number| front.policy.is_dedicated(UpstreamId(number)));
        assert_eq!(answers, [false, dedicated], "{applied:?} {host:?}");
    }
}

#[test]
fn only_the_last_request_of_a_client_is_turned_away_with_a_close() {
    let close = Edit::Set(CONNECTION, HeaderValue::from_static("close"));
    let none_left = NoneLeft::Status(StatusCode::SERVICE_UNAVAILABLE);
    let mut front = Front::new(Rules { client_requests: Some(2), none_left, pool: Some(POOL), ..Rules::PLAIN }, 1);
    front.set_state(0, BackendState::Down);
    let mut closes = || front.request(1, &Ask::default()).edits.contains(&close);
    assert_eq!([closes(), closes()], [false, true]);
    let mut front = Front::new(Rules { client_requests: Some(1), pool: Some(POOL), ..Rules::PLAIN }, 1);
    assert_eq!(front.request(1, &Ask::default()).edits, [], "it is not turned away, and its answer tells the client");
}

#[test]
fn a_close_of_the_backend_is_passed_on_to_the_client_whose_pin_ends_with_it() {
    let close = Edit::Set(CONNECTION, HeaderValue::from_static("close"));
    let uncoupled = Coupling { when_idle: false, ..Coupling::BOTH };
    for (coupling, pinned, closes, expected) in [
        (Coupling::BOTH, true, true, true),
        (Coupling::BOTH, true, false, false),
        (Coupling::BOTH, false, true, false),
        (uncoupled, true, true, false),
    ] {
        let mut front = Front::new(pins(PinRule { coupling, ..PinRule::ON_401 }), 1);
        if pinned {
            front.exchange(1, &Ask::default(), CHALLENGE);
        }
        front.request(1, &Ask::default());
        let at = Exchange { downstream: front.id(1), upstream: front.busy[&1] };
        let head = ResponseHead { status: StatusCode::OK, headers: &HeaderMap::new(), closes };
        let told = front.policy.response(front.now, at, &head).edits.contains(&close);
        assert_eq!(told, expected, "{coupling:?}, pinned: {pinned}, closes: {closes}");
    }
}

#[test]
fn the_idle_limit_of_a_clients_own_connection_is_a_deadline() {
    let own_idle = Some(Duration::from_secs(30));
    let mut front = Front::new(Rules { own_idle, ..pins(PinRule::ON_401) }, 1);
    front.exchange(1, &Ask::default(), CHALLENGE);
    assert_eq!(front.policy.next_deadline(), Some(Time(0) + Duration::from_secs(30)));
    front.request(1, &Ask::default());
    assert_eq!(front.policy.next_deadline(), None, "it is in use");
}

#[test]
fn work_that_a_change_leaves_is_due_at_once() {
    let mut front = Front::new(Rules { pool: Some(POOL), ..Rules::PLAIN }, 1);
    front.route(1);
    front.pass(1);
    let now = front.now;
    assert_eq!(front.policy.next_deadline(), Some(Time(0) + Duration::from_mins(1)), "the idle limit");
    front.policy.change(now, 0, Change::State(BackendState::Down));
    assert_eq!(front.policy.next_deadline(), Some(now));
    assert_eq!(front.policy.poll(now), Some(Work::CloseUpstream(UpstreamId(1))));
    assert_eq!((front.policy.poll(now), front.policy.next_deadline()), (None, None));
}

/// A data plane reports what carries an exchange before it reports the downstream connection. A policy forgets both
/// in any case.
#[test]
fn a_closed_client_takes_along_what_carries_its_request() {
    let uncoupled = Coupling { upstream_follows: false, ..Coupling::BOTH };
    let pool = PinRule { coupling: uncoupled, ..PinRule::ON_401 };
    let parks = PinRule { key: PinKey::Client, ..pool.clone() };
    for (name, rules) in [
        ("plain", Rules::PLAIN),
        ("coupled", pins(PinRule::ON_401)),
        ("pooled afterwards", pins(pool)),
        ("parked afterwards", pins(parks)),
    ] {
        for pinned in [false, true] {
            let mut front = Front::new(rules.clone(), 1);
            if pinned {
                front.exchange(1, &Ask::default(), CHALLENGE);
            }
            front.request(1, &Ask::default());
            let (id, carrier) = (front.id(1), front.busy[&1]);
            assert_eq!(front.policy.downstream_closed(front.now, id), [carrier], "{name}, pinned: {pinned}");
        }
    }
}

#[test]
fn names_of_connections_tell_the_sides_apart() {
    assert_eq!((DownstreamId(7).to_string(), UpstreamId(7).to_string()), ("d7".to_owned(), "u7".to_owned()));
}

#[test]
fn a_farm_of_none_is_empty() {
    assert!(Backends::new(0, None).is_empty() && !Backends::new(1, None).is_empty());
}

#[test]
fn a_share_counts_for_connections_as_well() {
    let mut policy = PerConnection::new(FlowRules::ROUND_ROBIN, &farm(2), Entropy::new(0, "test")).unwrap();
    policy.change(Time(0), 1, Change::Share(25));
    let flow = |port| FiveTuple {
        client: SocketAddr::from(([10, 0, 1, 1], port)),
        front: SocketAddr::from(([10, 0, 0, 80], 80)),
    };
    let slow = (1..=10).filter(|&port| policy.connect(Time(0), flow(port)) == L4Decision::Backend(1)).count();
    assert_eq!(slow, 2, "a fifth of all weights");
}
