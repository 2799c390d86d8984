//! Plays random plans for tests, and collects the evidence against their balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use stickler_model::Plan;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Arm, Run, Source};
use stickler_scenarios::declared::Declared;
use stickler_sim::SimArm;

/// Returns the violations that balancers declare.
pub(crate) fn declared() -> Declared {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    Declared::read(&arm).expect("the shipped tables can be read")
}

/// Plays a plan.
pub(crate) fn play(plan: &Plan) -> Run {
    let name = format!("seed-{}", plan.seed);
    let source = Source { path: format!("{name}.jsonl"), scenario: name };
    Run::of_plan(plan, source, &SimArm)
}

/// Returns the evidence of a run against its balancer: each requirement that it violates or, for a SHOULD, does not
/// follow.
pub(crate) fn broken(run: &Run) -> impl Iterator<Item = Requirement> {
    let verdicts = run.verdicts.iter();
    let broken = verdicts.filter(|verdict| matches!(verdict.grade, Grade::Violated | Grade::NonStrict));
    broken.map(|verdict| verdict.requirement)
}

/// Calls `ask` for each number on all cores, and joins the answers in order.
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
