//! Builds the page of a matrix, with a row for each balancer and a column for each requirement.

use std::collections::BTreeMap;

use stickler_oracle::{Grade, Requirement, Severity};

use super::pick::{By, Column, Picked, pick};
use super::since::word;
use super::{Cell, Fact, Finding, Mark, Page, Row};
use crate::matrix::{self, Matrix, OPEN, Subject, Works};

/// The texts and commands that a page needs in addition to a table.
pub struct About<'a> {
    /// The heading of the page.
    pub title: String,
    /// The place in which the scenarios ran: "in a simulated network".
    pub place: &'a str,
    /// A function that returns the command that shows every violation over a balancer.
    pub again: &'a dyn Fn(&Subject) -> String,
}

impl Matrix {
    /// Returns the table as a page, with one example for each cell that has a violation.
    pub fn page(&self, about: &About<'_>) -> Page {
        let picked = pick(self, By::Evidence);
        let rows = self.rows().iter().enumerate().map(|(index, own)| row(self, (index, own), &picked, about)).collect();
        let kinds: Vec<String> = self.kinds().map(|(_, heading)| heading.to_owned()).collect();
        let leading = ["Users can log on", "Users kept apart"].map(|name| (name.to_owned(), kinds.clone()));
        Page {
            title: about.title.clone(),
            lead: vec![format!(
                "Each row is a balancer, each column a requirement. A cell is the outcome of scenarios {} whose servers and domain \
                 controllers really verify NTLM and Kerberos. Each sign of a violation is a link to what was seen.",
                about.place
            )],
            facts: facts(self),
            incomplete: incomplete(self),
            notes: notes(self),
            caption: "Balancers, whether users can log on and are kept apart over them, and the requirements"
                .to_owned(),
            leading: leading.into(),
            rows,
            findings: findings(&picked),
            ..Page::default()
        }
    }
}

/// Returns the statement that runs are missing, if any is.
fn incomplete(matrix: &Matrix) -> Option<String> {
    let missing: usize = matrix.rows().iter().map(|row| row.missing).sum();
    let rows = matrix.rows().iter().filter(|row| !row.is_complete()).count();
    let (s, were) = if missing == 1 { ("", "was") } else { ("s", "were") };
    let over = if rows == 1 { "one balancer".to_owned() } else { format!("{rows} balancers") };
    (missing > 0).then(|| format!("{missing} run{s} over {over} {were} not made, or not to the end."))
}

/// Returns the numbers that sum the table up.
fn facts(matrix: &Matrix) -> Vec<Fact> {
    let rows = matrix.rows();
    let so_far = if rows.iter().all(matrix::Row::is_complete) { "" } else { " so far" };
    if let [row] = rows {
        let count = row.cells.values().filter(|cell| cell.grade == Some(Grade::Violated)).count();
        let text = format!("requirements that were put to the test are violated{so_far}");
        return vec![Fact { count, of: row.cells.len(), text, is_bad: true }];
    }
    let fact = |text: String, is_bad: bool, is_one: &dyn Fn(&matrix::Row) -> bool| Fact {
        count: rows.iter().filter(|row| is_one(row)).count(),
        of: rows.len(),
        text,
        is_bad,
    };
    let is_kept = |row: &matrix::Row| {
        let must = |id: &Requirement| id.severity() == Severity::Must;
        row.is_complete()
            && row.scenarios > 0
            && Requirement::all().filter(must).all(|id| row.grade(id) != Grade::Violated)
    };
    let mut facts = vec![fact(format!("mix users up{so_far}"), true, &matrix::Row::mixes_up_users)];
    for (kind, heading) in matrix.kinds() {
        let fails = |row: &matrix::Row| matches!(row.logons(kind).works, Works::Partly | Works::No);
        facts.push(fact(format!("do not let every user log on with {heading}{so_far}"), true, &fails));
    }
    facts.push(fact("violate no requirement, in all the runs that were requested".to_owned(), false, &is_kept));
    facts
}

/// Returns the outcome for users over the only balancer of a table; empty if the table has several balancers.
fn notes(matrix: &Matrix) -> Vec<String> {
    let [row] = matrix.rows() else { return Vec::new() };
    let logons = matrix.kinds().filter_map(|(kind, heading)| match row.logons(kind).works {
        Works::Unknown => None,
        Works::Yes if row.is_complete() => Some(format!("Every user can log on with {heading}.")),
        Works::Yes => Some(format!("No user failed to log on with {heading} so far.")),
        Works::Partly => Some(format!("Some users alone can log on with {heading}.")),
        Works::No if row.is_complete() => Some(format!("No user can log on with {heading}.")),
        Works::No => Some(format!("No user could log on with {heading} so far.")),
    });
    std::iter::once(told(row)).chain(logons).collect()
}

fn row(matrix: &Matrix, (index, row): (usize, &matrix::Row), picked: &Picked<'_>, about: &About<'_>) -> Row {
    let proof = |column: Column| picked.proofs.get(&(index, column)).copied();
    let logons = matrix.kinds().map(|(kind, _)| {
        let works = row.logons(kind).works;
        let mark = match works {
            Works::Unknown => Mark::Untested,
            Works::Yes => kept(row),
            Works::Partly => Mark::Partly,
            Works::No => Mark::Violated,
        };
        let finding = if mark > Mark::Kept { proof(Column::Logon(kind)) } else { None };
        Cell { mark, word: row.works(kind).to_owned(), finding, times: 0 }
    });
    let apart = matrix.kinds().map(|(kind, _)| match row.logons.get(&kind) {
        None => Cell::default(),
        Some(logons) if logons.mixes_up_users => {
            Cell { mark: Mark::Violated, word: "no".to_owned(), finding: proof(Column::MixedUp(kind)), times: 0 }
        }
        Some(_) => {
            let word = if row.is_complete() { "yes" } else { OPEN };
            Cell { mark: kept(row), word: word.to_owned(), finding: None, times: 0 }
        }
    });
    let cells = row.cells.iter().map(|(&id, cell)| {
        let mark = match cell.grade {
            Some(Grade::Violated) => Mark::Violated,
            Some(Grade::NonStrict) => Mark::Partly,
            Some(Grade::Ok) => kept(row),
            Some(Grade::NotExercised | Grade::NotApplicable) | None => Mark::Untested,
        };
        let finding = proof(Column::Requirement(id));
        let word = if mark == Mark::Open { OPEN } else { word(cell.grade) };
        (id, Cell { mark, word: word.to_owned(), finding, times: cell.scenarios() })
    });
    Row {
        subject: row.subject.clone(),
        leading: logons.chain(apart).collect(),
        cells: cells.collect::<BTreeMap<_, _>>(),
        told: told(row),
        again: (about.again)(&row.subject),
    }
}

/// Returns the mark of something that no run over a balancer violates.
const fn kept(row: &matrix::Row) -> Mark {
    if row.is_complete() { Mark::Kept } else { Mark::Open }
}

/// Returns the outcome for users in one sentence.
fn told(row: &matrix::Row) -> String {
    match row.mixed() {
        mixed if mixed.is_empty() && !row.is_complete() => {
            let (missing, s) = (row.missing, if row.missing == 1 { "" } else { "s" });
            format!(
                "No request was served as another user's so far, but {missing} run{s} of those requested are missing."
            )
        }
        mixed if mixed.is_empty() => "No request was served as another user's.".to_owned(),
        mixed => format!("Users are mixed up at sites that take {mixed}."),
    }
}

fn findings(picked: &Picked<'_>) -> Vec<Finding> {
    let finding = |example: &super::pick::Example<'_>| {
        let (_, first) = example.seen.first()?;
        let over = match example.seen.len() {
            1 => String::new(),
            count => format!(" over {count} balancers"),
        };
        let mark = if example.requirement.severity() == Severity::Must { Mark::Violated } else { Mark::Partly };
        Some(Finding {
            requirement: example.requirement,
            run: Some((first.scenario.clone(), first.seed)),
            mark,
            summary: first.summary.clone(),
            place: format!("{}{over}", first.scenario),
            lines: first.evidence.clone(),
            diagram: None,
            reason: None,
            seen: example.seen.iter().map(|&(row, sighting)| (row, sighting.replay.clone())).collect(),
        })
    };
    picked.examples.iter().filter_map(finding).collect()
}
