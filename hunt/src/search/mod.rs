//! Looks for findings: plan after plan, unit after unit.
//!
//! A hunt is made of units, each of which is a few hundred runs over one balancer. What a unit finds follows from the hunt's
//! seed and the unit's number alone, so that units can be distributed over threads and machines, repeated, and put together
//! in any order.
//!
//! * `unit.rs`: one unit, whose plans are steered by what it has reached.
//! * `found.rs`: findings, and what units have found together.
//! * `threads.rs`: many units at a time.

mod found;
mod threads;
mod unit;

use std::collections::BTreeSet;

use stickler_model::{BalancerSpec, Plan};
use stickler_oracle::Requirement;
use stickler_runner::Arm;

pub use crate::generate::Limits;
pub use found::{Finding, Found, Key, Place};
pub(crate) use threads::distribute;
pub use threads::{Watch, search};
pub use unit::Unit;

/// The most runs of a unit.
pub const MAX_UNIT: u64 = 500;

/// The fewest runs of a unit, where there are so many.
const MIN_UNIT: u64 = 50;

/// The units that each balancer has at least, where there are runs enough.
const UNITS: u64 = 16;

/// Says what is known of the balancer of a plan: a violation of these is no surprise.
pub type Declared<'a> = dyn Fn(&Plan) -> BTreeSet<Requirement> + Sync + 'a;

/// What is hunted for, and how.
pub struct Hunt<'a> {
    /// The seed that all plans follow from.
    pub seed: u64,
    /// The balancers; unit after unit takes the next one.
    pub balancers: Vec<BalancerSpec>,
    /// What plans may not contain.
    pub limits: Limits,
    /// Whether plans that reach something new are changed, in place of drawing each afresh.
    pub guidance: bool,
    /// The runs of a unit, 1 to [`MAX_UNIT`].
    pub unit: u64,
    /// Plans of earlier hunts to begin with.
    pub corpus: Vec<Plan>,
    /// What is known of the balancer of a plan: a violation of these is no surprise.
    pub declared: &'a Declared<'a>,
    /// Whether a violation that is declared is left out.
    pub undeclared_only: bool,
    /// Where the arm plays in real time: the arm that simulates the same balancers. Then what one of the arms violates and the other
    /// does not is a finding as well.
    pub simulation: Option<&'a dyn Arm>,
}

impl Hunt<'_> {
    /// Returns the runs of a unit where so many runs are wanted over so many balancers: each balancer gets its share, in sixteen
    /// units where that leaves enough runs for each to learn from, so that many machines can share the hunt.
    pub fn unit_for(runs: u64, balancers: usize) -> u64 {
        let share = runs.div_ceil(balancers.max(1) as u64).max(1);
        share.div_ceil(UNITS).clamp(share.min(MIN_UNIT), MAX_UNIT)
    }

    /// The balancer of a unit.
    pub fn balancer(&self, unit: u64) -> &BalancerSpec {
        &self.balancers[(unit % self.balancers.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_long_enough_to_learn_and_short_enough_to_share() {
        for (runs, balancers, unit) in [
            (1, 1, 1),
            (40, 1, 40),
            (200, 1, 50),
            (5_040, 63, 50),
            (20_000, 63, 50),
            (20_000, 1, 500),
            (1_000_000, 63, 500),
            (u64::MAX, 63, 500),
            (0, 0, 1),
        ] {
            assert_eq!(Hunt::unit_for(runs, balancers), unit, "{runs} runs over {balancers}");
        }
    }
}
