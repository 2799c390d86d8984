//! What is known of mechanisms, requirements and scenarios together: who is expected to violate what, and which scenario catches a
//! defect.
//!
//! What is expected to be violated comes from the tables of expected outcomes, which are about mechanisms.

use std::collections::BTreeMap;

use stickler_catalogue::{Defect, Mechanism, defects, mechanisms};
use stickler_oracle::{Grade, Requirement};
use stickler_scenarios::{Case, Catch, catches};

/// What a shipped mechanism without defects is expected to violate: by requirement, in which scenarios, and whether it does so whatever
/// the seed is. The tables know no other mechanism.
pub(super) fn violates<'a>(mechanism: &Mechanism, cases: &'a [Case]) -> BTreeMap<Requirement, Vec<(&'a Case, bool)>> {
    let mut expected: BTreeMap<Requirement, Vec<(&Case, bool)>> = BTreeMap::new();
    if mechanism.defects.is_empty() && mechanisms().iter().any(|known| known.name == mechanism.name) {
        for case in conforming(cases) {
            for (requirement, certain) in violated(case, &mechanism.name) {
                expected.entry(requirement).or_default().push((case, certain));
            }
        }
    }
    expected
}

/// The mechanisms that are expected to violate a requirement, and in how many scenarios each does.
pub(super) fn violated_by(requirement: Requirement, cases: &[Case]) -> Vec<(&'static str, usize)> {
    let over = mechanisms().iter().map(|mechanism| {
        let violates = |case: &&Case| violated(case, &mechanism.name).contains_key(&requirement);
        (&*mechanism.name, conforming(cases).filter(violates).count())
    });
    over.filter(|&(_, count)| count > 0).collect()
}

/// What is expected to be violated in a scenario: by requirement, over which mechanisms, and whether that is so whatever the seed is.
pub(super) fn violated_in(case: &Case) -> BTreeMap<Requirement, Vec<(&'static str, bool)>> {
    let mut expected: BTreeMap<Requirement, Vec<(&str, bool)>> = BTreeMap::new();
    for mechanism in mechanisms() {
        for (requirement, certain) in violated(case, &mechanism.name) {
            expected.entry(requirement).or_default().push((&mechanism.name, certain));
        }
    }
    expected
}

/// Each defect with each scenario that catches it.
pub(super) fn caught() -> impl Iterator<Item = (&'static Defect, &'static Catch)> {
    defects().iter().flat_map(|defect| catches(defect.id).iter().map(move |catch| (defect, catch)))
}

/// The command that shows a defect.
pub(super) fn command(Catch { on, scenario, .. }: &Catch, defect: &str) -> String {
    format!("stickler run {scenario} --balancer {on}+{defect}")
}

/// A name, and that it is not so in every run.
pub(super) fn marked(name: &str, certain: bool) -> String {
    if certain { name.to_owned() } else { format!("{name} (in some runs)") }
}

/// The scenarios in which what goes wrong is the balancer's doing. In others a sound balancer may have to violate a requirement: a site
/// that believes a header, say, is open to everybody over whatever does not know that header.
fn conforming(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.group.conformance)
}

/// The requirements that a mechanism is expected to violate in a scenario, and whether it does whatever the seed is.
fn violated(case: &Case, mechanism: &str) -> BTreeMap<Requirement, bool> {
    let is_broken = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
    let expected = case.expectations.expected(case.scenario.name(), mechanism).grades.into_iter();
    let broken = expected.filter(|(_, grades)| grades.iter().any(is_broken));
    broken.map(|(requirement, grades)| (requirement, grades.iter().all(is_broken))).collect()
}
