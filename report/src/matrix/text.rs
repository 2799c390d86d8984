//! Renders the matrix for a terminal: a column for each family of requirements, with the violated requirements in the
//! cells.

use std::fmt::Write as _;

use stickler_model::escape;
use stickler_model::topology::Provider;
use stickler_oracle::{Grade, Requirement};

use super::{Matrix, OPEN, OPEN_MEANS, Row, Works};
use crate::page::{Shown, scenarios};
use crate::table::{self, SHADES, Shade, Text};

/// The width of the text below the table if there is no terminal, in columns.
const WIDTH: u16 = 120;

pub(super) fn render(matrix: &Matrix, color: bool, width: Option<u16>) -> String {
    let mut families: Vec<&str> = matrix.columns().into_iter().map(family).collect();
    families.dedup();
    let kinds: Vec<_> = matrix.kinds().collect();
    let headings = kinds.iter().map(|&(_, heading)| heading);
    let headings = std::iter::once("balancer").chain(headings).chain(["users kept apart"]);
    let headings: Vec<String> = headings.chain(families.iter().copied()).map(str::to_owned).collect();
    let row = |row: &Row| {
        let named = std::iter::once(Text::plain(escape::line(&row.subject.name)));
        let painted = |(text, shade): (String, Shade)| Text::painted(text, shade, color);
        let works = kinds.iter().map(|&(kind, _)| painted(logons(row, kind)));
        let told = works.chain([painted((row.kept_apart(), apart(row)))]);
        let cells = families.iter().map(|&family| painted(in_family(row, family)));
        named.chain(told).chain(cells).collect()
    };
    let rows: Vec<Vec<Text>> = matrix.rows().iter().map(row).collect();
    let mut text = table::render(&headings, &rows, width);
    let width = width.or_else(table::columns).unwrap_or(WIDTH).into();
    text.push('\n');
    text.push_str(&legend(matrix, &rows, width));
    if color {
        text += &table::wrapped(SHADES, "", width);
    }
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
    let mut text = table::wrapped(&(signs.join("; ") + "."), "", width);
    let kinds: Vec<&str> = matrix.kinds().map(|(_, heading)| heading).collect();
    if !kinds.is_empty() {
        text += &table::wrapped(&logon_legend(&kinds, &has), "", width);
    }
    if has(OPEN) {
        text += &table::wrapped(&format!("open: {OPEN_MEANS}."), "", width);
    }
    for requirement in matrix.columns().into_iter().filter(|&id| matrix.rows().iter().any(|row| is_broken(row, id))) {
        text +=
            &table::wrapped(&format!("{requirement}: {} [{}]", requirement.text(), requirement.source()), "", width);
    }
    text
}

/// Returns the meaning of the words in the columns about logons that occur in the table.
fn logon_legend(kinds: &[&str], has: &dyn Fn(&str) -> bool) -> String {
    let words = [
        (Works::Yes, "yes, in every scenario without a fault"),
        (Works::Partly, "partly, in some of these scenarios and not in others"),
        (Works::No, "no, in none of them"),
        (Works::Unknown, "?, no such scenario tried"),
    ];
    let present = words.iter().filter(|(works, _)| has(works.word())).map(|&(_, told)| told).collect::<Vec<_>>();
    format!("Under {}, whether every user could log on: {}.", kinds.join(", "), present.join("; "))
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

/// Returns whether users can log on at sites with this provider.
fn logons(row: &Row, takes: Provider) -> (String, Shade) {
    let word = row.works(takes);
    let shade = match row.logons(takes).works {
        Works::Yes if word == OPEN => Shade::Unknown,
        Works::Yes => Shade::Good,
        Works::Partly => Shade::Partly,
        Works::No => Shade::Bad,
        Works::Unknown => Shade::Unknown,
    };
    (word.to_owned(), shade)
}

/// Returns the shade of the cell that says whether users are kept apart.
fn apart(row: &Row) -> Shade {
    match row.mixes_up_users() {
        true => Shade::Bad,
        false if row.is_complete() && !row.logons.is_empty() => Shade::Good,
        false => Shade::Unknown,
    }
}

/// Returns the violated requirements of a family.
fn in_family(row: &Row, of: &str) -> (String, Shade) {
    let mut exercised = false;
    let mut broken = Vec::new();
    let mut shade = Shade::Partly;
    for requirement in Requirement::all().filter(|&id| family(id) == of) {
        match row.grade(requirement) {
            Grade::Violated => {
                shade = Shade::Bad;
                broken.push(requirement.to_string());
            }
            Grade::NonStrict => broken.push(format!("{requirement}*")),
            Grade::Ok => exercised = true,
            Grade::NotExercised | Grade::NotApplicable => {}
        }
    }
    match (broken.is_empty(), exercised) {
        (false, _) => (broken.join(" "), shade),
        (true, true) if !row.is_complete() => (OPEN.into(), Shade::Unknown),
        (true, true) => ("ok".into(), Shade::Good),
        (true, false) => (DOT.into(), Shade::Unknown),
    }
}
