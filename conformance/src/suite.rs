//! The runs behind the tests: each scenario is played once, however many tests ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use stickler_oracle::{Grade, Requirement};
use stickler_report::pretty;
use stickler_runner::{Arm, Ending, Run};
use stickler_scenarios::{Case, shipped};
use stickler_sim::OwnArm;
use stickler_site::Balancer;

use crate::GROUPS;

/// The suite over one balancer.
pub struct Suite {
    balancer: fn() -> Balancer,
    played: OnceLock<BTreeMap<String, Slot>>,
}

/// A scenario, and what came of it once somebody asked.
struct Slot {
    case: Case,
    played: Mutex<Option<Arc<Run>>>,
}

impl Suite {
    /// The suite over what this function makes.
    pub const fn new(balancer: fn() -> Balancer) -> Self {
        Self { balancer, played: OnceLock::new() }
    }

    /// Plays a scenario; `lone_one_backend` is `lone-one-backend`.
    ///
    /// # Panics
    /// The outcome is not what it has to be, with the evidence; or there is no such scenario.
    pub fn scenario(&self, name: &str) {
        let name = name.replace('_', "-");
        let run = self.played(&name);
        if let Ending::Skipped(reason) = run.ending() {
            println!("skipped: {reason}");
            return;
        }
        assert!(run.as_expected(), "{}", details(&run));
        for verdict in run.graded(Grade::NonStrict) {
            println!("note: {} ({}) is not followed in {name}", verdict.requirement, verdict.requirement.text());
        }
    }

    /// Plays all scenarios, and looks at one requirement; `hs_1` is HS-1.
    ///
    /// # Panics
    /// A scenario violates it, with the evidence; or there is no such requirement.
    pub fn requirement(&self, id: &str) {
        let id = id.replace('_', "-").to_ascii_uppercase();
        let requirement: Requirement = id.parse().unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut violated = String::new();
        let mut exercised = 0;
        for name in self.slots().keys() {
            let run = self.played(name);
            for verdict in run.verdicts.iter().filter(|verdict| verdict.requirement == requirement) {
                exercised += verdict.exercised;
                if verdict.grade == Grade::Violated {
                    let _ = writeln!(violated, "{}", details(&run));
                }
            }
        }
        println!("{requirement}: {} Put to the test {exercised} times.", requirement.text());
        assert!(violated.is_empty(), "{requirement} is violated: {}\n{violated}", requirement.text());
    }

    fn slots(&self) -> &BTreeMap<String, Slot> {
        self.played.get_or_init(|| {
            let cases = shipped(&stickler_catalogue::names())
                .unwrap_or_else(|error| panic!("the shipped scenarios are sound: {error}"));
            let wanted = cases.into_iter().filter(|case| GROUPS.contains(&&*case.group));
            wanted.map(|case| (case.scenario.name().to_owned(), Slot { case, played: Mutex::new(None) })).collect()
        })
    }

    fn played(&self, name: &str) -> Arc<Run> {
        let slot = self.slots().get(name).unwrap_or_else(|| panic!("there is no scenario `{name}`"));
        // A test that panics does so outside of the lock; what is in the slot is whole.
        let mut played = slot.played.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(played.get_or_insert_with(|| Arc::new(play(&slot.case, (self.balancer)()))))
    }
}

fn play(case: &Case, balancer: Balancer) -> Run {
    let seed = std::env::var("STICKLER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let arm = Arc::new(OwnArm::new(balancer));
    let balancer = arm.balancer().clone();
    case.run(&balancer, seed, &(arm as Arc<dyn Arm>))
}

/// The evidence, and everything else that was seen where that is asked for.
fn details(run: &Run) -> String {
    let everything = std::env::var_os("STICKLER_TRANSCRIPT").is_some();
    let replay = format!("STICKLER_SEED={} cargo test {}", run.seed, run.source.scenario.replace('-', "_"));
    pretty::details(run, &replay, everything)
}
