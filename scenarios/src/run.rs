//! Plays one script over one balancer with one seed, or reads the site that it describes, on a separate thread.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use stickler_model::{BalancerSpec, Topology};
use stickler_runner::{Arm, Diagnostic, End, Expected, Run, Source, control, panics};

use crate::script::{self, Played};
use crate::{Scenario, limits};

/// The reason why a run says nothing about its balancer, so that a pass would be meaningless.
const NOTHING_TESTED: &str =
    "nothing was put to the test: no requirement applies to the script's actions, and it has no expectations";

/// Runs a script over a balancer on an arm, and judges the trace. The expected outcome is only that no MUST is violated
/// and that the script's own expectations hold.
///
/// The script runs on a separate thread, with [`limits`] on steps, depth and memory. If it asks for too much memory,
/// that thread stays parked with the memory that it holds. If a script is stopped, by a limit or by its own mistake,
/// the events until then are judged, and the printed lines are kept.
pub fn run(scenario: &Scenario, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
    let played = play_on_a_thread(scenario, balancer, seed, arm);
    let verdicts = played.trace.as_ref().map(|trace| stickler_runner::judge(trace, arm.as_ref())).unwrap_or_default();
    let end = match played.end {
        End::Complete if !played.expects && verdicts.iter().all(|verdict| verdict.exercised == 0) => {
            End::Skipped(NOTHING_TESTED.to_owned())
        }
        End::Complete => control::contradiction(&verdicts)
            .map_or(End::Complete, |why| End::Failed(Box::new(scenario.diagnostic(0..0, why, None)))),
        end => end,
    };
    Run {
        source: Source { scenario: scenario.name().to_owned(), path: scenario.path().to_owned() },
        arm: arm.name().to_owned(),
        balancer: balancer.clone(),
        seed,
        trace: played.trace,
        verdicts,
        failures: played.failures,
        printed: played.printed,
        end,
        expected: Expected::default(),
    }
}

/// Reads the site that a script describes (`site(...)`), without performing its actions there.
///
/// # Errors
/// The script makes a mistake before its first action.
pub fn site(scenario: &Scenario) -> Result<Topology, Box<Diagnostic>> {
    let read = |script: &Scenario, last: LastWord<_>| script::site(script, move |error| last.send(Err(error)));
    on_a_thread(scenario, read, Err).map_err(Box::new)
}

fn play_on_a_thread(scenario: &Scenario, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Played {
    let (balancer, arm) = (balancer.clone(), Arc::clone(arm));
    let play = move |script: &Scenario, last: LastWord<_>| {
        script::play(script, &balancer, seed, arm, move |played| last.send(played))
    };
    on_a_thread(scenario, play, failed)
}

/// The result of a piece of work on a thread for scripts.
enum Reply<T> {
    /// The work is done, and the thread is free.
    Done(T),
    /// The result so far. The thread stays parked.
    Parked(T),
}

/// The means to send the result so far from a thread that never continues.
pub(crate) struct LastWord<T>(Sender<Reply<T>>);

impl<T> LastWord<T> {
    pub(crate) fn send(self, result: T) {
        // If the run was given up, the receiver does not exist any more.
        drop(self.0.send(Reply::Parked(result)));
    }
}

/// A thread for scripts, which performs one piece of work after the other until this value is dropped.
struct Worker(Sender<Box<dyn FnOnce() + Send>>);

thread_local! {
    /// The thread that performed the last script for this one. A new thread for each script would need new pages for
    /// its stack and its allocator.
    static WORKER: Cell<Option<Worker>> = const { Cell::new(None) };
}

impl Worker {
    fn new() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let work = move || receiver.into_iter().for_each(|work| work());
        std::thread::Builder::new().name("script".into()).stack_size(limits::STACK).spawn(work)?;
        Ok(Self(sender))
    }
}

/// Calls a function with a script on a separate thread. If the script asks for too much memory, the thread stays
/// parked, and its result so far has been sent before. `wrong` converts an error that prevents the call to a result.
pub(crate) fn on_a_thread<T: Send + 'static>(
    scenario: &Scenario,
    work: impl FnOnce(&Scenario, LastWord<T>) -> T + Send + 'static,
    wrong: fn(Diagnostic) -> T,
) -> T {
    let nowhere = |message: String| wrong(scenario.diagnostic(0..0, message, None));
    let worker = match WORKER.take().map_or_else(Worker::new, Ok) {
        Ok(worker) => worker,
        Err(error) => return nowhere(format!("cannot start a thread for the script: {error}")),
    };
    let (sender, receiver) = mpsc::channel();
    let script = scenario.clone();
    let work = move || {
        let work = || work(&script, LastWord(sender.clone()));
        let done = panics::caught(work).unwrap_or_else(|panic| wrong(script::panicked(&script, &panic)));
        // If the run was given up, the receiver does not exist any more.
        drop(sender.send(Reply::Done(done)));
    };
    // If the thread has ended, so has the channel for the result.
    drop(worker.0.send(Box::new(work)));
    match receiver.recv() {
        Ok(Reply::Done(result)) => {
            WORKER.set(Some(worker));
            result
        }
        Ok(Reply::Parked(result)) => result,
        Err(_) => nowhere("the script's thread ended without a result".into()),
    }
}

fn failed(error: Diagnostic) -> Played {
    let end = End::Failed(Box::new(error));
    Played { trace: None, failures: Vec::new(), end, printed: Vec::new(), expects: false }
}
