//! The conformance suite: every shipped scenario over every mechanism ends as the tables of expected outcomes say.
//!
//! To try a balancer of your own, use the crate `stickler-conformance`.

use std::sync::Arc;

use stickler_catalogue::{mechanisms, names};
use stickler_model::BalancerSpec;
use stickler_runner::{Arm, Ending, Run};
use stickler_scenarios::{Case, shipped};
use stickler_sim::SimArm;

/// The number of tests among which the suite is divided. They run in parallel.
const SHARDS: usize = 8;

/// The seeds that are tried. Different seeds lead to different interleavings; the outcome must not depend on them
/// unless a table says so.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

/// The balancers over which every seed is tried. Over the others, only the first seed is tried.
const EVERY_SEED: [&str; 4] = ["l4-nat", "close-per-request", "shared-pool", "pin-on-401"];

fn arm() -> Arc<dyn Arm> {
    Arc::new(SimArm)
}

fn cases() -> Vec<Case> {
    shipped(&names()).unwrap()
}

/// Returns the reason why the run is not as expected; empty if it is.
fn surprise(run: &Run) -> String {
    let deviations = match run.ending() {
        Ending::AsExpected => return String::new(),
        Ending::NotAsExpected(deviations) => deviations.iter().map(ToString::to_string).collect(),
        Ending::Skipped(reason) => vec![reason],
        Ending::Failed(diagnostic) => vec![diagnostic.to_string()],
    };
    let evidence = run.verdicts.iter().flat_map(|verdict| {
        verdict.against_balancer().map(|evidence| format!("{}: {}", verdict.requirement, evidence.summary))
    });
    let said = run.failures.iter().map(ToString::to_string).chain(evidence).take(8);
    format!(
        "\n{} over {}, seed {}\n  {}\n{}\n",
        run.source.scenario,
        run.balancer,
        run.seed,
        deviations.join("\n  "),
        said.collect::<Vec<_>>().join("\n")
    )
}

/// Runs every `SHARDS`th mechanism, from `number` on.
fn shard(number: usize) {
    let mut surprises = String::new();
    for mechanism in mechanisms().iter().skip(number).step_by(SHARDS) {
        let seeds = if EVERY_SEED.contains(&&*mechanism.name) { SEEDS } else { 1..=1 };
        for case in cases() {
            for seed in seeds.clone() {
                surprises += &surprise(&case.run(&BalancerSpec::named(&mechanism.name), seed, &arm()));
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises}");
}

macro_rules! shards {
    ($($name:ident $number:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                shard($number);
            }
        )*

        #[test]
        fn no_mechanism_is_left_out() {
            assert_eq!([$($number),*].len(), SHARDS);
        }
    };
}

shards! {
    every_scenario_ends_as_expected_1_of_8 0,
    every_scenario_ends_as_expected_2_of_8 1,
    every_scenario_ends_as_expected_3_of_8 2,
    every_scenario_ends_as_expected_4_of_8 3,
    every_scenario_ends_as_expected_5_of_8 4,
    every_scenario_ends_as_expected_6_of_8 5,
    every_scenario_ends_as_expected_7_of_8 6,
    every_scenario_ends_as_expected_8_of_8 7,
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for case in cases() {
        for mechanism in ["pin-checked-logon", "pool-random"] {
            let balancer = BalancerSpec::named(mechanism);
            let hashes = [1, 1].map(|seed| case.run(&balancer, seed, &arm()).trace.unwrap().hash());
            assert_eq!(hashes[0], hashes[1], "{} over {mechanism}", case.scenario.name());
        }
    }
}
