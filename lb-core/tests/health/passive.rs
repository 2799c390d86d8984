//! Tests of the conclusions from failures of live traffic.

use std::time::Duration;

use proptest::prelude::*;
use stickler_lb_core::BackendState::{self, Down, Drain, Up};
use stickler_lb_core::health::passive::Ledger;
use stickler_lb_core::health::{FailureTarget, PassiveRule};
use stickler_model::Time;

const RULE: PassiveRule = PassiveRule {
    fails: 2,
    within: Duration::from_secs(10),
    out_for: Duration::from_secs(10),
    blame: FailureTarget::Carrier,
};

fn at(seconds: u64) -> Time {
    Time::default() + Duration::from_secs(seconds)
}

#[test]
fn failures_within_the_window_take_a_backend_out_and_one_trial_decides() {
    let mut ledger = Ledger::new(RULE, 2);
    assert_eq!((ledger.failed(at(0), 0), ledger.failed(at(10), 0)), (None, None), "the first is out of the window");
    assert_eq!(ledger.failed(at(11), 0), Some((0, Down)));
    assert_eq!((ledger.sent(at(12), 0, false), ledger.succeeded(0)), (None, None), "an old connection's answer");
    assert_eq!((ledger.next_deadline(), ledger.poll(at(20))), (Some(at(21)), None));
    assert_eq!((ledger.poll(at(21)), ledger.poll(at(21))), (Some((0, Up)), None));
    assert_eq!(ledger.sent(at(22), 0, true), Some((0, Drain)));
    assert_eq!(ledger.sent(at(22), 0, false), None, "there is one trial");
    assert_eq!(ledger.failed(at(23), 0), Some((0, Down)), "and one failure is enough");
    assert_eq!(ledger.poll(at(33)), Some((0, Up)));
    ledger.sent(at(34), 0, true);
    assert_eq!(ledger.succeeded(0), Some((0, Up)));
    assert_eq!(ledger.failed(at(35), 0), None, "it starts afresh");
}

#[test]
fn a_failure_while_out_puts_the_trial_off_and_a_lost_trial_is_followed_by_another() {
    let mut ledger = Ledger::new(PassiveRule { fails: 1, ..RULE }, 2);
    assert_eq!(ledger.failed(at(0), 1), Some((1, Down)));
    assert_eq!(ledger.failed(at(5), 1), None);
    assert_eq!((ledger.poll(at(10)), ledger.poll(at(15))), (None, Some((1, Up))));
    ledger.sent(at(16), 1, true);
    assert_eq!((ledger.poll(at(25)), ledger.poll(at(26))), (None, Some((1, Up))));
}

#[test]
fn the_blame_can_fall_on_whoever_was_picked_last() {
    let mut ledger = Ledger::new(PassiveRule { fails: 1, blame: FailureTarget::PickedLast, ..RULE }, 3);
    ledger.sent(at(0), 2, true);
    ledger.sent(at(1), 0, false);
    assert_eq!(ledger.failed(at(2), 0), Some((2, Down)));
}

#[test]
fn a_lone_backend_and_one_that_does_not_exist_are_never_out() {
    for (backends, failing) in [(1, 0), (2, 7), (0, 0)] {
        let mut ledger = Ledger::new(PassiveRule { fails: 1, ..RULE }, backends);
        assert_eq!((ledger.failed(at(0), failing), ledger.next_deadline()), (None, None));
    }
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Sent(usize, bool),
    Failed(usize),
    Succeeded(usize),
    Poll,
}

fn call() -> impl Strategy<Value = (u64, Call)> {
    let call = prop_oneof![
        (0..3_usize, any::<bool>()).prop_map(|(backend, picked)| Call::Sent(backend, picked)),
        (0..3_usize).prop_map(Call::Failed),
        (0..3_usize).prop_map(Call::Succeeded),
        Just(Call::Poll),
    ];
    (0..8_u64, call)
}

proptest! {
    #[test]
    fn news_is_new_and_who_is_out_has_a_deadline(
        fails in 1_u32..4, picked_last in any::<bool>(), calls in proptest::collection::vec(call(), 0..80),
    ) {
        let blame = if picked_last { FailureTarget::PickedLast } else { FailureTarget::Carrier };
        let mut ledger = Ledger::new(PassiveRule { fails, blame, ..RULE }, 3);
        let mut states = [BackendState::Up; 3];
        let mut now = at(0);
        for (pause, call) in calls {
            now = now + Duration::from_secs(pause);
            let news = match call {
                Call::Sent(backend, picked) => ledger.sent(now, backend, picked),
                Call::Failed(backend) => ledger.failed(now, backend),
                Call::Succeeded(backend) => ledger.succeeded(backend),
                Call::Poll => ledger.poll(now),
            };
            if let Some((backend, state)) = news {
                prop_assert_ne!(states[backend], state);
                prop_assert!(state != Drain || states[backend] == Up, "a trial is of one that may be tried");
                states[backend] = state;
            }
            let waiting = states.iter().any(|&state| state != Up);
            prop_assert_eq!(ledger.next_deadline().is_some(), waiting);
        }
    }
}
