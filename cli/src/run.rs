//! Scripts over balancers, in parallel; what the exit code means.

use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stickler_model::{Topology, World, WorldError};
use stickler_report::{RunReport, json, pretty};
use stickler_scenarios::{Case, Run, SuiteError};
use stickler_sim::SimWorld;

use crate::Failure;
use crate::args::{self, Format};

/// One run to be made.
struct Job<'a> {
    case: &'a Case,
    balancer: &'a str,
    seed: u64,
}

/// What came of it: a report, or why the script could not be run to its end.
enum Done {
    Report(Box<RunReport>),
    Broken {
        /// What is wrong, and where.
        error: String,
        /// Over which balancer, and how to see it again.
        context: String,
    },
}

pub(crate) fn run(arguments: &args::Run) -> Result<(), Failure> {
    let balancers = balancers(&arguments.balancer)?;
    let all: Vec<&str> = stickler_lb_core::mechanisms().iter().map(|mechanism| mechanism.name).collect();
    let cases = stickler_scenarios::select(&arguments.paths, &all).map_err(|error| match error {
        SuiteError::NothingMatched { .. } => Failure::Nothing(error.to_string()),
        _ => Failure::Wrong(error.to_string()),
    })?;
    let jobs = jobs(&cases, &balancers, arguments);
    if jobs.is_empty() {
        return Err(Failure::Nothing(
            "nothing to run: give a script, a folder, or the name of a shipped scenario".into(),
        ));
    }
    let done = perform(&jobs, arguments.jobs);
    let mut reports = Vec::new();
    let mut broken = Vec::new();
    for done in done {
        match done {
            Done::Report(report) => reports.push(*report),
            // The same mistake over each balancer and seed is told once.
            Done::Broken { error, .. } if broken.iter().any(|(told, _)| *told == error) => {}
            Done::Broken { error, context } => broken.push((error, context)),
        }
    }
    show(&reports, arguments)?;
    if !broken.is_empty() {
        let told: Vec<_> = broken.iter().map(|(error, context)| format!("{error}\n  {context}")).collect();
        return Err(Failure::Wrong(told.join("\n")));
    }
    if reports.iter().all(RunReport::as_expected) { Ok(()) } else { Err(Failure::NotAsExpected) }
}

fn balancers(names: &[String]) -> Result<Vec<&'static str>, Failure> {
    if names.is_empty() {
        return Ok(stickler_lb_core::mechanisms().iter().map(|mechanism| mechanism.name).collect());
    }
    let mut found = Vec::new();
    for name in names {
        let mechanism = stickler_lb_core::find(name).map_err(|error| Failure::Wrong(error.to_string()))?;
        if !found.contains(&mechanism.name) {
            found.push(mechanism.name);
        }
    }
    Ok(found)
}

fn jobs<'a>(cases: &'a [Case], balancers: &[&'a str], arguments: &args::Run) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for case in cases {
        for balancer in balancers {
            for offset in 0..arguments.repeat.get() {
                jobs.push(Job { case, balancer, seed: arguments.seed.wrapping_add(offset.into()) });
            }
        }
    }
    jobs
}

/// Performs all jobs on `threads` threads, and returns what came of them in the order of the jobs.
fn perform(jobs: &[Job<'_>], threads: Option<NonZeroUsize>) -> Vec<Done> {
    let threads = threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(jobs.len());
    let progress = progress(jobs.len());
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut done: Vec<Option<Done>> = jobs.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    // The receiver outlives the scope.
                    let _ = sender.send((index, one(job)));
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
    let build = |topology: Topology, seed: u64| -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::new(topology, seed)?))
    };
    let run = stickler_scenarios::run(&job.case.scenario, job.balancer, job.seed, build);
    let expected = job.case.expectations.expected(job.case.scenario.name(), job.balancer);
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

/// A bar on the terminal's error stream; hidden where that is no terminal, or the work is short.
fn progress(length: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed} elapsed, {eta} to go")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length as u64), target).with_style(style)
}

fn show(reports: &[RunReport], arguments: &args::Run) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if arguments.format == Format::Json {
        writeln!(out, "{}", json::document(reports, arguments.transcript))?;
        return Ok(());
    }
    for (index, report) in reports.iter().enumerate() {
        // Of many seeds, the first tells what is expected; what is not expected is always told.
        let first = index == 0
            || (&reports[index - 1].scenario, &reports[index - 1].balancer) != (&report.scenario, &report.balancer);
        if !report.as_expected() || arguments.transcript || (first && pretty::is_notable(report)) {
            writeln!(out, "{}", pretty::details(report, arguments.transcript))?;
        }
    }
    if !reports.is_empty() {
        let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        writeln!(out, "{}{}", pretty::table(reports, color), pretty::legend(reports))?;
    }
    Ok(())
}
