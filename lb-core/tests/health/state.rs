//! Tests of the conclusions from a backend's checks.

use std::time::Duration;

use proptest::prelude::*;
use stickler_lb_core::health::state::{interval, slow_start};
use stickler_lb_core::health::{CheckError, CheckRule, Expect, Health, Probe, Statuses};

#[test]
fn a_backend_starts_up_and_its_first_failure_takes_it_down() {
    let mut health = Health::new(2, 3);
    assert!(health.is_up());
    assert_eq!(health.checked(false), Some(false));
    assert_eq!((health.checked(true), health.checked(true)), (None, Some(true)));
    assert_eq!((health.checked(false), health.checked(false), health.checked(false)), (None, None, Some(false)));
}

#[test]
fn a_flapping_backend_stays_what_it_is() {
    let mut health = Health::new(2, 2);
    assert_eq!(health.checked(true), None);
    for _ in 0..10 {
        assert_eq!((health.checked(false), health.checked(true)), (None, None));
    }
    assert!(health.is_up());
}

/// Returns whether a backend is up according to the definition: the last `rise` or `fall` results decide if they agree.
fn defined(rise: usize, fall: usize, results: &[bool]) -> bool {
    let mut up = true;
    let mut since = 0;
    for end in 1..=results.len() {
        let need = if end == 1 {
            1
        } else if up {
            fall
        } else {
            rise
        };
        let latest = &results[since..end];
        if latest.len() >= need && latest[latest.len() - need..].iter().all(|&passed| passed != up) {
            up = !up;
            since = end;
        }
    }
    up
}

proptest! {
    #[test]
    fn rise_and_fall_count_results_in_a_row(
        rise in 1_u32..5, fall in 1_u32..5, results in proptest::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut health = Health::new(rise, fall);
        let mut up = true;
        for (at, &passed) in results.iter().enumerate() {
            if let Some(news) = health.checked(passed) {
                prop_assert_ne!(news, up);
                prop_assert_eq!(news, passed, "a change follows the check that brings it");
                up = news;
            }
            prop_assert_eq!(health.is_up(), up);
            prop_assert_eq!(up, defined(rise as usize, fall as usize, &results[..=at]));
        }
    }

    #[test]
    fn jitter_keeps_to_its_bound(random in any::<u64>(), jitter in 0_u8..=50, millis in 1_u64..100_000) {
        let rule = CheckRule { jitter, interval: Duration::from_millis(millis), ..CheckRule::TCP };
        let (base, next) = (rule.interval, interval(&rule, random));
        let most = base * u32::from(jitter) / 100;
        prop_assert!(next + most >= base && next <= base + most, "{next:?}");
        prop_assert!(next <= rule.promise().interval);
    }
}

#[test]
fn a_slow_start_has_ten_equal_steps_and_ends_with_the_whole_share() {
    let rule = CheckRule { slow_start: Duration::from_secs(9), ..CheckRule::TCP };
    let steps: Vec<(u64, u8)> = slow_start(&rule).map(|(after, percent)| (after.as_secs(), percent)).collect();
    let expected: Vec<(u64, u8)> = (0..10).map(|step| (step, 10 * (step as u8 + 1))).collect();
    assert_eq!(steps, expected);
    assert_eq!(slow_start(&CheckRule::TCP).count(), 0);
}

#[test]
fn rules_that_cannot_keep_their_promise_are_refused_with_a_reason() {
    assert_eq!(CheckRule::TCP.check(), Ok(()));
    let second = Duration::from_secs(1);
    let with = |statuses: &[(u16, u16)]| {
        let statuses = statuses.iter().map(|&(first, last)| Statuses { first, last }).collect();
        let expect = Expect { statuses, find: "".into() };
        CheckRule { probe: Probe::Http { uri: "/".into(), expect }, ..CheckRule::TCP }
    };
    assert_eq!(with(&[(200, 200), (401, 403)]).check(), Ok(()));
    for (rule, error) in [
        (CheckRule { rise: 0, ..CheckRule::TCP }, CheckError::NoCount),
        (CheckRule { fall: 0, ..CheckRule::TCP }, CheckError::NoCount),
        (CheckRule { timeout: Duration::ZERO, ..CheckRule::TCP }, CheckError::NoTime),
        (CheckRule { interval: Duration::ZERO, ..CheckRule::TCP }, CheckError::NoTime),
        (CheckRule { interval: second, ..CheckRule::TCP }, CheckError::Late { timeout: 2 * second, interval: second }),
        (CheckRule { jitter: 51, ..CheckRule::TCP }, CheckError::Jitter(51)),
        (
            CheckRule { probe: Probe::Http { uri: "a b".into(), expect: Expect::ALIVE }, ..CheckRule::TCP },
            CheckError::Uri("a b".into()),
        ),
        (with(&[]), CheckError::Statuses),
        (with(&[(200, 299), (399, 300)]), CheckError::Statuses),
        (with(&[(0, 200)]), CheckError::Statuses),
    ] {
        assert_eq!(rule.check(), Err(error));
    }
}
