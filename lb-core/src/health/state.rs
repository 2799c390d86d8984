//! What a backend's checks add up to.

use std::time::Duration;

use super::rule::CheckRule;

/// One backend's health: up or down by the results of its checks. Pure.
///
/// It starts up, and the first result counts fully: one failure, and it is down. So HAProxy starts ("up, but will fall
/// down at first failure": `server.c`, `check.health = check.rise`); it keeps a balancer that has just started from
/// answering 503 to everybody, and finds out who is dead with the first check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    /// Results in a row that speak against the present state.
    against: u32,
    fresh: bool,
}

impl Health {
    /// Before the first check. `rise` and `fall` of zero count as 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), up: true, against: 0, fresh: true }
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// A check has this result. Returns the new state, if it changes.
    pub fn checked(&mut self, passed: bool) -> Option<bool> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        if passed == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let enough = if fresh {
            1
        } else if self.up {
            self.fall
        } else {
            self.rise
        };
        if self.against < enough {
            return None;
        }
        self.up = passed;
        self.against = 0;
        Some(self.up)
    }
}

/// Steps of a slow start, each of the same length.
const STEPS: u8 = 10;

/// The steps by which a backend that came back gets its share again: after how long since its return, and how many
/// percent. The last is 100. Empty where there is no slow start.
pub fn slow_start(rule: &CheckRule) -> impl Iterator<Item = (Duration, u8)> + use<> {
    let whole = rule.slow_start;
    let steps = if whole.is_zero() { 0 } else { STEPS };
    // With the first step a backend that is back has some share at once, or nobody would ever try it.
    (1..=steps).map(move |step| (whole * u32::from(step - 1) / u32::from(STEPS - 1), step * (100 / STEPS)))
}

/// How long after the start of one check the next one starts: `interval`, longer or shorter by up to `jitter` percent
/// of it, as `random` (any number) says.
pub fn interval(rule: &CheckRule, random: u64) -> Duration {
    let jitter = u64::from(rule.jitter.min(50));
    // In thousandths of the interval.
    let off = random.checked_rem(20 * jitter + 1).unwrap_or(0);
    rule.interval * u32::try_from(1000 - 10 * jitter + off).unwrap_or(1000) / 1000
}
