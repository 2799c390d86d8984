//! One scenario over one balancer on two arms: how often each requirement was violated, and whether the rates differ.

use std::collections::BTreeMap;

use stickler_oracle::{Grade, Requirement};

use crate::{End, Run};

/// The quantile of the normal distribution for an interval of 99%.
const QUANTILE: f64 = 2.575_829_303_549;

/// How far a simulated rate may be from a real one: the simulation has a model of chance, and not the product's.
const TOLERANCE: f64 = 0.1;

/// The verdicts of all trials of one scenario over one balancer on one arm, counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By requirement: in how many trials it was put to the test, and in how many of these it was violated.
    counts: BTreeMap<Requirement, (u32, u32)>,
    /// Trials that were performed to their end.
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

    /// Why a trial was skipped, or not performed to its end; `None` if all were performed.
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

/// In how many trials a requirement was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In so many of them.
    pub violated: u32,
    /// All of them.
    pub trials: u32,
}

impl Rate {
    /// The rate, from 0 to 1; 0 without trials.
    pub fn value(self) -> f64 {
        if self.trials == 0 { 0.0 } else { f64::from(self.violated) / f64::from(self.trials) }
    }

    /// Wilson's score interval of 99% for the rate (E. B. Wilson, 1927): where it may be if nobody saw more trials.
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

/// One requirement in one scenario over one balancer, on both arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The requirement.
    pub requirement: Requirement,
    /// In the simulation.
    pub simulated: Rate,
    /// In reality.
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

    /// Returns whether the real rate lies, with 99% confidence, further from the simulated one than a tenth. Few trials show
    /// great differences alone.
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

    /// Calculated by hand from the formula.
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
