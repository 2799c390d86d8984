//! Runs scripts over balancers, in parallel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use stickler_model::BalancerSpec;
use stickler_report::json::ErrorRecord;
use stickler_report::test_case::Place;
use stickler_runner::{Arm, Diagnostic, Run};
use stickler_scenarios::{Case, FileError, SuiteError};
use stickler_sim::SimArm;

use crate::terminal::Progress;
use crate::{Failure, args, supervisor};

/// One run to be made.
pub(crate) struct Job<'a> {
    pub(crate) case: &'a Case,
    pub(crate) balancer: &'a BalancerSpec,
    pub(crate) seed: u64,
}

impl Job<'_> {
    /// Returns the names of the scenario and of the balancer, and the seed.
    pub(crate) fn name(&self) -> (String, String, u64) {
        (self.case.scenario.name().to_owned(), self.balancer.to_string(), self.seed)
    }
}

/// Returns the scripts that the arguments select.
pub(crate) fn cases(paths: &[String]) -> Result<Vec<Case>, Failure> {
    stickler_scenarios::select(paths, &stickler_catalogue::names()).map_err(|error| match &error {
        SuiteError::NothingMatched { .. } => Failure::Nothing(error.to_string()),
        SuiteError::File(FileError(diagnostic)) => Failure::from(&**diagnostic),
        SuiteError::Unreadable { path, .. } => {
            let place = Place::of_file(path.clone());
            Failure::WrongFile(place, error.to_string())
        }
        SuiteError::Scenario(_) => Failure::Wrong(error.to_string()),
    })
}

/// The maximum number of runs that one command makes. The result of each is kept until the end.
const MAX_RUNS: u64 = 100_000;

/// The maximum number of worlds at a time. Each needs one thread for itself and one for its script.
const MAX_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Returns the jobs of every script over every balancer with every seed.
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

/// Performs jobs until all are done or `over` is set, on `threads` threads, or on the default number of `--jobs`.
/// Passes each run to `keep` on its thread, and returns the results of `keep` in the order of the jobs.
pub(crate) fn perform<T: Send>(
    jobs: &[Job<'_>],
    arm: args::Arm,
    threads: Option<NonZeroUsize>,
    over: &AtomicBool,
    keep: impl Fn(&Job<'_>, Run) -> T + Sync,
) -> Result<Vec<T>, Failure> {
    Ok(perform_on(jobs, &build(arm)?, threads, over, keep))
}

/// Performs jobs on an arm in the same way as [`perform`].
pub(crate) fn perform_on<T: Send>(
    jobs: &[Job<'_>],
    arm: &Arc<dyn Arm>,
    threads: Option<NonZeroUsize>,
    over: &AtomicBool,
    keep: impl Fn(&Job<'_>, Run) -> T + Sync,
) -> Vec<T> {
    let mut done = Vec::new();
    let keep = |job: &Job<'_>, run, _| keep(job, run);
    perform_until(jobs, arm, threads, over, keep, |one| {
        done.push(one);
        ControlFlow::Continue(())
    });
    done
}

/// Performs jobs on an arm until all are done, `over` is set, or `take` breaks. Passes each run, with its duration, to
/// `keep` on its thread. Passes the result to `take` on the caller's thread, in the order of the jobs and as soon as
/// all earlier ones are done. The calls of `take` are therefore the same with any number of threads.
pub(crate) fn perform_until<T: Send>(
    jobs: &[Job<'_>],
    arm: &Arc<dyn Arm>,
    threads: Option<NonZeroUsize>,
    over: &AtomicBool,
    keep: impl Fn(&Job<'_>, Run, Duration) -> T + Sync,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) {
    let threads = self::threads(threads, &**arm).get().min(jobs.len());
    let mut progress = Progress::new(jobs.len(), "runs");
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, enough, keep) = (sender.clone(), &next, &enough, &keep);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) && !enough.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let began = now();
                    let run = job.case.run(job.balancer, job.seed, arm);
                    // The receiver lives longer than the scope, so sending succeeds.
                    let _ = sender.send((index, keep(job, run, began.elapsed())));
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut taken = 0;
        loop {
            let (index, outcome) = match receiver.recv_timeout(Duration::from_secs(1)) {
                Ok(one) => one,
                Err(RecvTimeoutError::Timeout) => {
                    progress.tell();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            progress.inc();
            early.insert(index, outcome);
            while let Some(outcome) = early.remove(&taken).filter(|_| !enough.load(Ordering::Relaxed)) {
                taken += 1;
                enough.store(take(outcome).is_break(), Ordering::Relaxed);
            }
        }
    });
    progress.finish();
}

#[expect(clippy::disallowed_methods, reason = "reports say how long a run took; no trace sees it")]
fn now() -> Instant {
    Instant::now()
}

/// Returns the number of worlds that run at a time: that of `--jobs`, or else a default, and at most [`MAX_THREADS`].
pub(crate) fn threads(jobs: Option<NonZeroUsize>, arm: &dyn Arm) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Worlds on real sockets wait more than they compute.
    let usual = if arm.name() == "wire" { cores.saturating_add(cores.get()) } else { cores };
    jobs.unwrap_or(usual).min(MAX_THREADS)
}

/// The environment variable that makes a run fail if its product is not installed. Without it, the run is skipped.
const REQUIRE: &str = "STICKLER_REQUIRE_PEERS";

/// Returns the arm of this name.
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

/// Returns the mistakes in scripts as an error. Each mistake is named once, even if several balancers and seeds show
/// it.
pub(crate) fn failed<'r>(
    runs: impl IntoIterator<Item = &'r Run>,
    replay: &dyn Fn(&Run) -> String,
) -> Result<(), Failure> {
    let (mut known, mut errors): (Vec<&Diagnostic>, Vec<ErrorRecord>) = (Vec::new(), Vec::new());
    for run in runs {
        let Some(error) = run.error().filter(|error| !known.contains(error)) else { continue };
        known.push(error);
        let message = format!("{error}\n  over {}; replay: {}", run.balancer, replay(run));
        errors.push(ErrorRecord { message, place: Some(error.into()) });
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::WrongFiles(errors)) }
}

/// Returns the command that repeats a run on this arm. The user's own profiles come from the files `profiles`.
pub(crate) fn replay(run: &Run, arm: args::Arm, profiles: &[PathBuf]) -> String {
    let wire = if arm == args::Arm::Wire { " --arm wire" } else { "" };
    let balancer = over(&run.balancer, profiles);
    format!("stickler run {}{wire}{balancer} --seed {}", quoted(&run.source.path), run.seed)
}

/// Returns the command that runs every scenario over this balancer and shows the evidence.
pub(crate) fn everything_over(balancer: &BalancerSpec, arm: args::Arm, profiles: &[PathBuf]) -> String {
    let wire = if arm == args::Arm::Wire { " --arm wire" } else { "" };
    format!("stickler run{wire}{} --evidence", over(balancer, profiles))
}

/// Returns the command that repeats a run over a target.
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

/// Returns the arguments that select this balancer. The user's own profiles come from the files `profiles`.
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

/// Returns a word quoted for a POSIX shell. A word with a NUL, which no argument of a program can contain, is returned
/// unchanged.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replay_command_survives_a_shell() {
        assert_eq!(quoted("scripts/lone.star"), "scripts/lone.star");
        for word in
            ["", "my script's.star", "$HOME/`id`.star", "a\\b\"c", "~", "a;b|c&d", "#1", "*.star", "a\nb", "{a,b}"]
        {
            let quoted = quoted(word);
            assert_ne!(quoted, word);
            assert_eq!(shlex::split(&quoted), Some(vec![word.to_owned()]), "{quoted}");
        }
    }
}
