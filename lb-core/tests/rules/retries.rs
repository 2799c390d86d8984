//! Tests of retries: which requests are sent again, and where.

use http::StatusCode;
use stickler_lb_core::policy::composed::{Connect, Credentials, Lost, RetryRule, Rules};
use stickler_lb_core::policy::pool::{PoolRule, Share};
use stickler_lb_core::{FailureKind, Finish, Route};

use crate::front::{Ask, Front, OK};

const TYPE3: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAD"), cookie: None, claim: None };
const TOLD: Route = Route::Reject(StatusCode::BAD_GATEWAY);

fn front(retry: RetryRule, backends: usize) -> Front {
    let pool = Some(PoolRule::shared(std::time::Duration::from_mins(1)));
    Front::new(Rules { pool, retry, ..Rules::PLAIN }, backends)
}

/// Loses a request on a connection that was used before, or on a new one. Returns the route of the next attempt.
fn lose(retry: RetryRule, used: bool, ask: &Ask) -> Route {
    let mut front = front(retry, 2);
    if used {
        front.route(1);
        front.route(1);
    }
    front.request(1, ask);
    front.fail_asking(1, FailureKind::Lost, ask, 1)
}

#[test]
fn a_lost_request_is_sent_again_by_what_it_is_and_what_its_connection_was() {
    let rule = |lost| RetryRule { lost, ..RetryRule::NONE };
    let again = |lost| [true, false].map(|used| lose(rule(lost), used, &Ask::default()) == Route::Open(0));
    assert_eq!(again(Lost::Never), [false, false]);
    assert_eq!(again(Lost::IdleRace), [true, false]);
    assert_eq!(again(Lost::Idempotent), [true, true]);
    assert_eq!(again(Lost::Any), [true, true]);
}

#[test]
fn credentials_that_belong_to_a_connection_are_sent_again_only_by_a_rule_that_does_not_look() {
    let careful = RetryRule { lost: Lost::Any, ..RetryRule::NONE };
    assert_eq!(lose(careful, true, &TYPE3), TOLD);
    assert_eq!(lose(RetryRule { carries_authenticate: true, ..careful }, true, &TYPE3), Route::Open(0));
}

#[test]
fn a_lost_request_goes_to_the_same_backend_or_to_another() {
    let rule = RetryRule { lost: Lost::IdleRace, lost_elsewhere: true, ..RetryRule::NONE };
    assert_eq!(lose(rule, true, &Ask::default()), Route::Open(1));
}

#[test]
fn what_a_client_is_told_of_a_failure_is_the_rules() {
    let (unreachable, broken) = (Some(StatusCode::SERVICE_UNAVAILABLE), Some(StatusCode::INTERNAL_SERVER_ERROR));
    let told = |rule, kind| {
        let mut front = front(rule, 1);
        front.request(1, &TYPE3);
        front.fail_asking(1, kind, &TYPE3, 1)
    };
    let own = RetryRule { unreachable, broken, ..RetryRule::NONE };
    for (kind, usual, ours) in [
        (FailureKind::Refused, 502, 503),
        (FailureKind::ConnectTimeout, 504, 503),
        (FailureKind::Lost, 502, 500),
        (FailureKind::Silent, 504, 504),
    ] {
        let reject = |status| Route::Reject(StatusCode::from_u16(status).unwrap());
        assert_eq!((told(RetryRule::NONE, kind), told(own, kind)), (reject(usual), reject(ours)), "{kind:?}");
    }
}

#[test]
fn a_connection_that_cannot_be_opened_is_tried_again_there_or_elsewhere_or_not() {
    let refused = |connect, attempts| {
        let mut front = front(RetryRule { connect, ..RetryRule::NONE }, 2);
        front.request(1, &TYPE3);
        front.fail_asking(1, FailureKind::Refused, &TYPE3, attempts)
    };
    assert_eq!(refused(Connect::Fail, 1), TOLD);
    let same = Connect::Same { retries: 2 };
    assert_eq!([1, 2, 3].map(|attempts| refused(same, attempts)), [Route::Open(0), Route::Open(0), TOLD]);
    assert_eq!([1, 2].map(|attempts| refused(Connect::Other, attempts)), [Route::Open(1), TOLD]);
}

#[test]
fn an_attempt_at_another_backend_opens_a_connection_or_takes_one_of_the_pool() {
    let second = |pooled, share| {
        let retry = RetryRule { connect: Connect::Other, pooled, ..RetryRule::NONE };
        let pool = Some(PoolRule { share, ..PoolRule::shared(std::time::Duration::from_mins(1)) });
        let mut front = Front::new(Rules { pool, retry, ..Rules::PLAIN }, 2);
        // These requests leave one idle connection to each backend.
        front.route(1);
        front.route(1);
        front.request(2, &Ask::default());
        front.fail_asking(2, FailureKind::Refused, &Ask::default(), 1)
    };
    assert!(matches!(second(true, Share::Always), Route::Reuse(_)));
    assert_eq!(second(false, Share::Always), Route::Open(1));
    assert_eq!(second(true, Share::Safe), Route::Open(1), "it counts as a first request");
}

#[test]
fn what_has_credentials_has_its_own_connection_at_another_backend_too() {
    for (credentials, kept) in [(Credentials::OwnConnection, false), (Credentials::Ordinary, true)] {
        let retry = RetryRule { connect: Connect::Other, pooled: true, ..RetryRule::NONE };
        let pool = Some(PoolRule::shared(std::time::Duration::from_mins(1)));
        let mut front = Front::new(Rules { pool, retry, credentials, ..Rules::PLAIN }, 2);
        front.route(1);
        front.route(1);
        front.request(2, &TYPE3);
        let route = front.fail_asking(2, FailureKind::Refused, &TYPE3, 1);
        assert_eq!(matches!(route, Route::Reuse(_)), kept, "{credentials:?}: {route:?}");
        front.answer(2, OK);
        assert_eq!(front.finish(2) != Finish::Close, kept, "{credentials:?}");
    }
}

#[test]
fn the_sound_rule_tries_another_backend_and_the_same_one_after_an_idle_race() {
    let mut unreachable = front(RetryRule::SOUND, 2);
    unreachable.request(1, &Ask::default());
    assert_eq!(unreachable.fail(1, FailureKind::Refused), Route::Open(1));
    for (used, ask, route) in
        [(true, Ask::default(), Route::Open(0)), (false, Ask::default(), TOLD), (true, TYPE3, TOLD)]
    {
        assert_eq!(lose(RetryRule::SOUND, used, &ask), route, "{used} {ask:?}");
    }
}
