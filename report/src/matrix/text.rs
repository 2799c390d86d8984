//! Renders the matrix for a terminal: a column for each family of requirements, with the violated requirements in the
//! cells.

use std::fmt::Write as _;

use comfy_table::Color;
use stickler_model::escape;
use stickler_oracle::{Grade, Requirement};

use super::{Matrix, Row, Works};
use crate::page::{Shown, scenarios};
use crate::table::{self, Text};

/// The width of the text below the table if there is no terminal, in columns.
const WIDTH: u16 = 120;

pub(super) fn render(matrix: &Matrix, color: bool, width: Option<u16>) -> String {
    let mut families: Vec<&str> = matrix.columns().into_iter().map(family).collect();
    families.dedup();
    let kinds: Vec<_> = matrix.kinds().collect();
    let headings = kinds.iter().map(|&(_, heading)| heading);
    let headings = std::iter::once("balancer").chain(headings).chain(["users mixed up"]);
    let headings: Vec<String> = headings.chain(families.iter().copied()).map(str::to_owned).collect();
    let row = |row: &Row| {
        let named = std::iter::once(Text::plain(escape::line(&row.subject.name)));
        let works = kinds.iter().map(|&(kind, _)| row.logons(kind).works);
        let works = works.map(|works| painted(works.word().to_owned(), works == Works::Yes, color));
        let mixed = if row.mixes_up_users() { row.mixed() } else { "no".into() };
        let told = works.chain([painted(mixed, !row.mixes_up_users(), color)]);
        let cells = families.iter().map(|&family| {
            let (text, good) = in_family(row, family);
            painted(text, good, color)
        });
        named.chain(told).chain(cells).collect()
    };
    let rows: Vec<Vec<Text>> = matrix.rows().iter().map(row).collect();
    let mut text = table::render(&headings, &rows, width);
    let width = width.or_else(table::columns).unwrap_or(WIDTH).into();
    text.push('\n');
    text.push_str(&legend(matrix, &rows, width));
    text.push_str(&examples(matrix, width));
    text
}

/// Returns the explanation of the signs that occur in the table, and the requirements that are violated.
fn legend(matrix: &Matrix, rows: &[Vec<Text>], width: usize) -> String {
    // The first cell of a row is a name.
    let words = || rows.iter().flat_map(|row| row.iter().skip(1)).flat_map(|cell| cell.text.split(' '));
    let has = |sign: &str| words().any(|word| word == sign);
    let mut signs = vec!["A cell names what is violated"];
    signs.extend(words().any(|word| word.ends_with('*')).then_some("* marks a SHOULD that is not followed"));
    signs.extend(has(DOT).then_some("· that nothing put the family to the test"));
    signs.extend(has(Works::Partly.word()).then_some("partly: with one backend alone, say, or one client at a time"));
    signs.extend(has(Works::Unknown.word()).then_some("?: no scenario without a fault tried to log on"));
    let mut text = table::wrapped(&(signs.join("; ") + "."), "", width);
    for requirement in matrix.columns().into_iter().filter(|&id| matrix.rows().iter().any(|row| is_broken(row, id))) {
        text +=
            &table::wrapped(&format!("{requirement}: {} [{}]", requirement.text(), requirement.source()), "", width);
    }
    text
}

/// Returns a scenario that shows the violation, with its command, for each violated cell. Balancers over which the same
/// scenario shows it share one entry.
fn examples(matrix: &Matrix, width: usize) -> String {
    let mut text = String::new();
    for Shown { requirement, scenario, balancers, replay } in scenarios(matrix) {
        let names = escape::line(&balancers.join(", ")).into_owned();
        let told = format!("{requirement} over {names}: {}", escape::line(scenario));
        if text.is_empty() {
            text.push_str("\nWhere each is seen; another balancer of the list can stand in the command:\n");
        }
        text += &table::wrapped(&told, "", width);
        let _ = writeln!(text, "    {}", escape::line(replay));
    }
    text
}

/// The text of a cell whose family nothing put to the test.
const DOT: &str = "·";

/// Returns the family of a requirement, such as `HS` or `ID`.
fn family(requirement: Requirement) -> &'static str {
    requirement.id().split_once('-').map_or(requirement.id(), |(family, _)| family)
}

fn is_broken(row: &Row, requirement: Requirement) -> bool {
    row.grade(requirement) > Grade::Ok
}

/// Returns the violated requirements of a family, and whether there are none.
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
        (true, false) => (DOT.into(), true),
    }
}

fn painted(text: String, good: bool, color: bool) -> Text {
    let shade = if good { Color::Green } else { Color::Red };
    Text { text, color: color.then_some(shade) }
}
