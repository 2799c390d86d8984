//! The statement of all runs over one balancer about the identity of its users, if no table of expected outcomes covers
//! the balancer.

use stickler_model::BalancerSpec;
use stickler_runner::{Conclusion, Confidence, Run};
use stickler_scenarios::Case;

use crate::Failure;

/// The name of the group of scenarios that test whether users are kept apart.
const IDENTITY: &str = "identity";

/// The confidence of some runs, and whether identity was tested on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub(crate) confidence: Confidence,
    /// Whether a scenario of the group about identity was performed, or a script of the user's own that puts identity
    /// to the test.
    asked: bool,
}

impl Summary {
    /// Returns the summary of one run of a case.
    pub(crate) fn of(case: &Case, run: &Run) -> Self {
        let confidence = Confidence::of(run);
        // Only a shipped group has a title.
        let is_about_identity = case.group.name == IDENTITY || case.group.title.is_empty();
        Self { confidence, asked: is_about_identity && confidence.requests > 0 }
    }

    /// Adds the summary of other runs.
    fn join(&mut self, other: Self) {
        self.confidence.add(other.confidence);
        self.asked |= other.asked;
    }

    /// Returns the conclusion as a sentence. If it is inconclusive, the sentence names the repetitions that are needed.
    /// `repeat` is the number of repetitions so far.
    pub(crate) fn sentence(&self, repeat: u32) -> String {
        let Self { confidence, .. } = self;
        let more = match (confidence.conclusion(), confidence.times_needed()) {
            (Conclusion::Leaks | Conclusion::Clean, _) => return confidence.to_string(),
            (Conclusion::Inconclusive, Some(times)) => format!("--repeat {}", times.saturating_mul(repeat.into())),
            (Conclusion::Inconclusive, None) => "the scenario crowd has them, with --repeat 10".to_owned(),
        };
        format!("{confidence}: {more}")
    }

    fn is_open(&self) -> bool {
        self.asked && self.confidence.conclusion() == Conclusion::Inconclusive
    }
}

/// The summaries by the names of balancers, in the order of the runs. They contain the balancers of which only the
/// requirements for every balancer are expected.
#[derive(Debug, Default)]
pub(crate) struct Summaries(Vec<(String, Summary)>);

impl Summaries {
    /// Adds the summary of a run. A balancer that the tables of expected outcomes contain is judged by these, and is
    /// not added.
    pub(crate) fn add(&mut self, balancer: &BalancerSpec, summary: Summary) {
        let unexpected = match balancer {
            BalancerSpec::Target { .. } => true,
            BalancerSpec::Profile { name, .. } => {
                !stickler_catalogue::profiles().iter().any(|known| known.name == *name)
            }
            _ => false,
        };
        if !unexpected {
            return;
        }
        let name = balancer.to_string();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.join(summary),
            None => self.0.push((name, summary)),
        }
    }

    /// Returns the summaries with the names of their balancers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Summary)> {
        self.0.iter().map(|(name, summary)| (name.as_str(), summary))
    }

    /// Returns the failure that determines the exit code if nothing else went wrong: at least one summary is
    /// inconclusive.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        if self.0.iter().any(|(_, summary)| summary.is_open()) { Err(Failure::Inconclusive(None)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(requests: u64, clients: usize) -> Summary {
        Summary { confidence: Confidence { requests, clients, leaking: 0 }, asked: true }
    }

    fn target() -> BalancerSpec {
        BalancerSpec::Target { address: ([127, 0, 0, 1], 80).into(), like: None }
    }

    #[test]
    fn what_more_it_takes_is_said_with_the_finding() {
        assert!(of(100, 7).sentence(2).ends_with(": --repeat 6"));
        assert!(of(100, 2).sentence(2).ends_with(": the scenario crowd has them, with --repeat 10"));
        assert!(!of(300, 6).sentence(2).contains("--repeat"));
    }

    #[test]
    fn few_requests_are_inconclusive_where_somebody_asked_and_nothing_was_expected() {
        let outcome = |balancer: &BalancerSpec, summary| {
            let mut summaries = Summaries::default();
            summaries.add(balancer, summary);
            summaries.outcome().is_ok()
        };
        assert!(!outcome(&target(), of(100, 7)) && outcome(&target(), of(300, 7)));
        assert!(outcome(&target(), Summary { asked: false, ..of(100, 7) }), "nobody asked");
        let profile =
            |name: &str| BalancerSpec::Profile { name: name.into(), toml: String::new(), defects: Vec::new() };
        assert!(!outcome(&profile("ours"), of(100, 7)), "a profile of the user's own");
        assert!(outcome(&profile("haproxy-safe"), of(100, 7)), "one whose outcome is expected");
        assert!(outcome(&BalancerSpec::named("l4-nat"), of(100, 7)));
    }

    #[test]
    fn the_runs_of_one_balancer_add_up() {
        let mut summaries = Summaries::default();
        for _ in 0..3 {
            summaries.add(&target(), of(100, 7));
        }
        assert!(summaries.outcome().is_ok());
        assert_eq!(
            summaries.iter().map(|(name, summary)| (name, summary.confidence.requests)).collect::<Vec<_>>(),
            [("127.0.0.1:80", 300)]
        );
    }
}
