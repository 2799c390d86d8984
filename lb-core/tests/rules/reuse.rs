//! Tests of reuse: the requests that may share an idle connection (HAProxy's `http-reuse`), and the limits.

use std::time::Duration;

use stickler_lb_core::policy::composed::Rules;
use stickler_lb_core::policy::pool::{Overflow, PoolRule, Share};
use stickler_lb_core::{FailureKind, Finish, Route, UpstreamId, texts};

use crate::front::{Ask, Front, OK};

const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));

fn front(pool: PoolRule, backends: usize) -> Front {
    Front::new(Rules { pool: Some(pool), ..Rules::PLAIN }, backends)
}

fn sharing(share: Share, backends: usize) -> Front {
    front(PoolRule { share, ..POOL }, backends)
}

const fn reuse(number: u32) -> Route {
    Route::Reuse(UpstreamId(number))
}

#[test]
fn never_keeps_a_connection_for_its_client_and_closes_it_with_it() {
    let mut front = sharing(Share::Never { slots: 2 }, 1);
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Open(0)));
    assert_eq!((front.route(1), front.route(2)), (reuse(1), reuse(2)));
    assert_eq!(front.close_client(1), [UpstreamId(1)]);
    assert_eq!(front.route(1), Route::Open(0));
}

#[test]
fn a_single_private_slot_is_lost_when_the_next_pick_differs() {
    let mut front = sharing(Share::Never { slots: 1 }, 2);
    let routes: Vec<_> = (0..3).map(|_| front.route(1)).collect();
    assert_eq!(routes, [Route::Open(0), Route::Open(1), Route::Open(0)]);
    assert_eq!(front.open.len(), 1);
    let mut front = sharing(Share::Never { slots: 2 }, 2);
    let routes: Vec<_> = (0..4).map(|_| front.route(1)).collect();
    assert_eq!(routes, [Route::Open(0), Route::Open(1), reuse(1), reuse(2)]);
}

#[test]
fn the_private_end_of_a_connection_does_not_close_its_client() {
    let mut front = sharing(Share::Never { slots: 1 }, 1);
    front.route(1);
    assert!(!front.close_upstream(UpstreamId(1)));
    assert_eq!(front.route(1), Route::Open(0));
}

#[test]
fn safe_opens_a_connection_for_a_first_request_and_shares_from_the_second_on() {
    let mut front = sharing(Share::Safe, 1);
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Open(0)));
    assert_eq!(front.route(1), reuse(2), "the second request takes what another used");
    front.close_client(1);
    assert_eq!(front.route(1), Route::Open(0), "a new connection's first request");
}

#[test]
fn aggressive_gives_a_first_request_only_what_was_reused_before() {
    let mut front = sharing(Share::Aggressive, 1);
    assert_eq!((front.route(1), front.route(2)), (Route::Open(0), Route::Open(0)));
    assert_eq!(front.route(1), reuse(2));
    assert_eq!(front.route(3), reuse(2), "proven by its second request");
}

#[test]
fn always_shares_with_everybody() {
    let mut front = sharing(Share::Always, 1);
    assert_eq!((front.route(1), front.route(2), front.route(1)), (Route::Open(0), reuse(1), reuse(1)));
}

#[test]
fn a_worn_connection_is_not_kept() {
    let mut by_count = front(PoolRule { requests: Some(2), ..POOL }, 1);
    let routes: Vec<_> = (0..4).map(|_| by_count.route(1)).collect();
    assert_eq!(routes, [Route::Open(0), reuse(1), Route::Open(0), reuse(2)]);
    let mut by_age = front(PoolRule { life: Some(Duration::from_secs(5)), ..POOL }, 1);
    by_age.request(1, &Ask::default());
    by_age.pass(5);
    by_age.answer(1, OK);
    assert_eq!(by_age.finish(1), Finish::Close);
}

#[test]
fn a_full_pool_closes_the_oldest_or_the_new_connection() {
    for (overflow, left) in [(Overflow::CloseOldest, 2), (Overflow::CloseNew, 1)] {
        let mut front = front(PoolRule { in_all: Some(1), overflow, ..POOL }, 1);
        for client in [1, 2] {
            front.request(client, &Ask::default());
        }
        for client in [1, 2] {
            front.answer(client, OK);
            front.finish(client);
        }
        assert_eq!(front.open.keys().copied().collect::<Vec<_>>(), [UpstreamId(left)], "{overflow:?}");
    }
}

#[test]
fn locations_share_no_connection() {
    let mut front = front(PoolRule { locations: texts(&["/api"]), ..POOL }, 1);
    let mut at = |path| front.exchange(1, &Ask { path, ..Ask::default() }, OK).0;
    assert_eq!((at("/"), at("/api/x"), at("/y"), at("/api")), (Route::Open(0), Route::Open(0), reuse(1), reuse(2)));
}

#[test]
fn nothing_is_tried_again_without_a_rule() {
    let mut front = front(POOL, 2);
    front.route(1);
    front.route(1);
    front.request(1, &Ask::default());
    assert_eq!(front.fail(1, FailureKind::Lost), Route::Reject(http::StatusCode::BAD_GATEWAY));
    front.request(2, &Ask::default());
    assert_eq!(front.fail(2, FailureKind::Refused), Route::Reject(http::StatusCode::BAD_GATEWAY));
}
