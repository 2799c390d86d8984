//! What can be wrong with a run file.

use stickler_model::plan::{MAX_STEPS, StepProblem};

use super::{FORMAT, MAX_LINE};

/// A run file cannot be read, or makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}: {problem}")]
pub struct FileError {
    /// The path as it was given.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line of a run file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The operating system refuses to read on.
    #[error("cannot read on: {0}")]
    Unreadable(std::io::Error),
    /// The line is longer than [`MAX_LINE`].
    #[error("this line is longer than {MAX_LINE} bytes: it is none of a run file")]
    TooLong,
    /// The first line is not that of a run file.
    #[error("this is no run file: its first line is not the head of one ({0})")]
    NotARunFile(serde_json::Error),
    /// Another version wrote the file.
    #[error("the file has format {found}, and this version of Stickler reads format {FORMAT}")]
    Format {
        /// The format that the file says it has.
        found: u64,
    },
    /// The line is not JSON, or has unknown or missing fields.
    #[error("column {}: {}", .0.column(), .0)]
    Malformed(serde_json::Error),
    /// The line stands in a place where it cannot stand.
    #[error(
        "`{found}` cannot stand here: a file has its head, then step, promises, event, verdict, expected, failure, printed and end"
    )]
    Order {
        /// The line's kind.
        found: &'static str,
    },
    /// The plan has too many steps.
    #[error("a plan has {MAX_STEPS} steps at most")]
    TooManySteps,
    /// There are more lines of results than a run can have.
    #[error("a run has {max} lines of this kind at most")]
    TooManyResults {
        /// How many there can be.
        max: usize,
    },
    /// A step makes no sense.
    #[error("this step makes no sense: {0}")]
    Step(StepProblem),
    /// The file ends before its last line.
    #[error("the file ends here, without its last line (`end`): it was cut off")]
    CutOff,
    /// The last line does not fit the lines above.
    #[error(
        "the last line counts {counted} {what}, and {found} stand above it: lines are missing, or were added without correcting the last one"
    )]
    Count {
        /// `steps` or `events`.
        what: &'static str,
        /// How many the last line says there are.
        counted: usize,
        /// How many there are.
        found: usize,
    },
    /// Something stands below the last line.
    #[error("`end` is the last line of a run file, and something stands below it")]
    AfterEnd,
}
