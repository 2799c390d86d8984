//! Performs the plan of a run file again, and compares.

use std::collections::BTreeSet;
use std::path::Path;

use stickler_model::trace::Promises;
use stickler_model::{Event, Trace};
use stickler_oracle::{Grade, Requirement};

use super::{FileError, Problem, Reader, RecordedVerdict, read::Results, write};
use crate::{Arm, Run, Source};

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Where the recorded run came from.
    pub recorded: Source,
    /// The run that the plan gives now.
    pub run: Run,
    /// How it compares with what is recorded. Where the plan was not performed to its end, that is about what was seen
    /// until then.
    pub comparison: Comparison,
}

/// How a replay compares with what is recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// The file holds a plan alone: there is nothing to compare with.
    PlanAlone,
    /// The trace and the verdicts are equal; of an arm on which no trace is the same twice, the grades.
    Equal,
    /// They are not; this is the first difference.
    Different(Difference),
}

/// How a replay differs from what is recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// The balancer declares something else about itself.
    Promises(Vec<ChangedPromise>),
    /// The first event that differs.
    Event {
        /// Its index in the trace, from 0.
        index: usize,
        /// The event that is recorded; `None`: the recorded trace ends before it.
        recorded: Option<Box<Event>>,
        /// The event that was seen now; `None`: the trace ends before it now.
        replayed: Option<Box<Event>>,
    },
    /// The events are equal, and the oracle judges them differently. The first requirement on which it does.
    Verdict {
        /// The requirement.
        requirement: Requirement,
        /// The recorded verdict; `None`: there was none on this requirement.
        recorded: Option<Box<RecordedVerdict>>,
        /// The verdict now; `None`: there is none on this requirement.
        replayed: Option<Box<RecordedVerdict>>,
    },
}

/// A field of [`Promises`] that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPromise {
    /// The field's name in a run file, `persistence`.
    pub field: String,
    /// What is recorded, as JSON; `None`: it was not declared.
    pub recorded: Option<String>,
    /// What the balancer declares now, as JSON; `None`: it declares nothing.
    pub replayed: Option<String>,
}

/// Performs the plan of a run file, and compares what is seen with what is recorded. No script is needed. `arm` returns the arm to
/// perform it on for the name of the one that recorded it.
///
/// # Errors
/// [`FileError`]: the file cannot be read, makes no sense, is of another arm, or has nothing to perform.
pub fn replay<'a>(path: &Path, arm: &dyn Fn(&str) -> Option<&'a dyn Arm>) -> Result<Replay, FileError> {
    let mut reader = Reader::open(path)?;
    let Some(arm) = arm(&reader.arm) else {
        let found = reader.arm.chars().take(40).collect();
        return Err(reader.at(1, Problem::Arm { found }));
    };
    let exact = arm.is_deterministic() && arm.name() == reader.arm;
    let promises = reader.promises.clone();
    let plan_alone = promises.is_none();
    if plan_alone && reader.plan.steps.is_empty() {
        return Err(reader.at(1, Problem::NoSteps));
    }
    let recorded = reader.source.clone();
    let source = Source { scenario: recorded.scenario.clone(), path: path.display().to_string() };
    let mut run = Run::of_plan(&reader.plan, source, arm);
    let mut difference = None;
    if let (Some(trace), Some(promises), true) = (&run.trace, &promises, exact) {
        difference = compare_promises(promises, &trace.header.promises);
        if difference.is_none() {
            difference = compare_events(&mut reader, trace)?;
        }
    }
    let results = reader.finish()?;
    let comparison = if plan_alone {
        Comparison::PlanAlone
    } else {
        let verdicts = if exact { compare_verdicts } else { compare_grades };
        let difference = difference.or_else(|| verdicts(&results, &run));
        difference.map_or(Comparison::Equal, Comparison::Different)
    };
    run.expected = results.expected;
    Ok(Replay { recorded, run, comparison })
}

fn compare_promises(recorded: &Promises, replayed: &Promises) -> Option<Difference> {
    if recorded == replayed {
        return None;
    }
    let fields = |promises| match serde_json::to_value(promises) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (recorded, replayed) = (fields(recorded), fields(replayed));
    let names: BTreeSet<&String> = recorded.keys().chain(replayed.keys()).collect();
    let differ = names.into_iter().filter(|name| recorded.get(*name) != replayed.get(*name));
    let changed = differ.map(|name| ChangedPromise {
        field: name.clone(),
        recorded: recorded.get(name).map(write::json),
        replayed: replayed.get(name).map(write::json),
    });
    Some(Difference::Promises(changed.collect()))
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
    Requirement::all().find_map(|requirement| {
        let recorded = results.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        let now = run.verdicts.iter().find(|verdict| verdict.requirement == requirement).map(RecordedVerdict::of);
        (recorded != now.as_ref()).then(|| Difference::Verdict {
            requirement,
            recorded: recorded.cloned().map(Box::new),
            replayed: now.map(Box::new),
        })
    })
}

/// Compares what was violated: how often a requirement was put to the test, and by what, is chance where no trace is the same twice.
fn compare_grades(results: &Results, run: &Run) -> Option<Difference> {
    let is_violated = |grade: Grade| grade == Grade::Violated;
    Requirement::all().find_map(|requirement| {
        let recorded = results.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        let now = run.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        let was = recorded.is_some_and(|verdict| is_violated(verdict.grade));
        (was != now.is_some_and(|verdict| is_violated(verdict.grade))).then(|| Difference::Verdict {
            requirement,
            recorded: recorded.cloned().map(Box::new),
            replayed: now.map(RecordedVerdict::of).map(Box::new),
        })
    })
}
