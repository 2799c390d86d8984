//! Plays a plan once, and determines which failures it shows.
//!
//! * `kind.rs`: the kinds of findings, which decide whether two are the same.
//! * `coverage.rs`: the points that a run has reached, as numbers.
//! * `difference.rs`: the differences between two arms.

mod coverage;
mod difference;
mod kind;

use stickler_model::{Plan, Trace};
use stickler_runner::{Arm, End, Run, Source, panics};

pub use coverage::{Coverage, Point};
pub use difference::differences;
pub use kind::{Kind, Sender, ServedAs};

/// The failures that a plan shows.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The run; `None` if something panicked.
    pub run: Option<Run>,
    /// The kinds of failure that the run shows, each once, in the order of requirements, with a description in one
    /// sentence.
    pub shown: Vec<(Kind, String)>,
}

impl Judged {
    /// Returns the description of what happened if the run shows a failure of this kind.
    pub fn summary(&self, kind: &Kind) -> Option<&str> {
        self.shown.iter().find(|(shown, _)| shown == kind).map(|(_, summary)| summary.as_str())
    }

    /// Returns the trace; `None` if there was no world, or if its trace was lost.
    pub fn trace(&self) -> Option<&Trace> {
        self.run.as_ref().and_then(|run| run.trace.as_ref())
    }
}

/// Plays a plan on an arm, on this thread, and returns the failures that it shows.
pub fn judge(plan: &Plan, arm: &dyn Arm) -> Judged {
    let name = format!("seed-{}", plan.seed);
    let source = Source { path: format!("{name}.jsonl"), scenario: name };
    match panics::caught(|| Run::of_plan(plan, source, arm)) {
        Ok(run) => {
            let shown = shown(&run);
            Judged { run: Some(run), shown }
        }
        Err(message) => Judged { run: None, shown: vec![(Kind::panic(&message), message)] },
    }
}

/// Returns the points that a run has reached.
pub fn coverage(judged: &Judged) -> Coverage {
    let run = judged.run.as_ref();
    run.and_then(|run| run.trace.as_ref().map(|trace| coverage::of(trace, &run.verdicts))).unwrap_or_default()
}

/// Returns whether playing a plan once more gives a different trace. Only a deterministic arm is asked.
pub fn is_repeated(plan: &Plan, trace: &Trace, arm: &dyn Arm) -> bool {
    let again = panics::caught(|| stickler_runner::play(plan, arm));
    matches!(again, Ok(Ok(again)) if again == *trace)
}

/// Returns the kinds of failure that a run shows. Failures that are the fault of others than the balancer do not count.
fn shown(run: &Run) -> Vec<(Kind, String)> {
    let mut shown: Vec<(Kind, String)> = Vec::new();
    let mut add = |kind: Kind, summary: &str| {
        if !shown.iter().any(|(known, _)| *known == kind) {
            shown.push((kind, summary.to_owned()));
        }
    };
    if let End::Failed(diagnostic) = &run.end {
        add(Kind::Rejected, &diagnostic.message);
    }
    let Some(trace) = &run.trace else { return shown };
    for verdict in &run.verdicts {
        for evidence in verdict.against_balancer() {
            add(Kind::violation(verdict.requirement, evidence, trace), &evidence.summary);
        }
    }
    shown
}
