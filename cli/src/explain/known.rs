//! Relations between mechanisms, requirements, scenarios and defects: the violations that are expected of a mechanism,
//! and the scenarios that catch a defect.
//!
//! Expected violations come from the tables of expected outcomes, which are about mechanisms.

use std::collections::BTreeMap;

use stickler_catalogue::{Defect, Mechanism, defects, mechanisms};
use stickler_oracle::{Grade, Requirement};
use stickler_scenarios::{Case, Catch, catches};

/// Returns the violations that are expected of a shipped mechanism without defects: by requirement, the scenarios, and
/// whether each shows the violation with every seed. Returns nothing for other mechanisms, which the tables do not
/// contain.
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

/// Returns the mechanisms that are expected to violate a requirement, each with the number of scenarios in which it
/// does.
pub(super) fn violated_by(requirement: Requirement, cases: &[Case]) -> Vec<(&'static str, usize)> {
    let over = mechanisms().iter().map(|mechanism| {
        let violates = |case: &&Case| violated(case, &mechanism.name).contains_key(&requirement);
        (&*mechanism.name, conforming(cases).filter(violates).count())
    });
    over.filter(|&(_, count)| count > 0).collect()
}

/// Returns the violations that are expected in a scenario: by requirement, the mechanisms, and whether each violates it
/// with every seed.
pub(super) fn violated_in(case: &Case) -> BTreeMap<Requirement, Vec<(&'static str, bool)>> {
    let mut expected: BTreeMap<Requirement, Vec<(&str, bool)>> = BTreeMap::new();
    for mechanism in mechanisms() {
        for (requirement, certain) in violated(case, &mechanism.name) {
            expected.entry(requirement).or_default().push((&mechanism.name, certain));
        }
    }
    expected
}

/// Returns each defect with each scenario that catches it.
pub(super) fn caught() -> impl Iterator<Item = (&'static Defect, &'static Catch)> {
    defects().iter().flat_map(|defect| catches(defect.id).iter().map(move |catch| (defect, catch)))
}

/// Returns the command that shows a defect.
pub(super) fn command(Catch { on, scenario, .. }: &Catch, defect: &str) -> String {
    format!("stickler run {scenario} --balancer {on}+{defect}")
}

/// Returns a name, marked if the statement about it does not hold in every run.
pub(super) fn marked(name: &str, certain: bool) -> String {
    if certain { name.to_owned() } else { format!("{name} (in some runs)") }
}

/// Returns the scenarios in which every violation is the balancer's fault. In other scenarios, even a sound balancer
/// may have to violate a requirement. For example, a site that trusts a header is open to everybody over a balancer
/// that does not know this header.
fn conforming(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.group.conformance)
}

/// Returns the requirements that a mechanism is expected to violate in a scenario, each with a flag that says whether
/// it does so with every seed.
fn violated(case: &Case, mechanism: &str) -> BTreeMap<Requirement, bool> {
    let is_broken = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
    let expected = case.expectations.expected(case.scenario.name(), mechanism).grades.into_iter();
    let broken = expected.filter(|(_, grades)| grades.iter().any(is_broken));
    broken.map(|(requirement, grades)| (requirement, grades.iter().all(is_broken))).collect()
}
