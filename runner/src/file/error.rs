//! What can be wrong with a run file.

use std::fmt;

use stickler_model::TopologyProblem;
use stickler_model::plan::{MAX_STEPS, StepProblem};
use stickler_oracle::Requirement;

use super::{FORMAT, MAX_LINE};

/// A run file cannot be read, or makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}: {problem}", Place(*.line))]
pub struct FileError {
    /// The path as it was given.
    pub path: String,
    /// The line, from 1; `None`: the file cannot be opened.
    pub line: Option<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// The line of an error, after the path.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What is wrong with a line of a run file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened.
    #[error("the file cannot be opened: {0}")]
    Unopened(std::io::Error),
    /// The operating system refuses to read on.
    #[error("the file cannot be read any further: {0}")]
    Unreadable(std::io::Error),
    /// The line is longer than [`MAX_LINE`].
    #[error("the line is longer than {MAX_LINE} bytes, the limit of a run file")]
    TooLong,
    /// The first line is not that of a run file.
    #[error("this is not a run file: its first line is not the head of one ({})", said(.0))]
    NotARunFile(serde_json::Error),
    /// Another version wrote the file.
    #[error("the file has format {found}, but this version of Stickler reads format {FORMAT}")]
    Format {
        /// The format that the file says it has.
        found: u64,
    },
    /// The file is of an arm that is not there to perform its plan.
    #[error("the file was recorded by the arm `{found}`, which is not available")]
    Arm {
        /// The arm that the file names.
        found: String,
    },
    /// The line is not JSON, or has unknown or missing fields.
    #[error("the line is malformed at column {}: {}", .0.column(), said(.0))]
    Malformed(serde_json::Error),
    /// The line stands in a place where it cannot stand.
    #[error(
        "a line `{found}` cannot be here: the order is the head, then step, promises, event, verdict, expected, failure, printed and end"
    )]
    Order {
        /// The line's kind.
        found: &'static str,
    },
    /// The plan has too many steps.
    #[error("a plan can have at most {MAX_STEPS} steps")]
    TooManySteps,
    /// The plan has no step, and nothing is recorded beside it.
    #[error("the plan has no steps and the file records no events, so that there is nothing to perform")]
    NoSteps,
    /// No world can be built from the topology.
    #[error("the topology is not valid: {0}")]
    Topology(TopologyProblem),
    /// A step makes no sense.
    #[error("the step is not valid: {0}")]
    Step(StepProblem),
    /// A verdict has more evidence than a file may have of one.
    #[error(
        "a verdict has {} pieces of evidence at most, each with {} requests, {} events and {} bytes of summary at most",
        super::kept::MAX_EVIDENCE,
        super::kept::MAX_CITED,
        super::kept::MAX_CITED,
        super::kept::MAX_SUMMARY
    )]
    TooMuchEvidence,
    /// There are two verdicts on one requirement.
    #[error("the file has a verdict on {0} already, in a line above")]
    SecondVerdict(Requirement),
    /// The file ends before its last line.
    #[error("the file ends without its last line (`end`): it was cut off")]
    CutOff,
    /// The last line does not fit the lines above.
    #[error(
        "the last line counts {counted} {what}, but the file has {found}: lines are missing, or were added without correcting the last line"
    )]
    Count {
        /// `steps` or `events`.
        what: &'static str,
        /// How many the last line says there are.
        counted: usize,
        /// The number of such lines that were read.
        found: usize,
    },
    /// Something stands below the last line.
    #[error("the file continues after `end`, which must be the last line of a run file")]
    AfterEnd,
}

/// What is wrong with JSON, without the place in its line that `serde_json` adds.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}
