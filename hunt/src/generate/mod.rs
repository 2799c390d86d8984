//! Draws a plan from a seed.
//!
//! Each seed leaves out a random half of the [`Features`] (swarm testing), because a feature that is always present can
//! hide a defect that shows only without it.
//!
//! * `draw.rs`: random choices.
//! * `features.rs`: the features that a plan may use.
//! * `site.rs`: the servers, and how they authenticate.
//! * `people.rs`: the clients and their users.
//! * `steps.rs`: the steps of the plan. `situation.rs`: the steps that make sense after others.
//! * `mutate.rs`: changes a plan a little.

mod draw;
mod features;
mod mutate;
mod people;
mod site;
mod situation;
mod steps;

use stickler_model::{BalancerSpec, Plan};

use steps::Steps;

pub(crate) use draw::Draw;
pub use features::{Features, Limits};
pub(crate) use mutate::mutate;
pub(crate) use situation::Situation;
pub(crate) use steps::{A_MOMENT, behind_token};

/// Draws a plan over a balancer. The same seed gives the same plan, over every balancer.
///
/// All faults are repaired at the end. Then, after the balancer had time to notice, every client sends one more request.
pub fn generate(seed: u64, balancer: BalancerSpec) -> Plan {
    generate_within(&Limits::default(), seed, balancer)
}

/// Draws a plan within these limits, as [`generate()`] does without limits.
pub fn generate_within(limits: &Limits, seed: u64, balancer: BalancerSpec) -> Plan {
    let draw = Draw::new(seed);
    let features = limits.draw(&draw);
    let topology = site::draw(&draw, &features);
    let people = people::draw(&draw, &features, &topology);
    let steps = Steps::draw(&draw, &features, &topology, people);
    Plan { seed, balancer, topology, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        generate(seed, BalancerSpec::named("l4-nat"))
    }

    #[test]
    fn plans_make_sense_and_differ_by_their_seed_alone() {
        for seed in 0..500 {
            let first = plan(seed);
            first.check().unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
            assert_eq!(first, plan(seed));
        }
        assert_ne!(plan(1).steps, plan(2).steps);
    }

    #[test]
    fn each_feature_is_there_in_about_half_of_the_plans() {
        let drawn: Vec<Features> = (0..400).map(|seed| Features::draw(&Draw::new(seed))).collect();
        for (index, name) in Features::NAMES.iter().enumerate() {
            let count = drawn.iter().filter(|features| features.has(index)).count();
            assert!((140..=260).contains(&count), "{name} is in {count} of 400 plans");
        }
    }
}
