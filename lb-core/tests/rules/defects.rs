//! Tests that each defect changes a decision of the mechanism that has it, in the way that its name says.

use http::StatusCode;
use stickler_catalogue::{Mechanism, defect, defects, find, mechanisms};
use stickler_lb_core::health::rule::{Expect, FailureTarget, Probe};
use stickler_lb_core::{FailureKind, Finish, L7Policy as _, Pipelining, Route, UpstreamId};

use crate::front::{Answer, Ask, CHALLENGE, Front, OK};

const TYPE1: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAB"), cookie: None, claim: None };
const TYPE3: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAAD"), cookie: None, claim: None };
const BARE: Answer = Answer { status: 401, challenge: Some("NTLM") };

const fn pinned(number: u32) -> Route {
    Route::Pinned(UpstreamId(number))
}

const fn reuse(number: u32) -> Route {
    Route::Reuse(UpstreamId(number))
}

/// Performs a handshake that begins with the Negotiate leg, and returns the routes of its two legs.
fn handshake(front: &mut Front, client: u32) -> [Route; 2] {
    [front.exchange(client, &TYPE1, CHALLENGE).0, front.exchange(client, &TYPE3, OK).0]
}

#[test]
fn all_twenty_are_listed_in_order_and_sit_somewhere() {
    let ids: Vec<_> = defects().iter().map(|defect| defect.id.to_owned()).collect();
    assert_eq!(ids, (1..=20).map(|number| format!("B{number}")).collect::<Vec<_>>());
    for defect in defects() {
        assert!(!defect.sits_on().is_empty(), "{defect:?}");
        for name in defect.sits_on() {
            let faulty = find(&format!("{name}+{}", defect.id)).unwrap();
            if let Some(rules) = faulty.rules() {
                assert_eq!(rules.check(), Ok(()), "{}", faulty.name);
            }
        }
    }
    assert!(mechanisms().iter().all(|mechanism| mechanism.defects.is_empty()));
}

/// A request with a ticket. No challenge comes before it, and its answer is not a challenge.
const ONE_SHOT: Ask = Ask { path: "/", authorization: Some("Negotiate YIIGhgYGKwYBBQUC"), cookie: None, claim: None };

#[test]
fn b1_a_one_shot_logon_leaves_its_connection_to_the_next() {
    for name in ["pin-on-authorization", "pin-by-address", "pin-coupled"] {
        let next = |balancer: &str| {
            let mut front = Front::of(balancer, 1);
            front.exchange(1, &ONE_SHOT, OK);
            (front.route(2), front.route(1))
        };
        assert_eq!(next(name), (Route::Open(0), pinned(1)), "{name}");
        assert_eq!(next(&format!("{name}+B1")), (reuse(1), reuse(1)), "{name}");
        let mut front = Front::of(&format!("{name}+B1"), 1);
        assert_eq!(handshake(&mut front, 1), [Route::Open(0), pinned(1)], "a challenge pins {name}");
    }
}

#[test]
fn b1_is_what_pins_on_answers_have_anyway_and_those_on_requests_have_not() {
    let has_hole = |mechanism: &&Mechanism| {
        let mut front = Front::of(&mechanism.name, 1);
        front.exchange(1, &ONE_SHOT, OK);
        // Some mechanisms never send the first request of a connection over a shared one. They do so with the second.
        front.route(2);
        front.route(2) == reuse(1) || front.served[&UpstreamId(1)].len() > 1
    };
    let pins = |mechanism: &&Mechanism| mechanism.rules().is_some_and(|rules| rules.pin.is_some());
    let (holed, sound): (Vec<_>, Vec<_>) = mechanisms().iter().filter(pins).partition(has_hole);
    let names = |these: &[&Mechanism]| these.iter().map(|mechanism| mechanism.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&sound), ["pin-on-authorization", "pin-by-address", "pin-coupled"]);
    assert!(names(&holed).contains(&"pin-on-401".into()) && names(&holed).contains(&"pin-next-request".into()));
    assert_eq!(defect::find("B1").unwrap().sits_on(), names(&sound));
}

#[test]
fn b2_the_authenticate_leg_goes_over_another_connection_than_the_negotiate_leg() {
    assert_eq!(handshake(&mut Front::of("pin-on-401", 1), 1), [Route::Open(0), pinned(1)]);
    assert_eq!(handshake(&mut Front::of("pin-on-401+B2", 1), 1), [Route::Open(0), Route::Open(0)]);
}

#[test]
fn b3_whoever_comes_from_the_same_address_and_port_gets_the_pin() {
    for (balancer, expected) in [("pin-on-401", Route::Open(0)), ("pin-on-401+B3", pinned(1))] {
        let mut front = Front::of(balancer, 1);
        handshake(&mut front, 1);
        front.close_client(1);
        assert_eq!(front.route(1), expected, "{balancer}");
    }
}

#[test]
fn b4_the_end_of_one_client_takes_the_pin_of_another() {
    for (balancer, expected) in [("pin-on-401", pinned(1)), ("pin-on-401+B4", Route::Open(0))] {
        let mut front = Front::of(balancer, 1);
        handshake(&mut front, 1);
        handshake(&mut front, 2);
        front.close_client(2);
        assert_eq!(front.route(1), expected, "{balancer}");
    }
}

#[test]
fn b5_the_pinned_connection_is_pooled_and_serves_the_next_who_comes() {
    for (balancer, expected) in [("pin-on-401", Route::Open(0)), ("pin-on-401+B5", reuse(1))] {
        let mut front = Front::of(balancer, 1);
        handshake(&mut front, 1);
        assert_eq!(front.route(2), expected, "{balancer}");
    }
}

#[test]
fn b6_each_request_of_a_pinned_client_chooses_a_backend_anew() {
    let backends = |balancer| {
        let mut front = Front::of(balancer, 2);
        front.exchange(1, &TYPE1, CHALLENGE);
        [front.get(1), front.get(1), front.get(1)]
    };
    assert_eq!(backends("pin-on-401"), [Some(0); 3]);
    assert_eq!(backends("pin-on-401+B6"), [Some(1), Some(0), Some(1)]);
}

#[test]
fn b7_a_request_for_another_service_goes_over_the_connection_of_the_first() {
    for (balancer, expected) in [("pin-services", Route::Open(1)), ("pin-services+B7", pinned(1))] {
        let mut front = Front::of(balancer, 2);
        handshake(&mut front, 1);
        let api = Ask { path: "/api/x", ..Ask::default() };
        assert_eq!(front.exchange(1, &api, OK).0, expected, "{balancer}");
    }
}

#[test]
fn b8_a_client_that_speaks_http2_is_not_pinned() {
    for name in ["pin-on-401", "pin-on-authorization"] {
        let legs = |front: Front| {
            let mut front = front;
            handshake(&mut front, 1);
            [front.route(2), front.route(1)]
        };
        let faulty = format!("{name}+B8");
        assert_eq!(legs(Front::http2(name, 1)), [Route::Open(0), pinned(1)], "{name}");
        assert_eq!(legs(Front::http2(&faulty, 1)), [reuse(1), reuse(1)], "whoever comes next gets what {name} left");
        assert_eq!(legs(Front::of(&faulty, 1)), [Route::Open(0), pinned(1)], "{name} by HTTP/1.1");
    }
}

#[test]
fn b9_a_second_handshake_takes_the_only_slot_from_the_first_in_silence() {
    let mut sound = Front::of("pin-slots", 1);
    handshake(&mut sound, 1);
    handshake(&mut sound, 2);
    assert_eq!(sound.route(1), pinned(1));
    let mut faulty = Front::of("pin-slots+B9", 1);
    faulty.exchange(1, &TYPE1, CHALLENGE);
    faulty.exchange(2, &TYPE1, CHALLENGE);
    assert_eq!(faulty.exchange(1, &TYPE3, OK).0, Route::Open(0), "the slot is the other's, and nobody said so");
    assert_eq!(faulty.exchange(2, &TYPE3, OK).0, pinned(2));
}

#[test]
fn b10_an_authenticate_leg_whose_connection_was_lost_goes_to_another_backend() {
    for (balancer, expected) in [("pin-on-401", Route::CloseDownstream), ("pin-on-401+B10", Route::Open(1))] {
        let mut front = Front::of(balancer, 2);
        front.exchange(1, &TYPE1, CHALLENGE);
        front.request(1, &TYPE3);
        assert_eq!(front.fail_asking(1, FailureKind::Lost, &TYPE3, 1), expected, "{balancer}");
    }
}

#[test]
fn b11_a_pinned_connection_that_was_lost_is_replaced_but_not_for_an_authenticate_leg() {
    for (balancer, expected) in [("pin-on-401", Route::CloseDownstream), ("pin-on-401+B11", Route::Open(0))] {
        let mut front = Front::of(balancer, 1);
        handshake(&mut front, 1);
        front.request(1, &Ask::default());
        assert_eq!(front.fail(1, FailureKind::Lost), expected, "{balancer}");
    }
    let mut front = Front::of("pin-on-401+B11", 1);
    handshake(&mut front, 1);
    front.request(1, &TYPE3);
    let refused = Route::Reject(StatusCode::BAD_GATEWAY);
    assert_eq!(front.fail_asking(1, FailureKind::Lost, &TYPE3, 1), refused);
}

#[test]
fn b12_failures_count_against_the_backend_that_was_picked_last() {
    let blame = |balancer| find(balancer).unwrap().passive.map(|passive| passive.blame);
    assert_eq!(blame("pin-passive"), Some(FailureTarget::Carrier));
    assert_eq!(blame("pin-passive+B12"), Some(FailureTarget::PickedLast));
    assert_eq!(blame("pin-on-401+B12"), Some(FailureTarget::PickedLast));
}

#[test]
fn b13_a_stream_in_the_same_place_of_another_connection_gets_the_pin() {
    for (balancer, expected) in [("pin-on-401", Route::Open(0)), ("pin-on-401+B13", pinned(1))] {
        let mut front = Front::http2(balancer, 1);
        assert_eq!(handshake(&mut front, 1), [Route::Open(0), pinned(1)], "{balancer}");
        assert_eq!(front.route(2), expected, "{balancer}");
        assert_eq!(front.route(1), pinned(1), "{balancer}: and back");
        front.close_client(1);
        assert_eq!(front.route(2) == Route::Open(0), balancer == "pin-on-401+B13");
        assert_eq!(handshake(&mut Front::of(balancer, 1), 1), [Route::Open(0), pinned(1)], "{balancer} by HTTP/1.1");
    }
}

#[test]
fn b13_a_pin_whose_place_is_busy_is_not_taken_and_stays_after_its_owner() {
    let mut front = Front::http2("pin-on-401+B13", 1);
    handshake(&mut front, 1);
    front.request(1, &Ask::default());
    assert_eq!(front.route(2), Route::Open(0));
    front.answer(1, OK);
    front.finish(1);
    assert_eq!(front.route(2), pinned(1), "it is with the second client now");
    assert_eq!(front.close_client(1), [], "so the end of the first does not end it");
    assert_eq!(front.route(2), pinned(1));
}

#[test]
fn b14_the_legs_of_two_users_go_over_one_connection() {
    let mut front = Front::of("pin-on-401+B14", 1);
    front.request(1, &TYPE1);
    assert_eq!(front.request(2, &TYPE1).verdict, Route::Wait);
    front.answer(1, CHALLENGE);
    assert_eq!(front.finish(1), Finish::Pool);
    assert_eq!(front.busy.get(&2), Some(&UpstreamId(1)), "it was called, and took what the first had used");
}

#[test]
fn b15_the_legs_of_a_client_without_cookies_are_split() {
    let mut front = Front::of("pin-on-401+B15", 2);
    let (_, first, cookie) = front.exchange(1, &Ask::default(), BARE);
    assert_eq!((first, front.exchange(1, &TYPE1, CHALLENGE).1), (Some(0), Some(1)), "without the cookie");
    let with_cookie = |ask: Ask| Ask { cookie: cookie.clone(), ..ask };
    assert_eq!(front.exchange(2, &with_cookie(TYPE1), CHALLENGE).1, Some(0));
    assert_eq!(front.exchange(2, &with_cookie(TYPE3), OK).1, Some(0));
}

#[test]
fn b16_an_idle_connection_is_kept_for_longer_than_the_server_keeps_it_and_its_loss_is_told() {
    for (balancer, reused) in [("shared-pool", false), ("shared-pool+B16", true)] {
        let mut front = Front::of(balancer, 1);
        front.route(1);
        front.pass(121);
        assert_eq!(front.request(1, &Ask::default()).verdict == reuse(1), reused, "{balancer}");
        if reused {
            assert_eq!(front.fail(1, FailureKind::Lost), Route::Reject(StatusCode::BAD_GATEWAY));
        }
    }
}

#[test]
fn b17_is_left_to_the_data_plane() {
    assert_eq!(find("pin-on-401").unwrap().pipelining, Pipelining::InOrder);
    assert_eq!(find("pin-on-401+B17").unwrap().pipelining, Pipelining::Overtakes);
}

#[test]
fn b18_a_401_counts_as_a_failure() {
    let holds = |balancer| match find(balancer).unwrap().checks.unwrap().probe {
        Probe::Http { expect, .. } => expect.holds(StatusCode::UNAUTHORIZED),
        other => panic!("{other:?}"),
    };
    assert!(holds("pin-checked-http") && !holds("pin-checked-http+B18") && !holds("pin-checked-http-2xx"));
    assert!(!Expect::SUCCESS.holds(StatusCode::UNAUTHORIZED));
}

#[test]
fn b19_is_left_to_the_data_plane_which_is_told_what_is_dedicated() {
    let drifts = |balancer| find(balancer).map(|mechanism| mechanism.tls_drifts);
    assert_eq!((drifts("pin-on-authorization"), drifts("pin-on-authorization+B19")), (Ok(false), Ok(true)));
    let refused = drifts("pin-on-401+B19").unwrap_err().to_string();
    assert!(refused.contains("its pins take the existing connection, and not another transport"), "{refused}");
    let mut front = Front::of("pin-on-authorization+B19", 1);
    front.request(1, &Ask::default());
    front.request(2, &TYPE1);
    assert_eq!([1, 2].map(|id| front.policy.is_dedicated(UpstreamId(id))), [false, true]);
    assert_eq!(front.fail(2, FailureKind::Tls), Route::Reject(StatusCode::BAD_GATEWAY));
}

#[test]
fn b20_a_challenge_for_nego2_does_not_pin() {
    for (challenge, missed) in [("NTLM", false), ("Negotiate", false), ("Nego2", true), ("Nego2 oYH", true)] {
        for (balancer, missed) in [("pin-on-401", false), ("pin-on-401+B20", missed)] {
            let mut front = Front::of(balancer, 1);
            front.exchange(1, &Ask::default(), Answer { status: 401, challenge: Some(challenge) });
            let next = if missed { reuse(1) } else { pinned(1) };
            assert_eq!(front.route(1), next, "{balancer} {challenge}");
        }
    }
}

#[test]
fn b20_a_challenge_with_a_token_does_not_pin() {
    assert_eq!(handshake(&mut Front::of("pin-on-401+B20", 1), 1), [Route::Open(0), reuse(1)]);
    let mut front = Front::of("pin-on-401+B20", 1);
    front.exchange(1, &Ask::default(), BARE);
    assert_eq!(front.route(1), pinned(1), "the bare scheme does");
}
