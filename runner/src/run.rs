//! What came of a plan or of a script on an arm.

use serde::{Deserialize, Serialize};
use stickler_model::{BalancerSpec, Plan, Trace, WorldError};
use stickler_oracle::{Grade, Requirement, Verdict};

use crate::{Arm, Deviation, Diagnostic, Expected, control, play};

/// Where a run comes from, for people who want to find it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The scenario's name, or what a plan is called.
    pub scenario: String,
    /// The script's path as it was given, a shipped scenario's name, or the path of a run file.
    pub path: String,
}

/// One plan or script over one balancer, with one seed, on one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Where it comes from.
    pub source: Source,
    /// The arm's name, `sim`.
    pub arm: String,
    /// The balancer.
    pub balancer: BalancerSpec,
    /// The seed.
    pub seed: u64,
    /// What was seen; `None` where there was no world, or it was lost.
    pub trace: Option<Trace>,
    /// What the oracle says of the trace; empty without one.
    pub verdicts: Vec<Verdict>,
    /// The script's own expectations that did not hold, in order.
    pub failures: Vec<Diagnostic>,
    /// The lines that the script printed.
    pub printed: Vec<String>,
    /// Whether all steps were performed.
    pub end: End,
    /// What was expected of it.
    pub expected: Expected,
}

/// How the steps of a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All of them were performed.
    Complete,
    /// The arm does not support a step, or the balancer, or nothing was put to the test; this is why.
    Skipped(String),
    /// The script or the plan is wrong, or past a limit; where, and how. What was seen until then was judged.
    Failed(Box<Diagnostic>),
}

/// How a run ended, against what was expected of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Its outcome is the expected one.
    AsExpected,
    /// Its outcome differs from the expected one in these points.
    NotAsExpected(Vec<Deviation>),
    /// The arm does not support what it asks for, or it puts nothing to the test; this is why.
    Skipped(String),
    /// The script or the plan could not be performed to its end. The verdicts are about what was seen until then, and are
    /// compared with nothing.
    Failed(Diagnostic),
}

impl Run {
    /// Performs a plan on an arm, on this thread, and judges what was seen. Nothing is expected of it but that no MUST
    /// is violated.
    ///
    /// `source.path` is what a [`Diagnostic`] shows as the file. Its line is the one that the step has in a run file.
    pub fn of_plan(plan: &Plan, source: Source, arm: &dyn Arm) -> Self {
        let (trace, end) = match play(plan, arm) {
            Ok(trace) => (Some(trace), End::Complete),
            Err(stopped) => {
                let end = match stopped.error {
                    WorldError::Unsupported(reason) => End::Skipped(reason),
                    error => End::Failed(Box::new(crate::file::at_step(&source.path, plan, stopped.step, &error))),
                };
                (stopped.trace.map(|trace| *trace), end)
            }
        };
        let verdicts = trace.as_ref().map(|trace| control::judge(trace, arm)).unwrap_or_default();
        let end = match control::contradiction(&verdicts) {
            Some(why) if end == End::Complete => {
                End::Failed(Box::new(crate::file::at_step(&source.path, plan, None, &why)))
            }
            _ => end,
        };
        Self {
            source,
            arm: arm.name().to_owned(),
            balancer: plan.balancer.clone(),
            seed: plan.seed,
            verdicts,
            trace,
            failures: Vec::new(),
            printed: Vec::new(),
            end,
            expected: Expected::default(),
        }
    }

    /// Why it could not be performed to its end, where the script or the plan is to blame.
    pub fn error(&self) -> Option<&Diagnostic> {
        match &self.end {
            End::Failed(diagnostic) => Some(diagnostic),
            End::Complete | End::Skipped(_) => None,
        }
    }

    /// The grade of a requirement; not exercised where there is no verdict.
    pub fn grade(&self, requirement: Requirement) -> Grade {
        let verdict = self.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        verdict.map_or(Grade::NotExercised, |verdict| verdict.grade)
    }

    /// The verdicts of this grade.
    pub fn graded(&self, grade: Grade) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(move |verdict| verdict.grade == grade)
    }

    /// How it ended, against what was expected of it.
    pub fn ending(&self) -> Ending {
        match &self.end {
            End::Skipped(reason) => Ending::Skipped(reason.clone()),
            End::Failed(diagnostic) => Ending::Failed((**diagnostic).clone()),
            End::Complete => {
                let deviations = self.expected.compare(self);
                if deviations.is_empty() { Ending::AsExpected } else { Ending::NotAsExpected(deviations) }
            }
        }
    }

    /// Whether it was performed to its end, and its outcome is the expected one.
    pub fn as_expected(&self) -> bool {
        self.ending() == Ending::AsExpected
    }
}
