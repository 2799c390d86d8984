//! The findings of a hunt as a page.

use std::path::Path;

use stickler_hunt::Kind;
use stickler_hunt::folder::Record;
use stickler_hunt::shrink::SEEDS;
use stickler_oracle::{Requirement, Severity};
use stickler_report::matrix::Subject;
use stickler_report::page::{Fact, MOST_DIAGRAMS, Mark, Page, Problem, Sort, Told};
use stickler_runner::{Arm, file, text_file};
use stickler_sim::SimArm;

use super::show::{Shown, again};
use crate::page;

/// The maximum size of a script that is shown, in bytes.
const MAX_SCRIPT: u64 = 1 << 16;

/// Returns the page of the findings in the folder of a hunt: a row for each balancer of the hunt.
pub(super) fn page(shown: &Shown<'_>, findings: &[(&Record, String)], summary: String) -> Page {
    let subjects: Vec<Subject> = shown.balancers.iter().map(page::subject).collect();
    let row = |record: &Record| subjects.iter().position(|subject| subject.name == record.balancer);
    let mut told: Vec<Told> = Vec::new();
    let mut problems = Vec::new();
    for (record, folder) in findings {
        let requirement = match record.kind {
            Kind::Violation { requirement, .. } | Kind::ArmsDiffer(requirement) => Some(requirement),
            Kind::Panic(_) | Kind::NotRepeated | Kind::Rejected => None,
        };
        match (requirement, row(record)) {
            (Some(requirement), Some(row)) => {
                let is_drawn = told.len() < MOST_DIAGRAMS;
                told.push(one((row, requirement), record, folder, is_drawn));
            }
            _ => problems.push(Problem {
                what: record.kind.to_string(),
                place: record.balancer.clone(),
                text: record.summary.clone(),
                replay: again(record, folder),
            }),
        }
    }
    let has = |mark| {
        told.iter()
            .filter(|told| told.mark == mark)
            .map(|told| told.row)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    let fact = |count, text: &str, is_bad| Fact { count, of: subjects.len(), text: text.to_owned(), is_bad };
    let facts = vec![
        fact(has(Mark::Violated), "balancers have violations that are not declared", true),
        fact(has(Mark::Partly), "have declared violations, or do not follow a SHOULD", false),
    ];
    let page = Page {
        sort: Sort::Hunt,
        title: "What a hunt has found".to_owned(),
        lead: vec!["This hunt played plans that nobody has scripted over each balancer. Each finding has the shortest plan that shows it.".to_owned()],
        facts,
        notes: std::iter::once(summary).chain(shown.clean.filter(|_| findings.is_empty()).map(str::to_owned)).collect(),
        caption: "Balancers, and the requirements that plans of the hunt violate over them".to_owned(),
        problems,
        ..Page::default()
    };
    page.with_told(&subjects, told, &|subject| format!("stickler hunt --balancer {}", subject.name))
}

fn one((row, requirement): (usize, Requirement), record: &Record, folder: &str, is_drawn: bool) -> Told {
    let short = record.short.as_ref();
    let place = match short {
        None => "not shrunk".to_owned(),
        Some(short) => {
            let s = if short.actions == 1 { "" } else { "s" };
            let seeds = short.seeds.map_or(String::new(), |seeds| format!(", on {seeds} of {SEEDS} seeds"));
            format!("{} action{s}{seeds}", short.actions)
        }
    };
    let is_mild = record.declared || requirement.severity() == Severity::Should;
    let script = text_file::read(&Path::new(folder).join("finding.star"), MAX_SCRIPT).unwrap_or_default();
    Told {
        row,
        requirement,
        mark: if is_mild { Mark::Partly } else { Mark::Violated },
        summary: short.map_or(&record.summary, |short| &short.summary).clone(),
        place,
        lines: script.lines().map(str::to_owned).collect(),
        diagram: short.filter(|_| is_drawn).and_then(|_| diagram(folder, requirement)),
        reason: record.declared.then(|| "the shipped expectations declare it".to_owned()),
        replay: again(record, folder),
    }
}

/// Returns a diagram of the shrunk plan, which is played again in the simulation. Findings on real sockets have none.
fn diagram(folder: &str, requirement: Requirement) -> Option<String> {
    let path = Path::new(folder).join("short.jsonl");
    let replay = file::replay(&path, &|arm| (arm == SimArm.name()).then_some(&SimArm as &dyn Arm)).ok()?;
    page::diagram(&replay.run, requirement)
}
