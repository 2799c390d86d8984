//! The matrix as one HTML page. Nothing in it is taken for markup, and nothing hides or breaks it.

use std::borrow::Cow;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, escape_formatter};
use serde::Serialize;
use stickler_model::escape;
use stickler_oracle::{Grade, Requirement};

use super::{Matrix, Row};
use crate::json::{self, RequirementText};

const PAGE: &str = include_str!("matrix.html");

#[derive(Serialize)]
struct Page<'a> {
    kinds: Vec<&'static str>,
    requirements: Vec<RequirementText>,
    rows: Vec<RowView<'a>>,
}

#[derive(Serialize)]
struct RowView<'a> {
    name: &'a str,
    product: &'a str,
    config: &'a str,
    works: Vec<&'static str>,
    mixed: String,
    cells: Vec<CellView>,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct CellView {
    class: &'static str,
    mark: &'static str,
}

#[derive(Serialize)]
struct Finding<'a> {
    id: Requirement,
    scenario: &'a str,
    summary: &'a str,
    evidence: String,
    replay: &'a str,
}

pub(super) fn render(matrix: &Matrix) -> String {
    let columns = matrix.columns();
    let requirements: Vec<RequirementText> = json::requirements()
        .into_iter()
        .filter(|text| columns.iter().any(|requirement| requirement.id() == text.id))
        .collect();
    let rows: Vec<RowView<'_>> = matrix.rows().iter().map(|row| view(row, matrix, &columns)).collect();
    let kinds = matrix.kinds().map(|(_, heading)| heading).collect();
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| match value.as_str().map(escape::lines) {
        Some(Cow::Owned(escaped)) => escape_formatter(out, state, &Value::from(escaped)),
        Some(Cow::Borrowed(_)) | None => escape_formatter(out, state, value),
    });
    let page =
        environment.template_from_str(PAGE).and_then(|page| page.render(Serde(Page { kinds, requirements, rows })));
    page.expect("the template is part of the program, and every name in it is given")
}

fn view<'a>(row: &'a Row, matrix: &Matrix, columns: &[Requirement]) -> RowView<'a> {
    let findings = row.cells.iter().flat_map(|(&id, cell)| {
        cell.broken.iter().map(move |sighting| Finding {
            id,
            scenario: &sighting.scenario,
            summary: &sighting.summary,
            evidence: sighting.evidence.join("\n"),
            replay: &sighting.replay,
        })
    });
    RowView {
        name: &row.subject.name,
        product: &row.subject.product,
        config: &row.subject.config,
        works: matrix.kinds().map(|(kind, _)| row.logons(kind).works.word()).collect(),
        mixed: row.mixed(),
        cells: columns.iter().map(|&requirement| cell(row.grade(requirement))).collect(),
        findings: findings.collect(),
    }
}

const fn cell(grade: Grade) -> CellView {
    let (class, mark) = match grade {
        Grade::Violated => ("bad", "no"),
        Grade::NonStrict => ("soft", "no*"),
        Grade::Ok => ("ok", "ok"),
        Grade::NotExercised | Grade::NotApplicable => ("", ""),
    };
    CellView { class, mark }
}
