//! One script over one balancer with one seed.

use std::sync::mpsc;

use serde::Serialize;
use stickler_model::{Topology, Trace, World, WorldError};
use stickler_oracle::{Grade, Verdict};

use crate::script::{self, Played};
use crate::{Diagnostic, Scenario, limits, panics};

/// Builds the world that a script describes, on the script's own thread.
///
/// Any closure or function of that shape is one: `|topology, seed| Ok(Box::new(...))`.
pub trait WorldBuilder: Send + 'static {
    /// Builds it.
    ///
    /// # Errors
    /// The topology makes no sense: an unknown balancer, a server without a provider.
    fn build(self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError>;
}

impl<F> WorldBuilder for F
where
    F: FnOnce(Topology, u64) -> Result<Box<dyn World>, WorldError> + Send + 'static,
{
    fn build(self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        self(topology, seed)
    }
}

/// What came of running a script over a balancer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// What `stickler run` takes to find it again.
    pub path: String,
    /// The balancer's name.
    pub balancer: String,
    /// The seed.
    pub seed: u64,
    /// Everything that was seen; `None` where the script failed before it had a world, or was
    /// stopped for its memory.
    pub trace: Option<Trace>,
    /// The oracle's verdicts on it; empty without a trace.
    pub verdicts: Vec<Verdict>,
    /// The script's own expectations that did not hold, in order.
    pub failures: Vec<Diagnostic>,
    /// Why the script could not go on: it is wrong, or past a limit. Exit 2.
    pub error: Option<Diagnostic>,
    /// The lines that it printed.
    pub printed: Vec<String>,
}

impl Run {
    /// The command that does the same again.
    pub fn replay(&self) -> String {
        format!("stickler run {} --balancer {} --seed {}", quoted(&self.path), self.balancer, self.seed)
    }

    /// The grade of a requirement; not exercised where there is no verdict.
    pub fn grade(&self, requirement: stickler_oracle::Requirement) -> Grade {
        let verdict = self.verdicts.iter().find(|verdict| verdict.requirement == requirement);
        verdict.map_or(Grade::NotExercised, |verdict| verdict.grade)
    }
}

/// Runs a script over the balancer of that name.
///
/// The script has a thread of its own, with [`limits`] on steps, depth and memory. A script that
/// asks for too much memory leaves that thread parked, with what it holds.
pub fn run(scenario: &Scenario, balancer: &str, seed: u64, build: impl WorldBuilder) -> Run {
    let played = play_on_a_thread(scenario, balancer, seed, build);
    let verdicts = played.trace.as_ref().map(stickler_oracle::judge).unwrap_or_default();
    Run {
        scenario: scenario.name().to_owned(),
        path: scenario.path().to_owned(),
        balancer: balancer.to_owned(),
        seed,
        trace: played.trace,
        verdicts,
        failures: played.failures,
        error: played.error,
        printed: played.printed,
    }
}

fn play_on_a_thread(scenario: &Scenario, balancer: &str, seed: u64, build: impl WorldBuilder) -> Played {
    let (sender, receiver) = mpsc::channel();
    let parked = sender.clone();
    let (script, balancer) = (scenario.clone(), balancer.to_owned());
    let thread = std::thread::Builder::new().name("script".into()).stack_size(limits::STACK).spawn(move || {
        let too_much = {
            let script = script.clone();
            // Nobody listens where the run was given up; so below.
            move || drop(parked.send(failed(script::out_of_memory(&script))))
        };
        let play = || script::play(&script, &balancer, seed, build, too_much);
        let played = panics::caught(play).unwrap_or_else(|panic| failed(script::panicked(&script, &panic)));
        drop(sender.send(played));
    });
    let nowhere = |message: String| failed(Diagnostic::new(scenario, 0..0, message, None));
    match thread {
        Err(error) => nowhere(format!("cannot start a thread for the script: {error}")),
        Ok(_) => receiver.recv().unwrap_or_else(|_| nowhere("the script's thread ended without a result".into())),
    }
}

fn failed(error: Diagnostic) -> Played {
    Played { error: Some(error), ..Played::default() }
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
