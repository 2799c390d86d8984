//! Renders the matrix as Markdown: one table with a column for each requirement, and a list of the scenarios that show
//! the violations.

use std::fmt::Write as _;

use stickler_model::escape;
use stickler_oracle::Grade;

use super::{Matrix, Row};

pub(super) fn render(matrix: &Matrix) -> String {
    let columns = matrix.columns();
    let kinds: Vec<_> = matrix.kinds().collect();
    let mut text = String::from("| balancer | product | configuration |");
    for (_, heading) in &kinds {
        let _ = write!(text, " {heading} |");
    }
    text.push_str(" users mixed up |");
    for requirement in &columns {
        let _ = write!(text, " {requirement} |");
    }
    text.push_str("\n|---|---|---|---|");
    text.push_str(&"---|".repeat(kinds.len() + columns.len()));
    text.push('\n');
    for row in matrix.rows() {
        let Row { subject, .. } = row;
        let mixed = if row.mixes_up_users() { format!("**{}**", row.mixed()) } else { "no".into() };
        let (name, product, config) = (escaped(&subject.name), escaped(&subject.product), escaped(&subject.config));
        let _ = write!(text, "| {name} | {product} | {config} |");
        for &(kind, _) in &kinds {
            let _ = write!(text, " {} |", row.logons(kind).works.word());
        }
        let _ = write!(text, " {mixed} |");
        for &requirement in &columns {
            let _ = write!(text, " {} |", mark(row.grade(requirement)));
        }
        text.push('\n');
    }
    text.push_str(
        "\nok: kept; **no**: violated; no\\*: a SHOULD that was not followed; empty: not put to the test.\n\n",
    );
    for requirement in columns {
        let _ =
            writeln!(text, "* **{requirement}** {} [{}]", escaped(requirement.text()), escaped(requirement.source()));
    }
    text
}

const fn mark(grade: Grade) -> &'static str {
    match grade {
        Grade::Violated => "**no**",
        Grade::NonStrict => "no\\*",
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
