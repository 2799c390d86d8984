//! The verdict table and the evidence, for a terminal.

use std::fmt::Write as _;

use comfy_table::{Cell, Color, ContentArrangement, LineStyle, Table, TableStyle};
use indexmap::IndexMap;
use stickler_oracle::{Cost, Effort, Grade, Severity};

use crate::{RunReport, transcript};

/// A line under the header, and none between rows: the table has to fit a screen.
pub(crate) const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The table: a row for each scenario, a column for each balancer, what was violated in the cells.
///
/// Several seeds of a pair share a cell. `*` marks a SHOULD, `!` an outcome that was not expected.
/// It is as wide as the terminal, where there is one.
pub fn table(runs: &[RunReport], color: bool) -> String {
    let mut balancers: Vec<&str> = Vec::new();
    let mut rows: IndexMap<&str, IndexMap<&str, Vec<&RunReport>>> = IndexMap::new();
    for run in runs {
        if !balancers.contains(&run.balancer.as_str()) {
            balancers.push(&run.balancer);
        }
        rows.entry(&run.scenario).or_default().entry(&run.balancer).or_default().push(run);
    }
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(std::iter::once("scenario").chain(balancers.iter().copied()));
    for (scenario, by_balancer) in rows {
        let cells = balancers
            .iter()
            .map(|balancer| by_balancer.get(balancer).map_or_else(|| Cell::new("-"), |runs| cell(runs, color)));
        table.add_row(std::iter::once(Cell::new(scenario)).chain(cells));
    }
    format!("{table}\n")
}

/// What the marks mean, and one line that counts.
pub fn legend(runs: &[RunReport]) -> String {
    let mut ids: Vec<_> = runs
        .iter()
        .flat_map(|run| run.graded(Grade::Violated).chain(run.graded(Grade::NonStrict)))
        .map(|verdict| verdict.requirement)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut text = String::from("\n");
    for requirement in ids {
        let verb = if requirement.severity() == Severity::Must { "violated" } else { "not followed (SHOULD)" };
        let _ = writeln!(text, "{requirement} {verb}: {} [{}]", requirement.text(), requirement.source());
    }
    text + &count(runs)
}

/// How many runs ended as expected, in a line.
pub fn count(runs: &[RunReport]) -> String {
    let unexpected = runs.iter().filter(|run| !run.as_expected()).count();
    let (all, plural) = (runs.len(), if runs.len() == 1 { "" } else { "s" });
    format!("\n{all} run{plural}, {} as expected, {unexpected} not as expected\n", all - unexpected)
}

/// One run in full: verdicts with their evidence, and what was not expected.
///
/// `everything` adds the whole transcript, with the lines of the evidence marked.
pub fn details(run: &RunReport, everything: bool) -> String {
    let mut text = format!("── {} over {}\n", run.scenario, run.balancer);
    for verdict in run.graded(Grade::Violated).chain(run.graded(Grade::NonStrict)) {
        let Some(first) = verdict.evidence.first() else { continue };
        let _ = write!(text, "{} {}: {}", verdict.requirement, verdict.grade, transcript::evidence(&run.trace, first));
        if verdict.evidence.len() > 1 {
            let _ = writeln!(
                text,
                "    ... {} times in all, of {} that put it to the test",
                verdict.evidence.len(),
                verdict.exercised
            );
        }
    }
    for line in &run.printed {
        let _ = writeln!(text, "printed: {line}");
    }
    if let Some(reason) = &run.reason {
        let _ = writeln!(text, "why: {reason}");
    }
    text.push_str(&failures(run));
    for surprise in &run.surprises {
        let _ = writeln!(text, "NOT AS EXPECTED: {surprise}");
    }
    if everything {
        let mut marked: Vec<usize> = run
            .verdicts
            .iter()
            .flat_map(|verdict| &verdict.evidence)
            .flat_map(|evidence| evidence.events.iter().copied())
            .collect();
        marked.sort_unstable();
        text.push_str(&transcript::whole(&run.trace, &marked));
        let Cost { http_requests, ticket_checks, logons, dc_tickets } = Effort::of(&run.trace).total;
        let _ = writeln!(
            text,
            "cost: {http_requests} HTTP requests, {ticket_checks} tickets checked; of the DC, {logons} logons and \
             {dc_tickets} requests for tickets"
        );
    }
    let _ = writeln!(text, "replay: {}", run.replay);
    text
}

/// The script's own expectations that did not hold: each once, with how often; only the first where that was expected.
fn failures(run: &RunReport) -> String {
    let mut counted: IndexMap<&str, usize> = IndexMap::new();
    for failure in &run.failures {
        *counted.entry(failure).or_default() += 1;
    }
    let shown = if run.as_expected() { 1 } else { counted.len() };
    let mut text = String::new();
    for (failure, times) in counted.iter().take(shown) {
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        let _ = writeln!(text, "{failure}{times}");
    }
    if counted.len() > shown {
        let _ = writeln!(text, "... and {} more expectations of the script that do not hold", counted.len() - shown);
    }
    text
}

/// Whether a run has anything to tell beside its cell in the table.
pub fn is_notable(run: &RunReport) -> bool {
    let kept = run.graded(Grade::Violated).next().is_none() && run.graded(Grade::NonStrict).next().is_none();
    !kept || !run.as_expected() || !run.printed.is_empty()
}

fn cell(runs: &[&RunReport], color: bool) -> Cell {
    let mut marks: Vec<String> = Vec::new();
    for run in runs {
        for verdict in &run.verdicts {
            let mark = match verdict.grade {
                Grade::Violated => verdict.requirement.to_string(),
                Grade::NonStrict => format!("{}*", verdict.requirement),
                Grade::Ok | Grade::NotExercised | Grade::NotApplicable => continue,
            };
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        }
    }
    let unexpected = runs.iter().any(|run| !run.as_expected());
    let clean = marks.is_empty();
    let mut text = if clean { "ok".to_owned() } else { marks.join(" ") };
    if unexpected {
        text.push_str(" !");
    }
    let cell = Cell::new(text);
    match (color, unexpected, clean) {
        (false, ..) => cell,
        (true, true, _) => cell.fg(Color::Magenta),
        (true, false, true) => cell.fg(Color::Green),
        (true, false, false) => cell.fg(Color::Red),
    }
}
