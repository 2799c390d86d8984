//! The conformance suite: every shipped scenario over every mechanism ends as `expected.toml` says.
//!
//! To try a balancer of your own, add it to the mechanisms and its rows to `scripts/expected.toml`;
//! without rows, it has to keep every MUST.

use stickler_model::{Topology, World, WorldError};
use stickler_scenarios::{Case, Run, run, shipped};
use stickler_sim::SimWorld;

/// Some seeds give other interleavings; the outcome must not depend on them unless the table says so.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

fn simulated(topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
    Ok(Box::new(SimWorld::new(topology, seed)?))
}

fn cases() -> Vec<Case> {
    let balancers: Vec<&str> = stickler_lb_core::mechanisms().iter().map(|mechanism| mechanism.name).collect();
    shipped(&balancers).unwrap()
}

/// Why the run is not as expected; empty where it is.
fn surprise(case: &Case, run: &Run) -> String {
    let expected = case.expectations.expected(case.scenario.name(), &run.balancer);
    let deviations: Vec<String> = expected.compare(run).iter().map(ToString::to_string).collect();
    if deviations.is_empty() {
        return String::new();
    }
    let evidence = run.verdicts.iter().flat_map(|verdict| {
        verdict.evidence.iter().map(|evidence| format!("{}: {}", verdict.requirement, evidence.summary))
    });
    let said = run.error.iter().chain(&run.failures).map(ToString::to_string).chain(evidence).take(8);
    format!("\n{}\n  {}\n{}\n", run.replay(), deviations.join("\n  "), said.collect::<Vec<_>>().join("\n"))
}

fn every_scenario_over(balancer: &str) {
    let mut surprises = String::new();
    for case in cases() {
        for seed in SEEDS {
            surprises += &surprise(&case, &run(&case.scenario, balancer, seed, simulated));
        }
    }
    assert!(surprises.is_empty(), "{surprises}");
}

#[test]
fn every_scenario_over_l4_nat_ends_as_expected() {
    every_scenario_over("l4-nat");
}

#[test]
fn every_scenario_over_close_per_request_ends_as_expected() {
    every_scenario_over("close-per-request");
}

#[test]
fn every_scenario_over_a_shared_pool_ends_as_expected() {
    every_scenario_over("shared-pool");
}

#[test]
fn every_scenario_over_pin_on_401_ends_as_expected() {
    every_scenario_over("pin-on-401");
}

#[test]
fn no_mechanism_is_left_out() {
    let names: Vec<&str> = stickler_lb_core::mechanisms().iter().map(|mechanism| mechanism.name).collect();
    assert_eq!(names, ["l4-nat", "close-per-request", "shared-pool", "pin-on-401"]);
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for case in cases() {
        let hashes = [1, 1].map(|seed| run(&case.scenario, "pin-on-401", seed, simulated).trace.unwrap().hash());
        assert_eq!(hashes[0], hashes[1], "{}", case.scenario.name());
    }
}
