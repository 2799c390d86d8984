//! Scripts over balancers, in parallel.

use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stickler_catalogue::Mechanism;
use stickler_model::{Topology, World, WorldError};
use stickler_report::RunReport;
use stickler_scenarios::{Case, Run, SuiteError};
use stickler_sim::{Balancer, SimWorld};

use crate::Failure;

/// One run to be made.
pub(crate) struct Job<'a> {
    pub(crate) case: &'a Case,
    pub(crate) balancer: &'a Mechanism,
    pub(crate) seed: u64,
}

/// What came of it: a report, or why the script could not be run to its end.
pub(crate) enum Done {
    Report(Box<RunReport>),
    Broken {
        /// What is wrong, and where.
        error: String,
        /// Over which balancer, and how to see it again.
        context: String,
    },
}

/// The scripts that the arguments mean.
pub(crate) fn cases(paths: &[String]) -> Result<Vec<Case>, Failure> {
    stickler_scenarios::select(paths, &stickler_catalogue::names()).map_err(|error| match error {
        SuiteError::NothingMatched { .. } => Failure::Nothing(error.to_string()),
        _ => Failure::Wrong(error.to_string()),
    })
}

/// Every script over every balancer with every seed.
pub(crate) fn all<'a>(cases: &'a [Case], balancers: &'a [Mechanism], seed: u64, repeat: u32) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for case in cases {
        for balancer in balancers {
            for offset in 0..repeat {
                jobs.push(Job { case, balancer, seed: seed.wrapping_add(offset.into()) });
            }
        }
    }
    jobs
}

/// Performs all jobs on `threads` threads, as many as there are cores if unsaid, with a progress bar; hands what came
/// of each to `keep` on its thread, and returns what that made of them in the order of the jobs.
pub(crate) fn perform<T: Send>(
    jobs: &[Job<'_>],
    threads: Option<NonZeroUsize>,
    keep: impl Fn(&Job<'_>, Done) -> T + Sync,
) -> Vec<T> {
    let threads = threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(jobs.len());
    let progress = progress(jobs.len());
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut done: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, keep) = (sender.clone(), &next, &keep);
            scope.spawn(move || {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    // The receiver outlives the scope.
                    let _ = sender.send((index, keep(job, one(job))));
                }
            });
        }
        drop(sender);
        for (index, outcome) in receiver {
            progress.inc(1);
            done[index] = Some(outcome);
        }
    });
    progress.finish_and_clear();
    done.into_iter().flatten().collect()
}

fn one(job: &Job<'_>) -> Done {
    let balancer = Balancer::mechanism(job.balancer);
    let build = |topology: Topology, seed: u64| -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::with_balancer(topology, balancer, seed)?))
    };
    let name = &*job.balancer.name;
    let run = stickler_scenarios::run(&job.case.scenario, name, job.seed, build);
    let expected = job.case.expectations.expected(job.case.scenario.name(), name);
    let surprises = expected.compare(&run).iter().map(ToString::to_string).collect();
    let replay = run.replay();
    let Run { scenario, balancer, trace, verdicts, failures, error, printed, .. } = run;
    match (error, trace) {
        (Some(error), _) => {
            Done::Broken { error: error.to_string(), context: format!("over {balancer}; replay: {replay}") }
        }
        (None, None) => Done::Broken {
            error: format!("{}: the script asks for nothing, so there is nothing to judge", job.case.scenario.path()),
            context: format!("replay: {replay}"),
        },
        (None, Some(trace)) => Done::Report(Box::new(RunReport {
            scenario,
            balancer,
            trace,
            verdicts,
            failures: failures.iter().map(ToString::to_string).collect(),
            printed,
            surprises,
            reason: expected.reason,
            replay,
        })),
    }
}

/// What went wrong with scripts, each mistake once however many balancers and seeds met it.
pub(crate) fn broken(all: impl IntoIterator<Item = (String, String)>) -> Result<(), Failure> {
    let mut told: Vec<(String, String)> = Vec::new();
    for (error, context) in all {
        if !told.iter().any(|(known, _)| *known == error) {
            told.push((error, context));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = told.iter().map(|(error, context)| format!("{error}\n  {context}")).collect();
    Err(Failure::Wrong(lines.join("\n")))
}

/// A bar on the terminal's error stream; hidden where that is no terminal.
fn progress(length: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed} elapsed, {eta} to go")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length as u64), target).with_style(style)
}
