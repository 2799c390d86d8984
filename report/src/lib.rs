//! Renders verdicts and traces; knows nothing of how they came about.
//!
//! * [`RunReport`]: one scenario over one balancer, ready to be shown.
//! * [`transcript`]: who sent what on which connection, and as whom the server took it.
//! * [`pretty`]: the verdict table and the evidence, for a terminal.
//! * [`json`]: the same for programs.
//! * [`matrix`]: which balancer keeps which requirement, over many scenarios.

pub mod json;
pub mod matrix;
pub mod pretty;
pub mod transcript;

use stickler_model::Trace;
use stickler_oracle::{Grade, Verdict};

/// One scenario over one balancer, with one seed.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// The scenario's name.
    pub scenario: String,
    /// The balancer's name.
    pub balancer: String,
    /// What was seen.
    pub trace: Trace,
    /// What the oracle says of it.
    pub verdicts: Vec<Verdict>,
    /// Expectations of the script that did not hold, each with its position and the actual value.
    pub failures: Vec<String>,
    /// The lines that the script printed.
    pub printed: Vec<String>,
    /// Where the outcome differs from the expected one; empty: as expected.
    pub surprises: Vec<String>,
    /// Why the expected outcome is what it is, where that is written down.
    pub reason: Option<String>,
    /// The command that replays the run.
    pub replay: String,
}

impl RunReport {
    /// Whether the outcome is the expected one.
    pub fn as_expected(&self) -> bool {
        self.surprises.is_empty()
    }

    /// The verdicts of this grade.
    pub fn graded(&self, grade: Grade) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(move |verdict| verdict.grade == grade)
    }
}
