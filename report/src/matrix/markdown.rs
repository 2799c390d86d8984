//! Renders the matrix as Markdown: one table with a column for each requirement, and a list of the scenarios that show
//! the violations.

use std::fmt::Write as _;

use stickler_model::escape;
use stickler_oracle::{Grade, Requirement};

use super::{Matrix, OPEN, OPEN_MEANS, Row};

pub(super) fn render(matrix: &Matrix) -> String {
    let columns = matrix.columns();
    let kinds: Vec<_> = matrix.kinds().collect();
    let mut text = String::from("| balancer | product | configuration |");
    for (_, heading) in &kinds {
        let _ = write!(text, " {heading} |");
    }
    text.push_str(" users kept apart |");
    for requirement in &columns {
        let _ = write!(text, " {requirement} |");
    }
    text.push_str("\n|---|---|---|---|");
    text.push_str(&"---|".repeat(kinds.len() + columns.len()));
    text.push('\n');
    for row in matrix.rows() {
        let Row { subject, .. } = row;
        let apart = row.kept_apart();
        let apart = if row.mixes_up_users() { format!("**{apart}**") } else { apart };
        let (name, product, config) = (escaped(&subject.name), escaped(&subject.product), escaped(&subject.config));
        let _ = write!(text, "| {name} | {product} | {config} |");
        for &(kind, _) in &kinds {
            let _ = write!(text, " {} |", row.works(kind));
        }
        let _ = write!(text, " {apart} |");
        for &requirement in &columns {
            let _ = write!(text, " {} |", mark(row, requirement));
        }
        text.push('\n');
    }
    let open =
        if matrix.rows().iter().all(Row::is_complete) { String::new() } else { format!(" {OPEN}: {OPEN_MEANS};") };
    let _ = writeln!(
        text,
        "\nok: kept;{open} **no**: violated; no\\*: a SHOULD that was not followed; empty: not put to the test.\n"
    );
    for requirement in columns {
        let _ =
            writeln!(text, "* **{requirement}** {} [{}]", escaped(requirement.text()), escaped(requirement.source()));
    }
    text
}

fn mark(row: &Row, requirement: Requirement) -> &'static str {
    match row.grade(requirement) {
        Grade::Violated => "**no**",
        Grade::NonStrict => "no\\*",
        Grade::Ok if !row.is_complete() => OPEN,
        Grade::Ok => "ok",
        Grade::NotExercised | Grade::NotApplicable => "",
    }
}

/// Returns the text escaped, so that a cell shows it unchanged.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '<' | '[' | '`' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    escape::line(&out).into_owned()
}
