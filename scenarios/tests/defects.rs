//! Every defect that real products had is caught, and the mechanism without the defect is clean
//! (`scripts/defects.toml`).

use std::sync::Arc;

use stickler_catalogue::{defects, names};
use stickler_model::BalancerSpec;
use stickler_oracle::{Grade, Severity};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Case, Catch, catches, shipped};
use stickler_sim::SimArm;

/// Returns the name of a run, for messages.
fn name(run: &Run) -> String {
    format!("{} over {}", run.source.scenario, run.balancer)
}

fn cases() -> Vec<Case> {
    shipped(&names()).unwrap()
}

fn play(case: &Case, balancer: &str) -> Run {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = case.run(&BalancerSpec::named(balancer), 1, &arm);
    assert_eq!(run.end, End::Complete, "{}", name(&run));
    run
}

/// Checks the run without the defect: no MUST is violated, the script's expectations hold, and the requirement that the
/// defect breaks is put to the test.
fn check_control(catch: &Catch, run: &Run) {
    let violated = run
        .verdicts
        .iter()
        .filter(|verdict| verdict.grade == Grade::Violated && verdict.requirement.severity() == Severity::Must);
    let violated: Vec<_> = violated.map(|verdict| verdict.requirement.to_string()).collect();
    assert!(violated.is_empty() && run.failures.is_empty(), "{} is not clean: {violated:?}", name(run));
    assert_eq!(run.grade(catch.requirement), Grade::Ok, "{}: {}", catch.requirement, name(run));
}

fn check_caught(catch: &Catch, run: &Run) {
    let broken = match catch.requirement.severity() {
        Severity::Must => Grade::Violated,
        Severity::Should => Grade::NonStrict,
    };
    assert_eq!(run.grade(catch.requirement), broken, "{}: {}", catch.requirement, name(run));
}

#[test]
fn each_defect_is_caught_and_its_control_is_clean() {
    let cases = cases();
    assert_eq!(defects().len(), 20);
    for defect in defects() {
        assert!(!catches(defect.id).is_empty(), "nothing catches {}", defect.id);
        for catch in catches(defect.id) {
            let case = cases.iter().find(|case| case.scenario.name() == catch.scenario);
            let case = case.unwrap_or_else(|| panic!("{}: there is no scenario `{}`", defect.id, catch.scenario));
            check_control(catch, &play(case, &catch.on));
            check_caught(catch, &play(case, &format!("{}+{}", catch.on, defect.id)));
        }
    }
}
