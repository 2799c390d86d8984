//! The requested runs that were not made, because the command was interrupted or ended early. A report has to say so
//! plainly: what nothing violates in the other runs is not known to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::test_case::{Problem, TestCase, TestResult};

/// The runs that were requested and not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The number of runs that were requested.
    pub of: usize,
    /// The reason why the others were not made, as a clause: "the command was interrupted".
    pub why: String,
    /// Whether the command was interrupted, so that nobody asked for the other runs to be left out.
    pub interrupted: bool,
    /// The names of the missing cases in the order in which they would have been run: scenario, balancer and seed.
    runs: Vec<(String, String, u64)>,
    /// The scenarios and balancers of the missing runs.
    pairs: BTreeSet<(String, String)>,
}

impl Missing {
    /// Returns the statement about these runs, each with its scenario, balancer and seed; `None` if none is missing.
    pub fn of(of: usize, why: &str, interrupted: bool, runs: Vec<(String, String, u64)>) -> Option<Self> {
        if runs.is_empty() {
            return None;
        }
        let pairs = runs.iter().map(|(scenario, balancer, _)| (scenario.clone(), balancer.clone())).collect();
        Some(Self { of, why: why.to_owned(), interrupted, runs, pairs })
    }

    /// Returns whether a run of a scenario over a balancer is missing.
    pub fn has(&self, scenario: &str, balancer: &str) -> bool {
        self.pairs.contains(&(scenario.to_owned(), balancer.to_owned()))
    }

    /// Returns the number of missing runs over each balancer.
    pub fn by_balancer(&self) -> BTreeMap<&str, usize> {
        let mut counted = BTreeMap::new();
        for (_, balancer, _) in &self.runs {
            *counted.entry(&**balancer).or_default() += 1;
        }
        counted
    }

    /// Returns a skipped case for each missing run. After an interruption, an error comes first, so that no test runner
    /// takes the cases that were run for all of them. `with_seed` adds the seed to the names.
    pub fn cases(&self, with_seed: bool) -> Vec<TestCase> {
        let error = self.interrupted.then(|| incomplete(&self.to_string()));
        let skipped = self.runs.iter().map(|(scenario, balancer, seed)| TestCase {
            suite: balancer.clone(),
            name: if with_seed { format!("{scenario} (seed {seed})") } else { scenario.clone() },
            result: TestResult::Skipped(format!("not made: {}", self.why)),
            place: None,
            took: None,
        });
        error.into_iter().chain(skipped).collect()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, why, runs, .. } = self;
        let were = if runs.len() == 1 { "was" } else { "were" };
        write!(f, "{} of {of} runs {were} not made: {why}", runs.len())
    }
}

/// Returns the case that reports that a command did not do everything that was requested, as an error.
pub fn incomplete(why: &str) -> TestCase {
    let problem =
        Problem { summary: why.to_owned(), details: "The other cases of this report are not all.".to_owned() };
    TestCase {
        suite: "stickler".to_owned(),
        name: "every requested run was made".to_owned(),
        result: TestResult::Error(problem),
        place: None,
        took: None,
    }
}
