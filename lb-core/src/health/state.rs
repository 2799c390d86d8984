//! The state of a backend that follows from the results of its checks.

use std::time::Duration;

use super::rule::CheckRule;

/// The health of one backend: up or down according to the results of its checks. It is pure.
///
/// A backend starts up, and the first result counts fully: a single failure takes it down. HAProxy starts in this way
/// ("up, but will fall down at first failure": `server.c`, `check.health = check.rise`). Therefore a balancer that has
/// just started does not answer 503 to every client, and the first check reveals which backends are dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    /// The number of results in a row that contradict the current state.
    against: u32,
    fresh: bool,
}

impl Health {
    /// Returns the health of a backend before its first check. A `rise` or `fall` of zero counts as 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), up: true, against: 0, fresh: true }
    }

    /// Returns whether the backend is up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Records the result of a check. Returns the new state if it changes.
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

/// The number of steps of a slow start, all of the same length.
const STEPS: u8 = 10;

/// Returns the steps by which a backend that came back regains its share: the time since its return, and the percentage
/// from then on. The last step is 100 percent. There are no steps if the rule has no slow start.
pub fn slow_start(rule: &CheckRule) -> impl Iterator<Item = (Duration, u8)> + use<> {
    let whole = rule.slow_start;
    let steps = if whole.is_zero() { 0 } else { STEPS };
    // The first step gives a backend that has come back some share at once. Otherwise no request would ever reach it.
    (1..=steps).map(move |step| (whole * u32::from(step - 1) / u32::from(STEPS - 1), step * (100 / STEPS)))
}

/// Returns the time from the start of one check to the start of the next: `interval`, lengthened or shortened by up to
/// `jitter` percent, where `random` (any number) decides by how much.
pub fn interval(rule: &CheckRule, random: u64) -> Duration {
    let jitter = u64::from(rule.jitter.min(50));
    // The deviation is in thousandths of the interval.
    let off = random.checked_rem(20 * jitter + 1).unwrap_or(0);
    rule.interval * u32::try_from(1000 - 10 * jitter + off).unwrap_or(1000) / 1000
}
