//! A plan that is written as a script is the plan that the script asks for.

mod double;
mod recorder;

use std::sync::Arc;

use stickler_catalogue::names;
use stickler_hunt::generate;
use stickler_model::{BalancerSpec, Plan};
use stickler_runner::{Arm, Ending, Run, Source};
use stickler_scenarios::write::Finding;
use stickler_scenarios::{Scenario, Story, canonical, run, shipped, write_script};
use stickler_sim::SimArm;

fn story(title: &str) -> Story {
    Story { title: title.to_owned(), ..Story::default() }
}

fn written(plan: &Plan, story: &Story) -> Scenario {
    let script = write_script(plan, story).unwrap_or_else(|error| panic!("{error}\n{plan:#?}"));
    Scenario::new("written", "written.star", &script).unwrap()
}

/// The plan that a script asks for over an arm. It performs every step.
fn read(scenario: &Scenario, plan: &Plan, arm: Arc<dyn Arm>) -> Plan {
    let (arm, recorded) = recorder::over(arm);
    let run = run(scenario, &plan.balancer, plan.seed, &arm);
    if let Some(error) = run.error() {
        panic!("{error}\n{}", scenario.source());
    }
    recorded.lock().unwrap().take().unwrap_or_else(|| panic!("no plan: {}", scenario.source()))
}

/// Compares by the text that a run file has: names of users are equal in whatever case.
fn assert_same(plan: &Plan, arm: Arc<dyn Arm>) {
    let scenario = written(plan, &story("A plan."));
    let (read, plan) = (read(&scenario, plan, arm), canonical(plan));
    let json = |plan: &Plan| serde_json::to_string(plan).unwrap();
    assert_eq!(json(&read), json(&plan), "{}", scenario.source());
}

#[test]
fn a_drawn_plan_is_what_its_script_asks_for() {
    for seed in 0..300 {
        let plan = generate(seed, BalancerSpec::named("l4-nat"));
        assert_same(&plan, Arc::new(SimArm));
    }
}

#[test]
fn the_plan_of_a_shipped_scenario_is_what_its_script_asks_for() {
    for case in shipped(&names()).unwrap() {
        if let Some(plan) = case.plan().unwrap() {
            assert_same(&Plan { balancer: BalancerSpec::named("l4-nat"), ..plan }, Arc::new(SimArm));
        }
    }
}

/// The first plan in which a request is processed as somebody else, and the proof.
fn leak(balancer: &str) -> (Plan, Finding) {
    let found = (0..200).find_map(|seed| {
        let plan = canonical(&generate(seed, BalancerSpec::named(balancer)));
        let run = Run::of_plan(&plan, Source::default(), &SimArm);
        let verdict = run.verdicts.iter().find(|verdict| verdict.requirement.id() == "ID-1")?;
        let evidence = verdict.against_balancer().next()?.clone();
        Some((plan, Finding { requirement: verdict.requirement, evidence }))
    });
    found.expect("two hundred plans show a leak")
}

#[test]
fn the_script_of_a_finding_fails_in_the_same_way() {
    let (plan, finding) = leak("shared-pool");
    let story = Story { finding: Some(finding.clone()), ..story("Somebody is served as somebody else.") };
    let scenario = written(&plan, &story);
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let run = run(&scenario, &plan.balancer, plan.seed, &arm);
    assert!(matches!(run.ending(), Ending::NotAsExpected(_)), "{:?}", run.ending());
    let verdict = run.verdicts.iter().find(|verdict| verdict.requirement == finding.requirement).unwrap();
    let summaries: Vec<&str> = verdict.against_balancer().map(|evidence| &*evidence.summary).collect();
    assert!(summaries.contains(&&*finding.evidence.summary), "{summaries:#?}\n{}", scenario.source());
    assert!(!run.failures.is_empty(), "the script expects what does not hold:\n{}", scenario.source());
}
