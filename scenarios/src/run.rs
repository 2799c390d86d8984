//! One script over one balancer with one seed, on a thread of its own; or the site that it describes.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use stickler_model::{BalancerSpec, Topology};
use stickler_runner::{Arm, Diagnostic, End, Expected, Run, Source, control, panics};

use crate::script::{self, Played};
use crate::{Scenario, limits};

/// Why a run says nothing about its balancer: it would be green, and mean nothing.
const NOTHING_TESTED: &str =
    "nothing was put to the test: no requirement applies to what the script did, and it expects nothing";

/// Runs a script over a balancer on an arm, and judges what was seen. Nothing is expected of it but that no MUST is
/// violated and that its own expectations hold.
///
/// The script has a thread of its own, with [`limits`] on steps, depth and memory. A script that
/// asks for too much memory leaves that thread parked, with what it holds. Of a script that is stopped, by a limit or by its
/// own mistake, what was seen and printed until then is judged and kept.
pub fn run(scenario: &Scenario, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
    let played = play_on_a_thread(scenario, balancer, seed, arm);
    let verdicts = played.trace.as_ref().map(|trace| control::judge(trace, arm.as_ref())).unwrap_or_default();
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

/// Reads the site that a script describes (`site(...)`), and nothing that it does there.
///
/// # Errors
/// The script is wrong before it does anything.
pub fn site(scenario: &Scenario) -> Result<Topology, Box<Diagnostic>> {
    let read = |script: &Scenario, sender: &Sender<_>| {
        let parked = sender.clone();
        script::site(script, move |error| drop(parked.send(Err(error))))
    };
    on_a_thread(scenario, read, Err).map_err(Box::new)
}

fn play_on_a_thread(scenario: &Scenario, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Played {
    let (balancer, arm) = (balancer.clone(), Arc::clone(arm));
    let play = move |script: &Scenario, sender: &Sender<_>| {
        let parked = sender.clone();
        // Nobody listens where the run was given up.
        script::play(script, &balancer, seed, arm, move |played| drop(parked.send(played)))
    };
    on_a_thread(scenario, play, failed)
}

/// Does something with a script on a thread of its own, which stays where the script asks for too much memory; what came of it
/// until then has been sent. `wrong` makes a result of what keeps it from being done.
pub(crate) fn on_a_thread<T: Send + 'static>(
    scenario: &Scenario,
    work: impl FnOnce(&Scenario, &Sender<T>) -> T + Send + 'static,
    wrong: fn(Diagnostic) -> T,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let script = scenario.clone();
    let thread = std::thread::Builder::new().name("script".into()).stack_size(limits::STACK).spawn(move || {
        let work = || work(&script, &sender);
        let done = panics::caught(work).unwrap_or_else(|panic| wrong(script::panicked(&script, &panic)));
        // Nobody listens where the run was given up.
        drop(sender.send(done));
    });
    let nowhere = |message: String| wrong(scenario.diagnostic(0..0, message, None));
    match thread {
        Err(error) => nowhere(format!("cannot start a thread for the script: {error}")),
        Ok(_) => receiver.recv().unwrap_or_else(|_| nowhere("the script's thread ended without a result".into())),
    }
}

fn failed(error: Diagnostic) -> Played {
    let end = End::Failed(Box::new(error));
    Played { trace: None, failures: Vec::new(), end, printed: Vec::new(), expects: false }
}
