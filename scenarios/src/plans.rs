//! The recorded plans of the shipped scenarios: the steps that a script asks for, without the script.
//!
//! Most scripts take the same steps over every balancer. Such a script has a plan in `plans/GROUP/NAME.jsonl`, a run
//! file that contains only a plan. It is played without Starlark, so the author of a balancer does not have to build
//! Starlark. The events and the verdicts are the same, but the script's own expectations of the answers are not
//! checked. A script whose steps depend on an answer, or on what the balancer declares, has no plan.
//!
//! The test `plans` of this crate compares the files with the scripts, and can regenerate them.

use std::sync::Arc;

use stickler_model::{BalancerSpec, Plan};
use stickler_runner::file::{FileError, Reader};
use stickler_runner::{Arm, Diagnostic, End, Run, Source, panics};

use crate::Case;

impl Case {
    /// Returns whether the scenario has a recorded plan, so that it can be played without its script.
    pub fn has_plan(&self) -> bool {
        self.plan.is_some()
    }

    /// Returns the recorded plan; `None` if the scenario has none.
    ///
    /// # Errors
    /// [`FileError`]: the recorded file is wrong, which is a defect of this crate.
    pub fn plan(&self) -> Result<Option<Plan>, FileError> {
        let Some(text) = self.plan else { return Ok(None) };
        Reader::new(text.as_bytes(), &self.plan_path())?.into_plan().map(Some)
    }

    /// Performs the recorded plan over a balancer on an arm, and returns a run that contains its expected outcome;
    /// `None` if the scenario has no plan.
    ///
    /// The script's own expectations are not part of a plan, so none of them fails.
    pub fn play_plan(&self, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Option<Run> {
        let failed = |message: String| {
            let diagnostic = Diagnostic::new(&self.plan_path(), "", 0..0, message, None);
            self.without_trace(balancer, seed, arm.name(), End::Failed(Box::new(diagnostic)))
        };
        let plan = match self.plan() {
            Ok(plan) => Plan { seed, balancer: balancer.clone(), ..plan? },
            Err(error) => return Some(failed(error.to_string())),
        };
        let played = panics::caught(|| Run::of_plan(&plan, self.source(), arm.as_ref()));
        Some(played.map_or_else(failed, |run| Run { expected: self.expected(balancer), ..run }))
    }

    /// Returns the run of a scenario that cannot be played, with the reason.
    pub fn skipped(&self, balancer: &BalancerSpec, seed: u64, arm: &str, reason: String) -> Run {
        self.without_trace(balancer, seed, arm, End::Skipped(reason))
    }

    fn without_trace(&self, balancer: &BalancerSpec, seed: u64, arm: &str, end: End) -> Run {
        Run {
            source: self.source(),
            arm: arm.to_owned(),
            balancer: balancer.clone(),
            seed,
            trace: None,
            verdicts: Vec::new(),
            failures: Vec::new(),
            printed: Vec::new(),
            end,
            expected: self.expected(balancer),
        }
    }

    fn source(&self) -> Source {
        Source { scenario: self.scenario.name().to_owned(), path: self.scenario.path().to_owned() }
    }

    /// Returns the path of the recorded plan in this crate.
    fn plan_path(&self) -> String {
        format!("plans/{}/{}.jsonl", self.group.name, self.scenario.name())
    }
}
