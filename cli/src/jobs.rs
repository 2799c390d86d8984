//! Scripts over balancers, in parallel.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stickler_model::BalancerSpec;
use stickler_runner::{Arm, Run};
use stickler_scenarios::{Case, SuiteError};
use stickler_sim::SimArm;

use crate::{Failure, args, supervisor};

/// One run to be made.
pub(crate) struct Job<'a> {
    pub(crate) case: &'a Case,
    pub(crate) balancer: &'a BalancerSpec,
    pub(crate) seed: u64,
}

/// The scripts that the arguments mean.
pub(crate) fn cases(paths: &[String]) -> Result<Vec<Case>, Failure> {
    stickler_scenarios::select(paths, &stickler_catalogue::names()).map_err(|error| match error {
        SuiteError::NothingMatched { .. } => Failure::Nothing(error.to_string()),
        _ => Failure::Wrong(error.to_string()),
    })
}

/// Most runs that one command makes. What came of each is kept until the end.
const MAX_RUNS: u64 = 100_000;

/// Most worlds at a time, each on a thread of its own and with a script on another.
const MAX_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Every script over every balancer with every seed.
pub(crate) fn all<'a>(
    cases: &'a [Case],
    balancers: &'a [BalancerSpec],
    seed: u64,
    repeat: u32,
) -> Result<Vec<Job<'a>>, Failure> {
    let pairs = cases.len() as u64 * balancers.len() as u64;
    let runs = pairs.saturating_mul(repeat.into());
    if runs > MAX_RUNS {
        return Err(Failure::Wrong(format!(
            "{pairs} pairs of scenario and balancer with {repeat} seeds each are {runs} runs, and {MAX_RUNS} are the most: \
             choose fewer seeds (--repeat), and go on from another one (--seed)"
        )));
    }
    let mut jobs = Vec::new();
    for case in cases {
        for balancer in balancers {
            for offset in 0..repeat {
                jobs.push(Job { case, balancer, seed: seed.wrapping_add(offset.into()) });
            }
        }
    }
    Ok(jobs)
}

/// Performs all jobs on `threads` threads, as many as `--jobs` says by default, with a progress bar; hands what came
/// of each to `keep` on its thread, and returns what that made of them in the order of the jobs.
pub(crate) fn perform<T: Send>(
    jobs: &[Job<'_>],
    arm: args::Arm,
    threads: Option<NonZeroUsize>,
    keep: impl Fn(&Job<'_>, Run) -> T + Sync,
) -> Result<Vec<T>, Failure> {
    Ok(perform_on(jobs, &build(arm)?, threads, keep))
}

/// Performs all jobs on an arm, as [`perform`] does.
pub(crate) fn perform_on<T: Send>(
    jobs: &[Job<'_>],
    arm: &Arc<dyn Arm>,
    threads: Option<NonZeroUsize>,
    keep: impl Fn(&Job<'_>, Run) -> T + Sync,
) -> Vec<T> {
    let threads = self::threads(threads, &**arm).get().min(jobs.len());
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
                    let _ = sender.send((index, keep(job, job.case.run(job.balancer, job.seed, arm))));
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

/// How many worlds run at a time: as many as `--jobs` says, [`MAX_THREADS`] at the most.
pub(crate) fn threads(jobs: Option<NonZeroUsize>, arm: &dyn Arm) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Worlds on real sockets wait more than they work.
    let usual = if arm.name() == "wire" { cores.saturating_add(cores.get()) } else { cores };
    jobs.unwrap_or(usual).min(MAX_THREADS)
}

/// The variable of the environment that makes a product that is not installed fail the run, in place of skipping it.
const REQUIRE: &str = "STICKLER_REQUIRE_PEERS";

/// The arm of this name.
pub(crate) fn build(arm: args::Arm) -> Result<Arc<dyn Arm>, Failure> {
    match arm {
        args::Arm::Sim => Ok(Arc::new(SimArm)),
        #[cfg(unix)]
        args::Arm::Wire => {
            let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
            Ok(Arc::new(stickler_wire::WireArm::new(supervisor::own()?, required)))
        }
        #[cfg(not(unix))]
        args::Arm::Wire => Err(Failure::Wrong("the arm `wire` needs a Unix system".into())),
    }
}

/// Says what is wrong with scripts, each mistake once however many balancers and seeds met it.
pub(crate) fn failed<'r>(
    runs: impl IntoIterator<Item = &'r Run>,
    replay: &dyn Fn(&Run) -> String,
) -> Result<(), Failure> {
    let mut messages: Vec<(String, String)> = Vec::new();
    for run in runs {
        let Some(error) = run.error().map(ToString::to_string) else { continue };
        if !messages.iter().any(|(known, _)| *known == error) {
            messages.push((error, format!("over {}; replay: {}", run.balancer, replay(run))));
        }
    }
    if messages.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = messages.iter().map(|(error, context)| format!("{error}\n  {context}")).collect();
    Err(Failure::Wrong(lines.join("\n")))
}

/// The command that makes a run again on this arm, where the user's own profiles came from these files.
pub(crate) fn replay(run: &Run, arm: args::Arm, profiles: &[PathBuf]) -> String {
    let wire = if arm == args::Arm::Wire { " --arm wire" } else { "" };
    let balancer = over(&run.balancer, profiles);
    format!("stickler run {}{wire}{balancer} --seed {}", quoted(&run.source.path), run.seed)
}

/// The command that shows, with evidence, what every scenario shows over this balancer.
pub(crate) fn everything_over(balancer: &BalancerSpec, arm: args::Arm, profiles: &[PathBuf]) -> String {
    let wire = if arm == args::Arm::Wire { " --arm wire" } else { "" };
    format!("stickler run{wire}{} --evidence", over(balancer, profiles))
}

/// The command that makes a run over a target again.
pub(crate) fn replay_over(run: &Run, url: &args::TargetUrl, servers: &[SocketAddr], profiles: &[PathBuf]) -> String {
    let servers: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
    let balancer = match &run.balancer {
        BalancerSpec::Target { like: Some(like), .. } => over(like, profiles),
        _ => String::new(),
    };
    format!(
        "stickler run {} --arm wire --target {} --servers {}{balancer} --seed {}",
        quoted(&run.source.path),
        quoted(&url.text),
        quoted(&servers.join(",")),
        run.seed
    )
}

/// The arguments that mean this balancer, where the user's own profiles came from these files.
fn over(balancer: &BalancerSpec, profiles: &[PathBuf]) -> String {
    let is_shipped = |name: &str| stickler_catalogue::profiles().iter().any(|profile| profile.name == name);
    let mut text = String::new();
    if let BalancerSpec::Profile { name, .. } = balancer
        && !is_shipped(name)
    {
        for file in profiles {
            text.push_str(" --profile ");
            text.push_str(&quoted(&file.display().to_string()));
        }
    }
    format!("{text} --balancer {balancer}")
}

/// A bar on the terminal's error stream for so many runs.
fn progress(length: usize) -> ProgressBar {
    progress_of(length, "runs")
}

/// A bar on the terminal's error stream; hidden where that is no terminal.
pub(crate) fn progress_of(length: usize, what: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style =
        ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{elapsed}} elapsed, {{eta}} to go"))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length as u64), target).with_style(style)
}

/// A path as a POSIX shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replay_command_survives_a_shell() {
        assert_eq!(quoted("scripts/lone.star"), "scripts/lone.star");
        assert_eq!(quoted("my script's.star"), r"'my script'\''s.star'");
        assert_eq!(quoted(""), "''");
    }
}
