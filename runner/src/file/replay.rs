//! Performs the plan of a run file again, and compares.

use std::path::Path;

use stickler_model::trace::Promises;
use stickler_model::{Event, Trace};
use stickler_oracle::Verdict;

use super::{FileError, Reader, read::Results};
use crate::{Arm, Run, Source};

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Where the recorded run came from.
    pub recorded: Source,
    /// The run that the plan gives now.
    pub run: Run,
    /// The first difference from what is recorded; `None`: the trace and the verdicts are equal, or the file holds a
    /// plan alone.
    pub difference: Option<Difference>,
}

/// How a replay differs from what is recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// The balancer declares something else about itself.
    Promises {
        /// What it declared.
        recorded: Box<Promises>,
        /// What it declares now.
        replayed: Box<Promises>,
    },
    /// The first event that differs.
    Event {
        /// Its index in the trace, from 0.
        index: usize,
        /// The event that is recorded; `None`: the recorded trace ends before it.
        recorded: Option<Box<Event>>,
        /// The event that was seen now; `None`: the trace ends before it now.
        replayed: Option<Box<Event>>,
    },
    /// The events are equal, and the oracle judges them differently.
    Verdict {
        /// The recorded verdict; `None`: there was none on this requirement.
        recorded: Option<Box<Verdict>>,
        /// The verdict now; `None`: there is none on this requirement.
        replayed: Option<Box<Verdict>>,
    },
}

/// Performs the plan of a run file on an arm, and compares what is seen with what is recorded. No script is needed.
///
/// # Errors
/// [`FileError`]: the file cannot be read, or makes no sense.
pub fn replay(path: &Path, arm: &dyn Arm) -> Result<Replay, FileError> {
    let mut reader = Reader::open(path)?;
    let recorded = reader.source.clone();
    let source = Source { scenario: recorded.scenario.clone(), path: path.display().to_string() };
    let mut run = Run::of_plan(&reader.plan, source, arm);
    let mut difference = None;
    if let (Some(trace), Some(promises)) = (&run.trace, reader.promises.clone()) {
        difference = compare_promises(promises, trace);
        if difference.is_none() {
            difference = compare_events(&mut reader, trace)?;
        }
    }
    let has_trace = reader.promises.is_some();
    let results = reader.finish()?;
    if difference.is_none() && has_trace {
        difference = compare_verdicts(&results, &run);
    }
    run.expected = results.expected;
    Ok(Replay { recorded, run, difference })
}

fn compare_promises(recorded: Promises, trace: &Trace) -> Option<Difference> {
    let replayed = &trace.header.promises;
    (recorded != *replayed)
        .then(|| Difference::Promises { recorded: Box::new(recorded), replayed: Box::new(replayed.clone()) })
}

fn compare_events<R: std::io::BufRead>(reader: &mut Reader<R>, trace: &Trace) -> Result<Option<Difference>, FileError> {
    let mut replayed = trace.events.iter();
    for index in 0.. {
        let (recorded, replayed) = (reader.next_event()?, replayed.next());
        if recorded.as_ref() != replayed {
            let (recorded, replayed) = (recorded.map(Box::new), replayed.cloned().map(Box::new));
            return Ok(Some(Difference::Event { index, recorded, replayed }));
        }
        if recorded.is_none() {
            break;
        }
    }
    Ok(None)
}

fn compare_verdicts(results: &Results, run: &Run) -> Option<Difference> {
    let count = results.verdicts.len().max(run.verdicts.len());
    (0..count).find_map(|index| {
        let (recorded, replayed) = (results.verdicts.get(index), run.verdicts.get(index));
        (recorded != replayed).then(|| Difference::Verdict {
            recorded: recorded.cloned().map(Box::new),
            replayed: replayed.cloned().map(Box::new),
        })
    })
}
