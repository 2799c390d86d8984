//! The runs behind the tests: each scenario is played once, however many tests ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use stickler_model::{Topology, World, WorldError};
use stickler_oracle::{Grade, Requirement};
use stickler_report::{RunReport, pretty};
use stickler_scenarios::{Case, shipped};
use stickler_sim::SimWorld;
use stickler_site::Balancer;

use crate::GROUPS;

/// What the balancer under test is called in reports.
const NAME: &str = "yours";

/// The suite over one balancer.
pub struct Suite {
    balancer: fn() -> Balancer,
    played: OnceLock<BTreeMap<String, Slot>>,
}

/// A scenario, and what came of it once somebody asked.
struct Slot {
    case: Case,
    played: Mutex<Option<Arc<Played>>>,
}

struct Played {
    report: Option<RunReport>,
    /// Why the script could not go on.
    error: Option<String>,
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
        let played = self.played(&name);
        let report = played.report();
        assert!(report.as_expected(), "{}", told(report, &report.surprises));
        for verdict in report.graded(Grade::NonStrict) {
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
            let played = self.played(name);
            let report = played.report();
            for verdict in report.verdicts.iter().filter(|verdict| verdict.requirement == requirement) {
                exercised += verdict.exercised;
                if verdict.grade == Grade::Violated {
                    let _ = writeln!(violated, "{}", told(report, &[]));
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

    fn played(&self, name: &str) -> Arc<Played> {
        let slot = self.slots().get(name).unwrap_or_else(|| panic!("there is no scenario `{name}`"));
        // A test that panics does so outside of the lock; what is in the slot is whole.
        let mut played = slot.played.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(played.get_or_insert_with(|| Arc::new(play(&slot.case, (self.balancer)()))))
    }
}

impl Played {
    fn report(&self) -> &RunReport {
        match (&self.report, &self.error) {
            (_, Some(error)) => panic!("the script could not go on: {error}"),
            (Some(report), None) => report,
            (None, None) => panic!("the script asked for nothing"),
        }
    }
}

fn play(case: &Case, balancer: Balancer) -> Played {
    let seed = std::env::var("STICKLER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let build = |topology: Topology, seed: u64| -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::with_balancer(topology, balancer, seed)?))
    };
    let run = stickler_scenarios::run(&case.scenario, NAME, seed, build);
    let expected = case.expectations.expected(case.scenario.name(), NAME);
    let surprises = expected.compare(&run).iter().map(ToString::to_string).collect();
    let error = run.error.as_ref().map(ToString::to_string);
    let report = run.trace.map(|trace| RunReport {
        scenario: run.scenario,
        balancer: run.balancer,
        trace,
        verdicts: run.verdicts,
        failures: run.failures.iter().map(ToString::to_string).collect(),
        printed: run.printed,
        surprises,
        reason: expected.reason,
        replay: format!("STICKLER_SEED={seed} cargo test {}", case.scenario.name().replace('-', "_")),
    });
    Played { report, error }
}

/// The evidence, and everything else that was seen where that is asked for.
fn told(report: &RunReport, surprises: &[String]) -> String {
    let everything = std::env::var_os("STICKLER_TRANSCRIPT").is_some();
    let mut text = pretty::details(report, everything);
    for surprise in surprises {
        let _ = writeln!(text, "not as it has to be: {surprise}");
    }
    text
}
