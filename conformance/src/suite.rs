//! The tests of the suite, one for each shipped scenario.

use std::env;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use stickler_model::BalancerSpec;
use stickler_runner::{Arm, Run};
use stickler_scenarios::{Case, shipped};
use stickler_sim::OwnArm;
use stickler_site::Balancer;

use crate::outcome::Outcome;
use crate::running::Running;
use crate::summary::{self, Length};

/// The name of a balancer under test in reports, unless its author gives it another.
const NAME: &str = "yours";

/// The time after which a scenario that is still running is named on stderr, as Rust's own test harness does.
const LONG: Duration = Duration::from_mins(1);

/// The settings that the environment gives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The seed of every run.
    pub(crate) seed: u64,
    /// Whether all evidence of each scenario that fails is shown.
    pub(crate) evidence: bool,
    /// Whether the evidence includes the whole transcript.
    pub(crate) transcript: bool,
    /// Whether each test has a separate process.
    pub(crate) process_per_test: bool,
}

/// The suite over one balancer.
pub(crate) struct Suite {
    make: Arc<dyn Fn() -> Balancer + Send + Sync>,
    settings: Settings,
    cases: Vec<Case>,
    /// The outcomes of the scenarios that were played so far, in the order in which they ended.
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    running: Running,
}

impl Settings {
    /// # Errors
    /// The value of a variable is not valid.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let seed = match env::var("STICKLER_SEED") {
            Err(_) => 0,
            Ok(text) => text.parse().map_err(|error| format!("STICKLER_SEED={text}: {error}"))?,
        };
        let transcript = is_set("STICKLER_TRANSCRIPT");
        let evidence = transcript || is_set("STICKLER_EVIDENCE");
        Ok(Self { seed, evidence, transcript, process_per_test: is_set("NEXTEST") })
    }
}

impl Suite {
    /// Returns the suite with the scenarios that hold for every balancer, over the balancers that `make` creates.
    ///
    /// # Errors
    /// A shipped file is not valid.
    pub(crate) fn new(make: impl Fn() -> Balancer + Send + Sync + 'static, settings: Settings) -> Result<Self, String> {
        let mut cases = shipped(&stickler_catalogue::names()).map_err(|error| error.to_string())?;
        cases.retain(|case| case.group.conformance);
        let running = Running::new(LONG, |name| {
            eprintln!("{name} has been running for over {} seconds: a balancer that loops never ends", LONG.as_secs());
        });
        Ok(Self { make: Arc::new(make), settings, cases, outcomes: Arc::default(), running })
    }

    /// Returns a test for each scenario. A scenario that cannot be played in this build is an ignored test.
    pub(crate) fn trials(&self) -> Vec<Trial> {
        let trial = |(place, case): (usize, &Case)| {
            let (case, make, settings) = (case.clone(), Arc::clone(&self.make), self.settings);
            let outcomes = Arc::clone(&self.outcomes);
            let ignored = !can_play(&case);
            let running = self.running.clone();
            let trial = Trial::test(name(&case), move || {
                let _running = running.add(name(&case));
                let outcome = play(&case, place, make(), settings);
                // Evidence and examples come at the end, once for all scenarios.
                let result = if outcome.sound { Ok(()) } else { Err(Failed::from(outcome.in_a_line())) };
                // A thread that panicked before did so outside of the lock, so the list is complete.
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                result
            });
            trial.with_ignored_flag(ignored)
        };
        self.cases.iter().enumerate().map(trial).collect()
    }

    /// Returns the summary of the scenarios that were played.
    pub(crate) fn summary(&self) -> String {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|outcome| outcome.place);
        let alone = outcomes.len() == 1 && !self.settings.process_per_test;
        let length = if self.settings.evidence || alone { Length::Evidence } else { Length::Short };
        let ignored = self.cases.iter().filter(|case| !can_play(case)).count();
        summary::summary(&outcomes, ignored, length)
    }
}

/// Returns the test's name, for example `handshake::lone_one_backend`.
fn name(case: &Case) -> String {
    format!("{}::{}", case.group.name, case.scenario.name()).replace('-', "_")
}

fn play(case: &Case, place: usize, balancer: Balancer, settings: Settings) -> Outcome {
    let arm = Arc::new(OwnArm::new(as_foreign(balancer)));
    let balancer = arm.balancer().clone();
    let run = run(case, &balancer, settings.seed, &(arm as Arc<dyn Arm>));
    let name = name(case);
    let replay = format!("STICKLER_SEED={} cargo test {name}", settings.seed);
    Outcome::of(&name, place, &run, replay, settings.transcript)
}

/// Returns the balancer as an external one, so that a mechanism of the catalogue is judged like any other balancer, and
/// not by the mechanism's own expectations.
pub(crate) fn as_foreign(balancer: Balancer) -> Balancer {
    match balancer.spec() {
        BalancerSpec::Foreign(_) => balancer,
        _ => balancer.called(NAME),
    }
}

/// Returns whether the scenario can be played. With the feature `scripts` all can; without it, those that have a
/// recorded plan.
fn can_play(case: &Case) -> bool {
    cfg!(feature = "scripts") || case.has_plan()
}

#[cfg(feature = "scripts")]
fn run(case: &Case, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
    case.run(balancer, seed, arm)
}

#[cfg(not(feature = "scripts"))]
fn run(case: &Case, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
    case.play_plan(balancer, seed, arm).unwrap_or_else(|| {
        let reason =
            "this scenario decides by what it is answered: it needs the feature `scripts` of stickler-conformance";
        case.skipped(balancer, seed, arm.name(), reason.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use stickler_catalogue::find;
    use stickler_lb_core::{Control, Farm};
    use stickler_model::Env;
    use stickler_net::{Net, next_connection};
    use stickler_site::ForeignProxy;

    use super::*;

    /// A balancer with a defect for its author to find.
    struct Panics;

    impl ForeignProxy for Panics {
        async fn serve<N: Net>(&self, _: N, listener: N::Listener, _: Env, _: Farm, _: Control) {
            assert!(next_connection(&listener).await.is_none(), "no backend chosen");
        }
    }

    /// Returns the outcome of one group over a mechanism, as the end of the output shows it.
    fn played(mechanism: &str, group: &str, settings: Settings) -> String {
        let mechanism = find(mechanism).unwrap();
        played_over(move || Balancer::mechanism(&mechanism), group, settings)
    }

    fn played_over(balancer: impl Fn() -> Balancer + Send + Sync + 'static, group: &str, settings: Settings) -> String {
        let suite = Suite::new(balancer, settings).unwrap();
        let arguments = libtest_mimic::Arguments { filter: Some(group.into()), quiet: true, ..Default::default() };
        let conclusion = libtest_mimic::run(&arguments, suite.trials());
        let outcomes = suite.outcomes.lock().unwrap();
        assert_eq!(conclusion.num_failed as usize, outcomes.iter().filter(|outcome| !outcome.sound).count());
        assert_eq!((conclusion.num_passed + conclusion.num_failed) as usize, outcomes.len());
        drop(outcomes);
        suite.summary()
    }

    #[test]
    fn there_is_a_test_for_each_scenario_of_the_groups_that_hold_for_every_balancer() {
        let suite = Suite::new(|| unreachable!("nothing is played"), Settings::default()).unwrap();
        let names: Vec<String> = suite.trials().iter().map(|trial| trial.name().to_owned()).collect();
        let count = |group: &str| names.iter().filter(|name| name.starts_with(group)).count();
        assert_eq!(names[0], "handshake::lone_one_backend");
        assert!(count("identity::") > 1 && count("hostile::") > 1);
        assert_eq!(["setup::", "claims::", "acceptor::"].map(count), [0, 0, 0]);
    }

    #[test]
    fn what_is_kept_everywhere_is_shown_with_how_often_it_was_put_to_the_test() {
        let text = played("pin-on-authorization", "identity::", Settings::default());
        assert!(text.contains("7 scenarios, all as they have to be"), "{text}");
        assert!(text.contains("\n  ID-1  kept, put to the test "), "{text}");
        assert!(text.contains("\n  HC-1  not put to the test"), "{text}");
        assert!(!text.contains("for example"), "{text}");
    }

    #[test]
    fn a_requirement_that_is_violated_in_many_scenarios_is_told_once_with_one_example() {
        let text = played("shared-pool", "handshake::", Settings::default());
        assert_eq!(text.matches("\nHS-1 is violated").count(), 1, "{text}");
        let told = [" is violated in ", " is not followed (SHOULD) in ", "What a script expects"];
        let told: usize = told.iter().map(|text_of_it| text.matches(text_of_it).count()).sum();
        assert_eq!(text.matches("for example in handshake::").count(), told, "{text}");
        assert!(text.lines().count() < 150, "{} lines: {text}", text.lines().count());
        assert!(text.contains("handshake::lone_two_backends"), "{text}");
    }

    #[test]
    fn a_panic_of_the_balancer_is_shown_with_its_place() {
        let text = played_over(|| Balancer::proxy(Panics), "identity::", Settings::default());
        assert!(text.contains("Not played to the end: identity::"), "{text}");
        assert!(text.contains("no backend chosen (conformance/src/suite.rs:"), "{text}");
        assert!(!text.contains("What a script expects"), "{text}");
    }

    #[test]
    fn one_scenario_alone_shows_all_its_evidence_and_less_in_a_process_of_its_own() {
        let one = "handshake::lone_two_backends";
        let alone = played("shared-pool", one, Settings::default());
        assert!(
            alone.contains("── lone-two-backends over yours") && alone.contains("replay: STICKLER_SEED=0"),
            "{alone}"
        );
        let own_process = played("shared-pool", one, Settings { process_per_test: true, ..Settings::default() });
        assert!(own_process.contains("HS-1 is violated") && !own_process.contains("── "), "{own_process}");
    }
}
