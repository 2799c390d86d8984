//! Plays random plans, and what is held against their balancers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, thread};

use stickler_model::Plan;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::file::write;
use stickler_runner::{Run, Source};
use stickler_sim::SimArm;

/// Plays a plan.
pub(crate) fn play(plan: &Plan) -> Run {
    let name = format!("seed-{}", plan.seed);
    let source = Source { path: format!("{name}.jsonl"), scenario: name };
    Run::of_plan(plan, source, &SimArm)
}

/// What a run holds against its balancer: each requirement that it violates or, where that is a SHOULD, does not follow.
pub(crate) fn broken(run: &Run) -> impl Iterator<Item = Requirement> {
    let verdicts = run.verdicts.iter();
    let broken = verdicts.filter(|verdict| matches!(verdict.grade, Grade::Violated | Grade::NonStrict));
    broken.map(|verdict| verdict.requirement)
}

/// Keeps a run as a run file for `stickler replay`. Returns its path, or why there is none.
pub(crate) fn keep(run: &Run) -> String {
    let file = format!("{}/{}-{}.jsonl", env!("CARGO_TARGET_TMPDIR"), run.source.scenario, run.balancer);
    let mut bytes = Vec::new();
    let written = write(run, &mut bytes).and_then(|_| fs::write(&file, bytes));
    written.map_or_else(|error| error.to_string(), |()| file)
}

/// Asks about each number, on all cores, and joins the answers in order.
pub(crate) fn ask_each(numbers: std::ops::Range<u64>, ask: impl Fn(u64) -> String + Sync) -> String {
    let next = AtomicU64::new(numbers.start);
    let work = || {
        let mut answers = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return answers;
            }
            answers.push((number, ask(number)));
        }
    };
    let mut answers: Vec<(u64, String)> = thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no run panics")).collect()
    });
    answers.sort_unstable();
    answers.into_iter().map(|(_, answer)| answer).collect()
}
