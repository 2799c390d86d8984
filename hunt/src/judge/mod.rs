//! Plays a plan once, and says what it shows.
//!
//! * `kind.rs`: when two findings are the same.
//! * `coverage.rs`: what a run has reached, as numbers.
//! * `difference.rs`: what one arm violates and another does not.

mod coverage;
mod difference;
mod kind;

use stickler_model::{Plan, Trace};
use stickler_runner::{Arm, End, Run, Source, panics};

pub use coverage::{Coverage, Point};
pub use difference::differences;
pub use kind::{Kind, Sender, ServedAs};

/// What a plan shows.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The run; `None` where something panicked.
    pub run: Option<Run>,
    /// Each kind of failure that the run shows, once, in the order of requirements, with what happened in one sentence.
    pub shown: Vec<(Kind, String)>,
}

impl Judged {
    /// Returns what happened, in one sentence, where the run shows a failure of this kind.
    pub fn summary(&self, kind: &Kind) -> Option<&str> {
        self.shown.iter().find(|(shown, _)| shown == kind).map(|(_, summary)| summary.as_str())
    }

    /// Returns what was seen; `None` where there was no world, or it was lost.
    pub fn trace(&self) -> Option<&Trace> {
        self.run.as_ref().and_then(|run| run.trace.as_ref())
    }
}

/// Plays a plan on an arm, on this thread, and says what it shows.
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

/// Returns whether a plan, played once more, gives another trace. Only a deterministic arm is asked that.
pub fn is_repeated(plan: &Plan, trace: &Trace, arm: &dyn Arm) -> bool {
    let again = panics::caught(|| stickler_runner::play(plan, arm));
    matches!(again, Ok(Ok(again)) if again == *trace)
}

/// The kinds of failure that a run shows. What is the fault of others than the balancer is none.
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
