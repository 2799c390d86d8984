//! Mechanisms, requirements, defects and scenarios in words.
//!
//! What is expected to be violated comes from the tables of expected outcomes, which are about mechanisms.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stickler_catalogue::explanation::{Cure, Explanation, Statement};
use stickler_catalogue::{Defect, Mechanism, defect, defects, explanation, mechanisms};
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_scenarios::{Case, Catch, catches};

/// What to do with a list of requirements.
const MORE: &str = "\n`stickler explain REQUIREMENT` says how that shows in the logs of IIS, and what cures it.\n";

/// What a mechanism does, which defects it has, and what it is expected to violate. A defect is not in the tables: of a mechanism
/// with one, the scenarios that catch it are told.
pub(super) fn mechanism(mechanism: &Mechanism, cases: &[Case]) -> String {
    let id = mechanism.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let mut text = format!("{}{id}: {}.\n", mechanism.name, mechanism.summary);
    let put_on = mechanism.defects.iter().filter_map(|id| defect::find(id).ok());
    for defect in put_on {
        let Defect { id, name, summary, source, .. } = defect;
        let _ = writeln!(text, "with the defect {id} ({name}): {summary}. [{source}]");
        caught(&mut text, defect);
    }
    if mechanism.defects.is_empty() && mechanisms().iter().any(|known| known.name == mechanism.name) {
        let mut expected: BTreeMap<Requirement, Vec<String>> = BTreeMap::new();
        for case in conforming(cases) {
            for (requirement, certain) in violated(case, &mechanism.name) {
                expected.entry(requirement).or_default().push(marked(case.scenario.name(), certain));
            }
        }
        list(&mut text, "Expected to violate, by requirement, in the scenarios", &expected, None);
        if !expected.is_empty() {
            text.push_str(MORE);
        }
    }
    text
}

/// What a requirement demands, what its violation means, how it shows, what cures it, and where this bench shows it.
pub(super) fn requirement(requirement: Requirement, cases: &[Case]) -> String {
    let mut text = heading(requirement, "a requirement");
    if let Some(told) = explanation(requirement.id()) {
        section(&mut text, "What goes wrong", &told.means);
        log_and_cures(&mut text, told);
    }
    let over = mechanisms().iter().filter_map(|mechanism| {
        let violates = |case: &&Case| violated(case, &mechanism.name).contains_key(&requirement);
        let count = conforming(cases).filter(violates).count();
        (count > 0).then(|| format!("{} ({count})", mechanism.name))
    });
    let over: Vec<String> = over.collect();
    if !over.is_empty() {
        text.push_str("\nExpected to be violated by these mechanisms, in so many scenarios (`stickler explain MECHANISM` names them)\n");
        let _ = writeln!(text, "  {}", over.join(", "));
    }
    let broken = defects().iter().flat_map(|defect| catches(defect.id).iter().map(move |catch| (defect, catch)));
    let broken: Vec<_> = broken.filter(|(_, catch)| catch.requirement == requirement).collect();
    if !broken.is_empty() {
        text.push_str("\nBroken by the defects\n");
    }
    for (Defect { id, summary, .. }, catch) in broken {
        let _ = writeln!(text, "  {id}: {summary} ({})", command(catch, id));
    }
    text
}

/// What a defect does, what catches it, and how that requirement's violation shows and is cured.
pub(super) fn defect(defect: &Defect) -> String {
    let Defect { id, name, summary, source, .. } = defect;
    let mut text = format!("{id} ({name}), a defect: {summary}. [{source}]\n");
    let _ = writeln!(text, "It can be put on: {}.", defect.sits_on().join(", "));
    caught(&mut text, defect);
    let mut requirements: Vec<Requirement> = catches(id).iter().map(|catch| catch.requirement).collect();
    requirements.dedup();
    for requirement in requirements {
        text.push('\n');
        text.push_str(&heading(requirement, "which it violates"));
        if let Some(told) = explanation(requirement.id()) {
            log_and_cures(&mut text, told);
        }
    }
    text
}

/// What a scenario shows, how it is run, and what is expected to be violated in it.
pub(super) fn scenario(case: &Case) -> String {
    let (name, group) = (case.scenario.name(), &case.group);
    let mut text = format!("{name}, a scenario of {} ({}): {}\n", group.name, group.title, case.scenario.title());
    let _ = writeln!(text, "\n{}", case.scenario.description());
    let _ = writeln!(text, "\nstickler run {name} --balancer NAME --evidence");
    let mut expected: BTreeMap<Requirement, Vec<String>> = BTreeMap::new();
    for mechanism in mechanisms() {
        for (requirement, certain) in violated(case, &mechanism.name) {
            expected.entry(requirement).or_default().push(marked(&mechanism.name, certain));
        }
    }
    let title = "Expected to be violated, by requirement, over the mechanisms";
    list(&mut text, title, &expected, Some(mechanisms().len()));
    if !expected.is_empty() && !group.conformance {
        text.push_str("\nWhat goes wrong in this scenario need not be the balancer's doing.\n");
    }
    text.push_str(if expected.is_empty() { "\nNo mechanism is expected to violate anything in it.\n" } else { MORE });
    let caught = defects().iter().flat_map(|defect| catches(defect.id).iter().map(move |catch| (defect, catch)));
    for (Defect { id, .. }, catch) in caught.filter(|(_, catch)| catch.scenario == name) {
        let _ = writeln!(text, "\nIt catches the defect {id} by {}: {}", catch.requirement, command(catch, id));
    }
    text
}

/// A requirement in a paragraph of its own.
fn heading(requirement: Requirement, what: &str) -> String {
    let severity = match requirement.severity() {
        Severity::Must => "MUST",
        Severity::Should => "SHOULD",
    };
    format!("{requirement}, {what} ({severity}): {}. [{}]\n", requirement.text(), requirement.source())
}

fn log_and_cures(text: &mut String, Explanation { log, cures, .. }: &Explanation) {
    section(text, "In the logs of IIS (sc-status sc-substatus sc-win32-status)", log);
    text.push_str("\nWhat cures it\n");
    for Cure { product, text: cure, source } in cures {
        let _ = writeln!(text, "  {}: {cure} [{source}]", product.as_deref().unwrap_or("whatever the product"));
    }
}

fn section(text: &mut String, title: &str, Statement { text: said, source }: &Statement) {
    let _ = writeln!(text, "\n{title}");
    for line in said.lines() {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "  [{source}]");
}

/// What catches a defect, one line each.
fn caught(text: &mut String, defect: &Defect) {
    for catch in catches(defect.id) {
        let _ = writeln!(text, "It violates {}: {}", catch.requirement, command(catch, defect.id));
    }
}

/// The command that shows a defect.
fn command(Catch { on, scenario, .. }: &Catch, defect: &str) -> String {
    format!("stickler run {scenario} --balancer {on}+{defect}")
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

fn marked(name: &str, certain: bool) -> String {
    if certain { name.to_owned() } else { format!("{name} (in some runs)") }
}

/// Lists by requirement, if there are any. A list of `all` names that are certain is not spelt out.
fn list(text: &mut String, title: &str, lists: &BTreeMap<Requirement, Vec<String>>, all: Option<usize>) {
    if lists.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for (requirement, names) in lists {
        let every = all == Some(names.len()) && names.iter().all(|name| !name.ends_with(')'));
        let names = if every { "all of them".to_owned() } else { names.join(", ") };
        let _ = writeln!(text, "  {requirement}: {names}");
    }
}
