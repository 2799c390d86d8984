//! Run files: JSON lines that hold a plan, what was seen when it was performed, and what was made of it.
//!
//! A file holds these lines in this order. Each but the first is an object with one key, which says what the line is.
//!
//! | line | how many | holds |
//! |---|---|---|
//! | head | 1 | `format` ([`FORMAT`]), `stickler` (the version that wrote it), `scenario`, `path`, `arm`, and of the plan `seed`, `balancer`, `topology` |
//! | `step` | up to [`MAX_STEPS`](stickler_model::plan::MAX_STEPS) | an [`Action`](stickler_model::Action) of the plan |
//! | `promises` | 0 or 1 | what the balancer declares; where it is missing, so are the lines up to `end`: the file holds a plan alone |
//! | `event` | any | an [`Event`](stickler_model::Event) of the trace |
//! | `verdict` | any | a [`Verdict`](stickler_oracle::Verdict) of the oracle |
//! | `expected` | 0 or 1 | the [`Expected`](crate::Expected) outcome |
//! | `failure` | any | an expectation of the script that did not hold ([`Diagnostic`]) |
//! | `printed` | any | a line that the script printed |
//! | `end` | 1 | `steps` and `events` (how many there are above, so that a file that was cut off is noticed), `how` ([`End`]) |
//!
//! * [`write()`] writes a run, [`write_plan`] a plan alone.
//! * [`Reader`] reads a file line by line, in bounded memory, and points at the line that is wrong.
//! * [`replay`] performs the plan of a file again, and compares what is seen with what is recorded.

mod error;
mod read;
mod replay;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};
use stickler_model::{BalancerSpec, Plan, Topology};

use crate::{Diagnostic, End};

pub use error::{FileError, Problem};
pub use read::{Reader, Results};
pub use replay::{Difference, Replay, replay};
pub use write::{write, write_plan};

/// The format that this version writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 4 << 20;

/// The first line.
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

/// The last line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    steps: usize,
    events: usize,
    how: End,
}

/// The number of the line, from 1, on which a file has the step of this index.
fn line_of_step(step: usize) -> usize {
    step + 2
}

/// Returns a message about a step of a plan, at the place that it has in a file of this path. `None`: the message is
/// about the balancer or the topology, which stand in the head.
pub(crate) fn at_step(path: &str, plan: &Plan, step: Option<usize>, message: &impl std::fmt::Display) -> Diagnostic {
    let text = match step.and_then(|step| plan.steps.get(step)) {
        Some(action) => write::line_text("step", action),
        None => write::json(&plan.balancer),
    };
    Diagnostic {
        line: step.map_or(1, line_of_step),
        ..Diagnostic::new(path, &text, 0..text.len(), message.to_string(), None)
    }
}
