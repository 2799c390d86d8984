//! Tests of the limits of check rules, of their promise, and of the bodies that count as alive.

use std::time::Duration;

use stickler_lb_core::health::rule::holds;
use stickler_lb_core::health::state::interval;
use stickler_lb_core::health::{CheckError, CheckRule, Expect, Probe};

#[test]
fn a_body_is_alive_if_the_string_is_anywhere_in_it() {
    for (body, find, found) in [
        ("", "", true),
        ("maintenance", "", true),
        ("it works", "works", true),
        ("works as it should", "works", true),
        ("works", "works", true),
        ("work", "works", false),
        ("", "works", false),
        ("it is down", "works", false),
    ] {
        assert_eq!(holds(body.as_bytes(), find), found, "{find:?} in {body:?}");
        let expect = Expect { find: find.into(), ..Expect::ALIVE };
        assert_eq!(expect.is_found_in(body.as_bytes()), found, "{find:?} in {body:?}");
    }
}

#[test]
fn the_highest_jitter_is_taken_and_a_target_needs_both_a_slash_and_a_form() {
    assert_eq!(CheckRule { jitter: 50, ..CheckRule::TCP }.check(), Ok(()));
    for (uri, sound) in [("/", true), ("/alive?x=1", true), ("alive", false), ("http://iis/", false), ("/a b", false)] {
        let http = Probe::Http { uri: uri.into(), expect: Expect::ALIVE };
        let logon = Probe::Logon { uri: uri.into(), find: "".into(), forbidden_is_up: false };
        for probe in [http, logon] {
            let expected = if sound { Ok(()) } else { Err(CheckError::Uri(uri.into())) };
            assert_eq!(CheckRule { probe, ..CheckRule::TCP }.check(), expected, "{uri}");
        }
    }
}

#[test]
fn jitter_reaches_both_ends_of_its_range_and_the_promise_is_the_longest_interval() {
    let rule = CheckRule { jitter: 10, interval: Duration::from_secs(1), ..CheckRule::TCP };
    for (random, millis) in [(0, 900), (100, 1_000), (200, 1_100), (201, 900)] {
        assert_eq!(interval(&rule, random), Duration::from_millis(millis), "{random}");
    }
    assert_eq!(rule.promise().interval, Duration::from_millis(1_100));
    assert_eq!(CheckRule::TCP.promise().interval, CheckRule::TCP.interval);
}

#[test]
fn a_death_is_noticed_later_if_each_check_delays_the_next() {
    let notice = |after_end: bool| CheckRule { after_end, ..CheckRule::TCP }.promise().notice_down();
    assert_eq!([notice(false), notice(true)], [8, 12].map(Duration::from_secs));
}
