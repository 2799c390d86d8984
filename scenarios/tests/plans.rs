//! The recorded plans are the same as the plans that the scripts produce.
//!
//! `STICKLER_BLESS=1 cargo test -p stickler-scenarios --test plans` regenerates them.

mod recorder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use stickler_catalogue::names;
use stickler_model::{BalancerSpec, Plan};
use stickler_runner::file::write_plan;
use stickler_runner::{Arm, Source};
use stickler_scenarios::{Case, shipped};
use stickler_sim::SimArm;

/// The balancers differ in their answers and promises. A script that has a plan takes the same steps over all of them.
/// The first one is written into the file.
const BALANCERS: [&str; 8] = [
    "l4-nat",
    "l4-splice",
    "close-per-request",
    "shared-pool",
    "pin-on-authorization",
    "pin-checked-logon",
    "haproxy-cookie",
    "pool-random",
];

/// Returns the scenarios of the conformance suite.
fn cases() -> Vec<Case> {
    let mut cases = shipped(&names()).unwrap();
    cases.retain(|case| case.group.conformance);
    cases
}

/// Returns the plan of a script over the first balancer, if it is the same over the others.
fn steps_of_the_script(case: &Case) -> Option<Plan> {
    let mut plans = BALANCERS.iter().map(|name| {
        let (arm, plan) = recorder::over(Arc::new(SimArm));
        let run = case.run(&BalancerSpec::named(name), 0, &arm);
        let plan = plan.lock().unwrap().take();
        plan.unwrap_or_else(|| panic!("{} over {name} has no plan: {:?}", case.scenario.name(), run.end))
    });
    let first = plans.next()?;
    plans.all(|plan| (&plan.topology, &plan.steps) == (&first.topology, &first.steps)).then_some(first)
}

fn run_file(case: &Case, plan: &Plan) -> String {
    let name = case.scenario.name().to_owned();
    let mut text = Vec::new();
    write_plan(plan, &Source { scenario: name.clone(), path: name }, SimArm.name(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Returns all files below a folder, with their text.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_recorded_plans_are_what_the_scripts_ask_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let path = |case: &Case| folder.join(&case.group.name).join(format!("{}.jsonl", case.scenario.name()));
    let recorded: BTreeMap<PathBuf, String> = cases()
        .iter()
        .filter_map(|case| steps_of_the_script(case).map(|plan| (path(case), run_file(case, &plan))))
        .collect();
    if env::var_os("STICKLER_BLESS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        for (path, text) in &recorded {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let shipped = files(&folder);
    let differ = |path: &&PathBuf| shipped.get(*path) != recorded.get(*path);
    let stale: Vec<_> = shipped.keys().chain(recorded.keys()).filter(differ).collect();
    assert!(stale.is_empty(), "STICKLER_BLESS=1 cargo test --test plans writes them anew: {stale:?}");
}

/// Only a few scenarios have no plan: those whose steps depend on an answer, or on what the balancer declares.
#[test]
fn almost_every_scenario_of_the_conformance_suite_has_a_plan() {
    let without: Vec<String> =
        cases().iter().filter(|case| !case.has_plan()).map(|case| case.scenario.name().to_owned()).collect();
    insta::assert_debug_snapshot!(without);
}

#[test]
fn a_plan_gets_the_verdicts_of_its_script() {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    for case in cases().iter().filter(|case| case.has_plan()) {
        for name in ["pin-on-401", "shared-pool"] {
            let balancer = BalancerSpec::named(name);
            let (script, plan) = (case.run(&balancer, 3, &arm), case.play_plan(&balancer, 3, &arm).unwrap());
            let scenario = case.scenario.name();
            assert_eq!(script.verdicts, plan.verdicts, "{scenario} over {name}");
            assert_eq!((&plan.expected, &plan.end), (&script.expected, &script.end), "{scenario} over {name}");
        }
    }
}
