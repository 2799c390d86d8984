//! The comparison of two arms: how often each requirement was violated in one scenario over one balancer on each arm,
//! and whether the rates differ.

use std::collections::BTreeMap;

use stickler_oracle::{Grade, Requirement};

use crate::{End, Run};

/// The quantile of the normal distribution for a 99% interval.
const QUANTILE: f64 = 2.575_829_303_549;

/// The maximum difference between a simulated rate and a real one that is tolerated, because chance in the simulation
/// differs from chance in the product.
const TOLERANCE: f64 = 0.1;

/// The counted verdicts of all trials of one scenario over one balancer on one arm.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of trials that put a requirement to the test, and the number of these in which it was violated.
    counts: BTreeMap<Requirement, (u32, u32)>,
    /// The number of trials that were performed to their end.
    trials: u32,
    /// Why a trial was skipped, or not performed to its end.
    not_performed: Option<String>,
}

impl Tally {
    /// Adds a trial.
    pub fn add(&mut self, run: &Run) {
        match &run.end {
            End::Complete => {}
            End::Skipped(reason) => return self.not_performed = Some(reason.clone()),
            End::Failed(diagnostic) => return self.not_performed = Some(diagnostic.to_string()),
        }
        self.trials += 1;
        for verdict in &run.verdicts {
            let (tested, violated) = self.counts.entry(verdict.requirement).or_default();
            match verdict.grade {
                Grade::Violated => (*tested, *violated) = (*tested + 1, *violated + 1),
                Grade::Ok | Grade::NonStrict => *tested += 1,
                Grade::NotExercised | Grade::NotApplicable => {}
            }
        }
    }

    /// Returns why a trial was skipped, or not performed to its end; `None` if all were performed.
    pub fn not_performed(&self) -> Option<&str> {
        self.not_performed.as_deref()
    }

    fn rate(&self, requirement: Requirement) -> Rate {
        let (_, violated) = self.counts.get(&requirement).copied().unwrap_or_default();
        Rate { violated, trials: self.trials }
    }

    fn is_tested(&self, requirement: Requirement) -> bool {
        self.counts.get(&requirement).is_some_and(|&(tested, _)| tested > 0)
    }
}

/// The number of trials in which a requirement was violated, out of those that put it to the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of trials in which it was violated.
    pub violated: u32,
    /// The number of all trials.
    pub trials: u32,
}

impl Rate {
    /// Returns the rate, from 0 to 1; 0 if there are no trials.
    pub fn value(self) -> f64 {
        if self.trials == 0 { 0.0 } else { f64::from(self.violated) / f64::from(self.trials) }
    }

    /// Returns Wilson's 99% score interval for the rate (E. B. Wilson, 1927): the range in which the true rate lies,
    /// given the number of trials.
    pub fn interval(self) -> (f64, f64) {
        if self.trials == 0 {
            return (0.0, 1.0);
        }
        let (n, square) = (f64::from(self.trials), QUANTILE * QUANTILE);
        let middle = (self.value() + square / (2.0 * n)) / (1.0 + square / n);
        let half =
            QUANTILE / (1.0 + square / n) * (self.value() * (1.0 - self.value()) / n + square / (4.0 * n * n)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

/// One requirement in one scenario over one balancer, with its rates on both arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The requirement.
    pub requirement: Requirement,
    /// The rate in the simulation.
    pub simulated: Rate,
    /// The rate on real sockets.
    pub real: Rate,
}

impl Cell {
    /// Returns a cell for each requirement that was put to the test on either arm, in the order of the requirements.
    pub fn all(simulated: &Tally, real: &Tally) -> Vec<Self> {
        let tested = |&requirement: &Requirement| simulated.is_tested(requirement) || real.is_tested(requirement);
        let cell =
            |requirement| Self { requirement, simulated: simulated.rate(requirement), real: real.rate(requirement) };
        Requirement::all().filter(tested).map(cell).collect()
    }

    /// Returns whether the real rate differs from the simulated one by more than a tenth, with 99% confidence. With few
    /// trials, only large differences count.
    pub fn differs(&self) -> bool {
        let (low, high) = self.real.interval();
        let simulated = self.simulated.value();
        low > simulated + TOLERANCE || high < simulated - TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(simulated: (u32, u32), real: (u32, u32)) -> Cell {
        let rate = |(violated, trials)| Rate { violated, trials };
        Cell { requirement: Requirement::Id1, simulated: rate(simulated), real: rate(real) }
    }

    /// Checks the interval against values that were calculated by hand from the formula.
    #[test]
    fn the_interval_is_wilsons() {
        for (rate, low, high) in [((0, 10), 0.0, 0.3989), ((5, 10), 0.1842, 0.8158), ((100, 200), 0.4104, 0.5896)] {
            let (violated, trials) = rate;
            let (is_low, is_high) = Rate { violated, trials }.interval();
            assert!((is_low - low).abs() < 1e-4 && (is_high - high).abs() < 1e-4, "{rate:?}: {is_low} {is_high}");
        }
        assert_eq!(Rate { violated: 0, trials: 0 }.interval(), (0.0, 1.0));
    }

    #[test]
    fn a_cell_differs_where_reality_is_certainly_elsewhere() {
        assert!(cell((0, 10), (3, 3)).differs());
        assert!(cell((10, 10), (0, 3)).differs());
        assert!(cell((5, 10), (190, 200)).differs());
        assert!(!cell((0, 10), (0, 3)).differs());
        assert!(!cell((0, 10), (1, 3)).differs(), "one of three may be luck");
        assert!(!cell((5, 10), (110, 200)).differs(), "55% is near enough to 50%");
        assert!(!cell((5, 10), (0, 0)).differs(), "nothing is known");
    }
}
