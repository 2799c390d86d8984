//! The expected outcome of a run as data, and the comparison of a run with it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_oracle::{Grade, Requirement};

use crate::Run;

/// The grades that a requirement may get if nothing is stated about it: any except a violation.
const UNSAID: [Grade; 4] = [Grade::Ok, Grade::NotExercised, Grade::NotApplicable, Grade::NonStrict];

/// The expected outcome of one scenario over one balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The grades that each requirement may get. A requirement that is missing here must not be violated.
    pub grades: BTreeMap<Requirement, Vec<Grade>>,
    /// The outcome of the script's own expectations. `None`: they hold.
    pub script: Option<ScriptOutcome>,
    /// Why a violation is expected.
    pub reason: Option<String>,
}

/// The outcome of a script's own expectations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptOutcome {
    /// All of them hold.
    Holds,
    /// At least one of them does not hold.
    Fails,
    /// The outcome depends on the seed.
    Either,
}

/// A difference between a run and what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deviation {
    /// A requirement got a grade that was not expected.
    Grade {
        /// The requirement.
        requirement: Requirement,
        /// The grades that were expected.
        expected: Vec<Grade>,
        /// The grade that the requirement got.
        actual: Grade,
        /// Why these grades were expected.
        reason: Option<String>,
    },
    /// The outcome of the script's own expectations was not the expected one.
    Script {
        /// The outcome that was expected.
        expected: ScriptOutcome,
        /// The number of expectations that did not hold.
        failed: usize,
        /// Why that outcome was expected.
        reason: Option<String>,
    },
}

impl Expected {
    /// Returns how the run differs from the expected outcome. The result is empty if it does not differ.
    pub fn compare(&self, run: &Run) -> Vec<Deviation> {
        let mut deviations: Vec<Deviation> = Requirement::all()
            .filter_map(|requirement| self.compare_grade(requirement, run.grade(requirement)))
            .collect();
        let expected = self.script.unwrap_or(ScriptOutcome::Holds);
        let failed = run.failures.len();
        if matches!((expected, failed), (ScriptOutcome::Holds, 1..) | (ScriptOutcome::Fails, 0)) {
            deviations.push(Deviation::Script { expected, failed, reason: self.reason.clone() });
        }
        deviations
    }

    /// Returns whether a violation, a departure or a failed script is among the expected outcomes.
    pub fn expects_trouble(&self) -> bool {
        let trouble = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
        self.grades.values().flatten().any(trouble)
            || matches!(self.script, Some(ScriptOutcome::Fails | ScriptOutcome::Either))
    }

    fn compare_grade(&self, requirement: Requirement, actual: Grade) -> Option<Deviation> {
        let expected = self.grades.get(&requirement).map_or(&UNSAID[..], Vec::as_slice);
        (!expected.contains(&actual)).then(|| Deviation::Grade {
            requirement,
            expected: expected.to_vec(),
            actual,
            reason: self.reason.clone(),
        })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::Grade { requirement, expected, actual, reason } => {
                if expected[..] == UNSAID {
                    write!(f, "{requirement} is {actual}, which nothing here expects")?;
                } else {
                    let expected: Vec<String> = expected.iter().map(Grade::to_string).collect();
                    write!(f, "{requirement} is {actual}, expected {}", expected.join(" or "))?;
                }
                reason
            }
            Self::Script { expected: ScriptOutcome::Fails, reason, .. } => {
                f.write_str("every expectation of the script holds, and one was expected to fail")?;
                reason
            }
            Self::Script { failed, reason, .. } => {
                write!(
                    f,
                    "{failed} expectation{} of the script {} not hold",
                    if *failed == 1 { "" } else { "s" },
                    if *failed == 1 { "does" } else { "do" }
                )?;
                reason
            }
        };
        match reason {
            Some(reason) => write!(f, " (because: {reason})"),
            None => Ok(()),
        }
    }
}
