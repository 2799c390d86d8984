//! The matrix for a terminal: a column for each family of requirements, what is violated in the cells.

use std::fmt::Write as _;

use comfy_table::{Cell, Color, ContentArrangement, Table};
use stickler_model::escape;
use stickler_oracle::{Grade, Requirement};

use super::{Matrix, Row, Works};
use crate::pretty::STYLE;

pub(super) fn render(matrix: &Matrix, color: bool) -> String {
    let mut families: Vec<&str> = matrix.columns().into_iter().map(family).collect();
    families.dedup();
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    let kinds: Vec<_> = matrix.kinds().collect();
    let headings = kinds.iter().map(|&(_, heading)| heading);
    let headings = std::iter::once("balancer").chain(headings).chain(["users mixed up"]);
    table.set_header(headings.chain(families.iter().copied()));
    for row in matrix.rows() {
        let named = std::iter::once(Cell::new(escape::line(&row.subject.name)));
        let works = kinds.iter().map(|&(kind, _)| row.logons(kind).works);
        let works = works.map(|works| painted(Cell::new(works.word()), works == Works::Yes, color));
        let mixed = if row.mixes_up_users() { row.mixed() } else { "no".into() };
        let told = works.chain([painted(Cell::new(mixed), !row.mixes_up_users(), color)]);
        let cells = families.iter().map(|&family| {
            let (text, good) = in_family(row, family);
            painted(Cell::new(text), good, color)
        });
        table.add_row(named.chain(told).chain(cells));
    }
    let mut text = format!("{table}\n\n");
    text.push_str("A cell names what is violated; * marks a SHOULD, a dot that nothing put the family to the test.\n");
    for requirement in matrix.columns().into_iter().filter(|&id| matrix.rows().iter().any(|row| is_broken(row, id))) {
        let _ = writeln!(text, "{requirement}: {} [{}]", requirement.text(), requirement.source());
    }
    text
}

/// `HS`, `ID` and so on.
fn family(requirement: Requirement) -> &'static str {
    requirement.id().split_once('-').map_or(requirement.id(), |(family, _)| family)
}

fn is_broken(row: &Row, requirement: Requirement) -> bool {
    row.grade(requirement) > Grade::Ok
}

/// What is violated of a family, and whether that is nothing.
fn in_family(row: &Row, of: &str) -> (String, bool) {
    let mut exercised = false;
    let mut broken = Vec::new();
    for requirement in Requirement::all().filter(|&id| family(id) == of) {
        match row.grade(requirement) {
            Grade::Violated => broken.push(requirement.to_string()),
            Grade::NonStrict => broken.push(format!("{requirement}*")),
            Grade::Ok => exercised = true,
            Grade::NotExercised | Grade::NotApplicable => {}
        }
    }
    match (broken.is_empty(), exercised) {
        (false, _) => (broken.join(" "), false),
        (true, true) => ("ok".into(), true),
        (true, false) => ("·".into(), true),
    }
}

fn painted(cell: Cell, good: bool, color: bool) -> Cell {
    match (color, good) {
        (false, _) => cell,
        (true, true) => cell.fg(Color::Green),
        (true, false) => cell.fg(Color::Red),
    }
}
