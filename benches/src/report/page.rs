//! The report as a page of HTML, which loads nothing.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use super::render::cells;
use super::{History, Report, Row, plots};

const PAGE: &str = include_str!("page.html");

/// The values of the template.
#[derive(Serialize)]
struct View<'a> {
    stickler: &'a str,
    summary: Vec<String>,
    plots: Vec<PlotView>,
    rows: Vec<RowView<'a>>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct PlotView {
    title: &'static str,
    svg: String,
}

#[derive(Serialize)]
struct RowView<'a> {
    id: &'a str,
    what: &'a str,
    cells: [String; 6],
    state: String,
    change: String,
}

impl Report {
    /// Returns the report as a page: its summary, its plots, and all figures.
    pub fn to_html(&self, history: &History) -> String {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let plots = [
            ("How far figures are from their aims", plots::aims(self)),
            ("Speed by the number of clients", plots::crowds(self)),
            ("History", plots::history(history, self)),
        ];
        let view = View {
            stickler: self.stickler,
            summary: self.summary(),
            plots: plots.into_iter().filter_map(|(title, svg)| Some(PlotView { title, svg: svg? })).collect(),
            rows: self.figures.iter().map(row).collect(),
            notes: self.notes(),
        };
        let page = environment.template_from_str(PAGE).and_then(|template| template.render(Serde(view)));
        page.expect("the template is part of the program, and every name in it is given")
    }
}

fn row(row: &Row) -> RowView<'_> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    RowView {
        id: &row.id,
        what: &row.what,
        cells: cells(row),
        state: or_dash(row.state.map(|state| state.to_string())),
        change: or_dash(row.change.map(|change| format!("{:+.0} %", change * 100.0))),
    }
}
