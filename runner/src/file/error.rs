//! The errors in run files.

use std::fmt;

use stickler_model::TopologyProblem;
use stickler_model::plan::{MAX_STEPS, StepProblem};
use stickler_model::trace::MAX_EVENTS;
use stickler_oracle::Requirement;

use super::{FORMAT, MAX_FILE, MAX_LINE};

/// Why a run file cannot be read, or is not valid.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}: {problem}", Place(*.line))]
pub struct FileError {
    /// The path as it was given.
    pub path: String,
    /// The line, from 1; `None` if the file cannot be opened.
    pub line: Option<usize>,
    /// What is wrong with the file or the line.
    pub problem: Problem,
}

/// The number of the line, as it follows the path in the message.
struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What is wrong with a run file or with one of its lines.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened.
    #[error("the file cannot be opened: {0}")]
    Unopened(std::io::Error),
    /// The operating system cannot read any further.
    #[error("the file cannot be read any further: {0}")]
    Unreadable(std::io::Error),
    /// The line is longer than [`MAX_LINE`].
    #[error("the line is longer than {MAX_LINE} bytes, the limit of a run file")]
    TooLong,
    /// The file is longer than [`MAX_FILE`].
    #[error("the file is longer than {MAX_FILE} bytes, the limit of a run file")]
    TooLarge,
    /// The first line is not the head of a run file.
    #[error("this is not a run file: its first line is not the head of one ({})", said(.0))]
    NotARunFile(serde_json::Error),
    /// Another version wrote the file.
    #[error("the file has format {found}, but this version of Stickler reads format {FORMAT}")]
    Format {
        /// The format that the file states.
        found: u64,
    },
    /// The file was recorded by an arm that is not available to perform its plan.
    #[error("the file was recorded by the arm `{found}`, which is not available")]
    Arm {
        /// The arm that the file names.
        found: String,
    },
    /// The line is not JSON, or has unknown or missing fields.
    #[error("the line is malformed at column {}: {}", .0.column(), said(.0))]
    Malformed(serde_json::Error),
    /// The line is in a place where it cannot be.
    #[error(
        "a line `{found}` cannot be here: the order is the head, then step, promises, event, verdict, expected, failure, printed and end"
    )]
    Order {
        /// The kind of the line.
        found: &'static str,
    },
    /// The plan has more steps than [`MAX_STEPS`].
    #[error("a plan can have at most {MAX_STEPS} steps")]
    TooManySteps,
    /// The file has more events than [`MAX_EVENTS`].
    #[error("a run file can have at most {MAX_EVENTS} events")]
    TooManyEvents,
    /// The plan has no steps, and the file records no events.
    #[error("the plan has no steps and the file records no events, so that there is nothing to perform")]
    NoSteps,
    /// No world can be built from the topology.
    #[error("the topology is not valid: {0}")]
    Topology(TopologyProblem),
    /// A step of the plan is not valid.
    #[error("the step is not valid: {0}")]
    Step(StepProblem),
    /// A verdict has more evidence than a file may contain.
    #[error(
        "a verdict has at most {} pieces of evidence, each with at most {} requests, {} events and {} bytes of summary",
        super::kept::MAX_EVIDENCE,
        super::kept::MAX_CITED,
        super::kept::MAX_CITED,
        super::kept::MAX_SUMMARY
    )]
    TooMuchEvidence,
    /// There are two verdicts on one requirement.
    #[error("the file already has a verdict on {0}, in a line above")]
    SecondVerdict(Requirement),
    /// The file ends before its last line.
    #[error("the file ends without its last line (`end`): it was cut off")]
    CutOff,
    /// The numbers in the last line do not agree with the lines above it.
    #[error(
        "the last line counts {counted} {what}, but the file has {found}: lines are missing, or were added without correcting the last line"
    )]
    Count {
        /// What is counted: `steps` or `events`.
        what: &'static str,
        /// The number that the last line states.
        counted: usize,
        /// The number of such lines that were read.
        found: usize,
    },
    /// Lines do not agree with their digest in the last line.
    #[error(
        "{}, so the file contradicts itself: it was edited after the run was recorded. To use it as it is, remove `digests` from its last line",
        disagreement(.kind, *.last)
    )]
    Edited {
        /// The kind of the lines.
        kind: &'static str,
        /// The last of these lines, if there are several.
        last: Option<usize>,
    },
    /// The file continues after its last line.
    #[error("the file continues after `end`, which must be the last line of a run file")]
    AfterEnd,
}

/// Returns what does not agree with the digest of these lines.
fn disagreement(kind: &str, last: Option<usize>) -> String {
    match last {
        Some(last) => format!("the lines `{kind}` from here to line {last} do not agree with their digest"),
        None => format!("the line does not agree with the digest of `{kind}`"),
    }
}

/// Returns what is wrong with a JSON text, without the position that `serde_json` adds.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or_else(|| text.clone(), str::to_owned)
}
