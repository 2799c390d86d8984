//! Mechanisms, requirements, defects and scenarios in words, for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stickler_catalogue::explanation::{Cure, Explanation, Statement};
use stickler_catalogue::{Defect, Mechanism, defect, explanation, mechanisms};
use stickler_oracle::{Requirement, Severity};
use stickler_scenarios::{Case, catches};

use super::known::{self, command};

/// A hint that follows a list of requirements.
const MORE: &str = "\n`stickler explain REQUIREMENT` says how that shows in the logs of IIS, and what cures it.\n";

/// Describes a mechanism: its behaviour, its defects, and the violations that are expected of it. The tables do not
/// contain defects, so each defect is described by the scenarios that catch it.
pub(super) fn mechanism(mechanism: &Mechanism, cases: &[Case]) -> String {
    let id = mechanism.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let mut text = format!("{}{id}: {}.\n", mechanism.name, mechanism.summary);
    let put_on = mechanism.defects.iter().filter_map(|id| defect::find(id).ok());
    for defect in put_on {
        let Defect { id, name, summary, source, .. } = defect;
        let _ = writeln!(text, "with the defect {id} ({name}): {summary}. [{source}]");
        caught(&mut text, defect);
    }
    let expected = known::violates(mechanism, cases).into_iter().map(|(requirement, cases)| {
        (requirement, cases.into_iter().map(|(case, certain)| (case.scenario.name(), certain)).collect())
    });
    let expected: BTreeMap<Requirement, Vec<(&str, bool)>> = expected.collect();
    list(&mut text, "Expected to violate, by requirement, in the scenarios", &expected, None);
    if !expected.is_empty() {
        text.push_str(MORE);
    }
    text
}

/// Describes a requirement: its text, the meaning of its violation, the symptoms, the cures, and the mechanisms and
/// defects that violate it.
pub(super) fn requirement(requirement: Requirement, cases: &[Case]) -> String {
    let mut text = heading(requirement, "a requirement");
    if let Some(told) = explanation(requirement.id()) {
        section(&mut text, "What goes wrong", &told.means);
        log_and_cures(&mut text, told);
    }
    let over = known::violated_by(requirement, cases);
    let over: Vec<String> = over.into_iter().map(|(mechanism, count)| format!("{mechanism} ({count})")).collect();
    if !over.is_empty() {
        text.push_str("\nExpected to be violated by these mechanisms, in so many scenarios (`stickler explain MECHANISM` names them)\n");
        let _ = writeln!(text, "  {}", over.join(", "));
    }
    let broken: Vec<_> = known::caught().filter(|(_, catch)| catch.requirement == requirement).collect();
    if !broken.is_empty() {
        text.push_str("\nBroken by the defects\n");
    }
    for (Defect { id, summary, .. }, catch) in broken {
        let _ = writeln!(text, "  {id}: {summary} ({})", command(catch, id));
    }
    text
}

/// Describes a defect: its effect, the scenarios that catch it, and the symptoms and cures of the violated
/// requirements.
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

/// Describes a scenario: its purpose, the command that runs it, and the violations that are expected in it.
pub(super) fn scenario(case: &Case) -> String {
    let (name, group) = (case.scenario.name(), &case.group);
    let mut text = format!("{name}, a scenario of {} ({}): {}\n", group.name, group.title, case.scenario.title());
    let _ = writeln!(text, "\n{}", case.scenario.description());
    let _ = writeln!(text, "\nstickler run {name} --balancer NAME --evidence");
    let expected = known::violated_in(case);
    let title = "Expected to be violated, by requirement, over the mechanisms";
    list(&mut text, title, &expected, Some(mechanisms().len()));
    if !expected.is_empty() && !group.conformance {
        text.push_str("\nFailures in this scenario are not necessarily the balancer's fault.\n");
    }
    text.push_str(if expected.is_empty() { "\nNo mechanism is expected to violate anything in it.\n" } else { MORE });
    for (Defect { id, .. }, catch) in known::caught().filter(|(_, catch)| catch.scenario == name) {
        let _ = writeln!(text, "\nIt catches the defect {id} by {}: {}", catch.requirement, command(catch, id));
    }
    text
}

/// Returns the paragraph that introduces a requirement.
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

/// Adds a line for each scenario that catches a defect.
fn caught(text: &mut String, defect: &Defect) {
    for catch in catches(defect.id) {
        let _ = writeln!(text, "It violates {}: {}", catch.requirement, command(catch, defect.id));
    }
}

/// Lists names by requirement, if there are any, and marks those to which it does not apply in every run. If a list has
/// `all` names and applies to each in every run, the names are not written out.
fn list(text: &mut String, title: &str, lists: &BTreeMap<Requirement, Vec<(&str, bool)>>, all: Option<usize>) {
    if lists.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for (requirement, names) in lists {
        let every = all == Some(names.len()) && names.iter().all(|&(_, certain)| certain);
        let marked = names.iter().map(|&(name, certain)| known::marked(name, certain));
        let names = if every { "all of them".to_owned() } else { marked.collect::<Vec<_>>().join(", ") };
        let _ = writeln!(text, "  {requirement}: {names}");
    }
}
