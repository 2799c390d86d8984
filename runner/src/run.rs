//! The result of performing a plan or a script on an arm.

use serde::{Deserialize, Serialize};
use stickler_model::{BalancerSpec, Plan, Trace, WorldError};
use stickler_oracle::{Grade, Requirement, Verdict};

use crate::{Arm, Deviation, Diagnostic, Expected, control, judge, play};

/// The source of a run, by which people can find it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The scenario's name, or the name that a plan was given.
    pub scenario: String,
    /// The script's path as it was given, a shipped scenario's name, or the path of a run file.
    pub path: String,
}

/// The result of one plan or script over one balancer, with one seed, on one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The source of the plan or script.
    pub source: Source,
    /// The arm's name, for example `sim`.
    pub arm: String,
    /// The balancer.
    pub balancer: BalancerSpec,
    /// The seed.
    pub seed: u64,
    /// The trace; `None` if there was no world, or if its trace was lost.
    pub trace: Option<Trace>,
    /// The verdicts of the oracle on the trace; empty if there is no trace.
    pub verdicts: Vec<Verdict>,
    /// The script's own expectations that did not hold, in order.
    pub failures: Vec<Diagnostic>,
    /// The lines that the script printed.
    pub printed: Vec<String>,
    /// Whether all steps were performed.
    pub end: End,
    /// The outcome that was expected.
    pub expected: Expected,
}

/// How the steps of a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All of them were performed.
    Complete,
    /// The arm does not support a step or the balancer, or nothing was put to the test. The text says why.
    Skipped(String),
    /// The script or the plan is not valid, or exceeds a limit; the message says where and how. The events until then
    /// were judged.
    Failed(Box<Diagnostic>),
}

/// How a run ended compared with what was expected of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The outcome is the expected one.
    AsExpected,
    /// The outcome differs from the expected one in these points.
    NotAsExpected(Vec<Deviation>),
    /// The arm does not support what the run asks for, or the run puts nothing to the test. The text says why.
    Skipped(String),
    /// The script or the plan could not be performed to its end. The verdicts are about the events until then, and are
    /// not compared with expectations.
    Failed(Diagnostic),
}

impl Run {
    /// Performs a plan on an arm, on this thread, and judges the trace. The only expectation is that no MUST is
    /// violated.
    ///
    /// A [`Diagnostic`] shows `source.path` as the file, and the line that the step has in a run file.
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
        let verdicts = trace.as_ref().map(|trace| judge(trace, arm)).unwrap_or_default();
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

    /// Returns why the run could not be performed to its end, if the script or the plan is to blame.
    pub fn error(&self) -> Option<&Diagnostic> {
        match &self.end {
            End::Failed(diagnostic) => Some(diagnostic),
            End::Complete | End::Skipped(_) => None,
        }
    }

    /// Returns the grade of a requirement, which is "not exercised" if there is no verdict.
    pub fn grade(&self, requirement: Requirement) -> Grade {
        let verdict = self.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        verdict.map_or(Grade::NotExercised, |verdict| verdict.grade)
    }

    /// Returns the verdicts with this grade.
    pub fn graded(&self, grade: Grade) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(move |verdict| verdict.grade == grade)
    }

    /// Returns how the run ended compared with what was expected of it.
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

    /// Returns whether the run was performed to its end, with the expected outcome.
    pub fn as_expected(&self) -> bool {
        self.ending() == Ending::AsExpected
    }
}
