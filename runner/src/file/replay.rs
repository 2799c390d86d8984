//! The replay of a run file: performs its plan again, and compares the result.

use std::collections::BTreeSet;
use std::path::Path;

use stickler_model::trace::Promises;
use stickler_model::{Event, Trace};
use stickler_oracle::{Grade, Requirement};

use super::{FileError, Problem, Reader, RecordedVerdict, read::Results, write};
use crate::{Arm, Run, Source};

/// The result of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The source of the recorded run.
    pub recorded: Source,
    /// The run that the plan results in now.
    pub run: Run,
    /// The comparison with the recorded run. If the plan could not be performed to its end, it covers the part that was
    /// performed.
    pub comparison: Comparison,
}

/// The result of comparing a replay with the recorded run.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// The file contains a plan alone, so there is nothing to compare with.
    PlanAlone,
    /// The trace and the verdicts are equal. For an arm that is not deterministic, only the grades are compared.
    Equal,
    /// The runs differ; this is the first difference.
    Different(Difference),
}

/// A difference between a replay and the recorded run.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// The balancer makes other declarations about itself.
    Promises(Vec<ChangedPromise>),
    /// The first event that differs.
    Event {
        /// The index of the event in the trace, from 0.
        index: usize,
        /// The recorded event; `None` if the recorded trace ends before it.
        recorded: Option<Box<Event>>,
        /// The event of the replay; `None` if its trace ends before it.
        replayed: Option<Box<Event>>,
    },
    /// The events are equal, but the oracle's verdicts differ. This is the first requirement for which they do.
    Verdict {
        /// The requirement.
        requirement: Requirement,
        /// The recorded verdict; `None` if there is none on this requirement.
        recorded: Option<Box<RecordedVerdict>>,
        /// The verdict of the replay; `None` if there is none on this requirement.
        replayed: Option<Box<RecordedVerdict>>,
    },
}

/// A field of [`Promises`] that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPromise {
    /// The name of the field in a run file, for example `persistence`.
    pub field: String,
    /// The recorded value as JSON; `None` if it was not declared.
    pub recorded: Option<String>,
    /// The value now as JSON; `None` if it is not declared.
    pub replayed: Option<String>,
}

/// Performs the plan of a run file, and compares the result with the recorded run. No script is needed. `arm` returns
/// the arm with the name that the file states.
///
/// # Errors
/// [`FileError`]: the file cannot be read, is not valid, was recorded by another arm, or has nothing to perform; or it was
/// edited in a place that the run does not show.
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
    let (results, edited) = reader.results()?;
    let verdicts = if exact { compare_verdicts } else { compare_grades };
    let difference = difference.or_else(|| if plan_alone { None } else { verdicts(&results, &run) });
    let comparison = match (difference, edited) {
        (Some(difference), _) => Comparison::Different(difference),
        // The events do not show everything: many runs are the same with another seed.
        (None, Some(edited)) => return Err(edited),
        (None, None) if plan_alone => Comparison::PlanAlone,
        (None, None) => Comparison::Equal,
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

/// Compares the grades alone. How often a requirement was put to the test, and by which events, depends on chance on an
/// arm that is not deterministic.
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
