//! Run files: JSON lines that contain a plan, the events that were recorded when it was performed, and the verdicts on
//! them.
//!
//! A file contains these lines in this order. Each line except the first is an object with one key, which names the
//! kind of the line.
//!
//! | line | how many | holds |
//! |---|---|---|
//! | head | 1 | `format` ([`FORMAT`]), `stickler` (the version that wrote it), `scenario`, `path`, `arm`, and `seed`, `balancer` and `topology` of the plan |
//! | `step` | up to [`MAX_STEPS`](stickler_model::plan::MAX_STEPS) | an [`Action`](stickler_model::Action) of the plan |
//! | `promises` | 0 or 1 | what the balancer declares; if it is missing, all lines up to `end` are missing: the file contains a plan alone |
//! | `event` | any | an [`Event`](stickler_model::Event) of the trace |
//! | `verdict` | one for each requirement | a verdict of the oracle, with the start of its evidence ([`RecordedVerdict`]) |
//! | `expected` | 0 or 1 | the [`Expected`](crate::Expected) outcome |
//! | `failure` | any | an expectation of the script that did not hold ([`Diagnostic`]) |
//! | `printed` | any | a line that the script printed |
//! | `end` | 1 | `steps` and `events` (how many there are above, so that a file that was cut off is noticed), `how` ([`End`]), `digests` of a recorded run |
//!
//! A file contains the actions that were performed. A wait for the balancer's health checks (`await_checks`) is recorded
//! as the time that it took (`advance`), so the plan is specific to this balancer. A plan alone may have either.
//!
//! `digests` has a digest of the lines of each kind, so that a record that was edited is noticed even where a replay has
//! nothing to compare: in the seed, the expected outcome, or what a script said. Digests show accidents; they protect
//! against nobody, because anybody can compute them or leave them out. A file without them is read as it is.
//!
//! Unknown fields are errors. A file has at most [`MAX_FILE`] bytes, a line at most [`MAX_LINE`]. A plan is within
//! [`bounds`](stickler_model::bounds), as is everything that is recorded. Text of a script beyond [`MAX_SAID`] bytes is
//! counted and left out. A run without a trace, which was skipped before there was a world, is not recorded.
//!
//! * [`write()`] writes a run, [`write_plan`] a plan alone.
//! * [`Reader`] reads a file line by line, in bounded memory, and names the line that is wrong.
//! * [`replay`] performs the plan of a file again, and compares the result with the record.

mod digests;
mod error;
mod kept;
mod read;
mod replay;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stickler_model::{BalancerSpec, Plan, Topology};

use crate::{Diagnostic, End};

pub use error::{FileError, Problem};
pub use kept::{MAX_CITED, MAX_EVIDENCE, MAX_SAID, MAX_SUMMARY, RecordedVerdict};
pub use read::{Reader, Results};
pub use replay::{ChangedPromise, Comparison, Difference, Replay, replay};
pub use write::{write, write_plan};

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The maximum length of a line that is written and read, in bytes. A step contains at most
/// [`MAX_TEXT`](stickler_model::bounds::MAX_TEXT) bytes of text, each of which JSON may have to escape with six.
pub const MAX_LINE: usize = 8 << 20;

/// The maximum length of a file that is written and read, in bytes: that of the longest trace.
pub const MAX_FILE: usize = stickler_model::trace::MAX_EVENT_BYTES;

/// The first line of a run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u32,
    stickler: String,
    scenario: String,
    path: String,
    arm: String,
    seed: u64,
    balancer: BalancerSpec,
    topology: Topology,
}

/// The last line of a run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    steps: usize,
    events: usize,
    how: End,
    /// The digests of the lines above, by kind; `None` in a file that contains a plan alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digests: Option<BTreeMap<String, String>>,
}

/// Returns the number, from 1, of the line that contains the step with this index.
fn line_of_step(step: usize) -> usize {
    step + 2
}

/// Returns a message about a step of a plan, at its place in a file with this path. With `None`, the message is about
/// the balancer or the topology, which are in the head.
pub(crate) fn at_step(path: &str, plan: &Plan, step: Option<usize>, message: &impl std::fmt::Display) -> Diagnostic {
    let text = match step.and_then(|step| plan.steps.get(step)) {
        Some(action) => write::line_text("step", action),
        None => format!("\"balancer\":{},\"topology\":{}", write::json(&plan.balancer), write::json(&plan.topology)),
    };
    Diagnostic {
        line: step.map_or(1, line_of_step),
        ..Diagnostic::new(path, &text, 0..text.len(), message.to_string(), None)
    }
}
