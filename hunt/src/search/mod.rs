//! Searches for findings, plan after plan and unit after unit.
//!
//! A hunt consists of units, each of which is a few hundred runs over one balancer. The results of a unit depend on the
//! hunt's seed and the unit's number alone, so units can be distributed over threads and machines, repeated, and merged
//! in any order.
//!
//! * `unit.rs`: one unit, whose plans are guided by what it has reached.
//! * `found.rs`: the findings, merged from the units.
//! * `threads.rs`: the distribution of units over threads.

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

/// The maximum number of runs in a unit.
pub const MAX_UNIT: u64 = 500;

/// The smallest number of runs in a unit, if the hunt has that many runs.
const MIN_UNIT: u64 = 50;

/// The smallest number of units for each balancer, if there are enough runs.
const UNITS: u64 = 16;

/// Returns the requirements that the balancer of a plan is known to violate.
pub type Declared<'a> = dyn Fn(&Plan) -> BTreeSet<Requirement> + Sync + 'a;

/// What a hunt searches, and how.
pub struct Hunt<'a> {
    /// The seed from which all plans are derived.
    pub seed: u64,
    /// The balancers. Consecutive units take them in turn.
    pub balancers: Vec<BalancerSpec>,
    /// The features that plans may not use.
    pub limits: Limits,
    /// Whether plans that reach something new are changed, instead of drawing every plan from the seed.
    pub guidance: bool,
    /// The number of runs in a unit, 1 to [`MAX_UNIT`].
    pub unit: u64,
    /// The plans of earlier hunts with which this one begins.
    pub corpus: Vec<Plan>,
    /// Returns the requirements that the balancer of a plan is known to violate.
    pub declared: &'a Declared<'a>,
    /// Whether declared violations are left out.
    pub undeclared_only: bool,
    /// The arm that simulates the same balancers, if the hunt's arm plays in real time. A requirement that only one of
    /// the two arms violates is then a finding as well.
    pub simulation: Option<&'a dyn Arm>,
}

impl Hunt<'_> {
    /// Returns the number of runs in a unit, given the number of runs and of balancers. Each balancer gets its share of
    /// the runs, in sixteen units if that leaves enough runs for each unit to learn from, so that many machines can
    /// share the hunt.
    pub fn unit_for(runs: u64, balancers: usize) -> u64 {
        let share = runs.div_ceil(balancers.max(1) as u64).max(1);
        share.div_ceil(UNITS).clamp(share.min(MIN_UNIT), MAX_UNIT)
    }

    /// Returns the balancer of a unit.
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
