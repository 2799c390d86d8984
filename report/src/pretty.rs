//! Renders the verdict table and the evidence for a terminal. All text of peers and scripts is escaped, so that it
//! cannot control the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indexmap::IndexMap;
use stickler_model::escape;
use stickler_oracle::{Cost, Effort, Evidence, Grade, Party, Requirement, Severity, Verdict};
use stickler_runner::{End, Ending, Run};

use crate::matrix::OPEN;
use crate::missing::Missing;
use crate::table::{self, SHADES, Shade, Text};
use crate::transcript;

/// Returns the table: a row for each scenario, a column for each balancer, and the violated requirements in the cells.
///
/// Runs of the same scenario and balancer with different seeds share a cell. [`legend`] explains the signs in the
/// table. The table is as wide as the terminal, if there is one. A cell of which some runs are `missing` says so, unless
/// something is violated in it.
pub fn table(runs: &[Run], missing: Option<&Missing>, color: bool) -> String {
    rows(runs, missing, color, None)
}

/// Returns the table for a terminal of `width` columns.
pub fn table_within(runs: &[Run], width: u16) -> String {
    rows(runs, None, false, Some(width))
}

fn rows(runs: &[Run], missing: Option<&Missing>, color: bool, width: Option<u16>) -> String {
    let mut balancers: Vec<String> = Vec::new();
    let mut rows: IndexMap<&str, IndexMap<String, Vec<&Run>>> = IndexMap::new();
    for run in runs {
        let balancer = run.balancer.to_string();
        if !balancers.contains(&balancer) {
            balancers.push(balancer.clone());
        }
        rows.entry(&run.source.scenario).or_default().entry(balancer).or_default().push(run);
    }
    let shown = |text: &str| escape::line(text).into_owned();
    let headings: Vec<String> =
        std::iter::once("scenario".to_owned()).chain(balancers.iter().map(|name| shown(name))).collect();
    let rows = rows.into_iter().map(|(scenario, by_balancer)| {
        let none = || Text::plain(NONE);
        let is_open = |balancer: &str| missing.is_some_and(|missing| missing.has(scenario, balancer));
        let cells = balancers
            .iter()
            .map(|balancer| by_balancer.get(balancer).map_or_else(none, |runs| cell(runs, is_open(balancer), color)));
        std::iter::once(Text::plain(shown(scenario))).chain(cells).collect()
    });
    table::render(&headings, &rows.collect::<Vec<_>>(), width)
}

pub use crate::table::hanging;

/// Returns the number of columns of the terminal to which standard output goes; `None` if standard output goes
/// elsewhere.
pub fn columns() -> Option<usize> {
    table::columns().map(usize::from)
}

/// Returns the explanation of the signs in the table, the requirements that were violated, each with the first run that
/// shows it, and one line with the counts. `replay` returns the command that repeats a run.
pub fn legend(runs: &[Run], missing: Option<&Missing>, color: bool, replay: &dyn Fn(&Run) -> String) -> String {
    let mut seen: BTreeMap<Requirement, &Run> = BTreeMap::new();
    for run in runs {
        for verdict in run.graded(Grade::Violated).chain(run.graded(Grade::NonStrict)) {
            seen.entry(verdict.requirement).or_insert(run);
        }
    }
    let mut text = String::from("\n");
    let mut signs = signs(runs);
    if missing
        .is_some_and(|missing| runs.iter().any(|run| missing.has(&run.source.scenario, &run.balancer.to_string())))
    {
        signs.push("open that not every run was made");
    }
    if !signs.is_empty() {
        let _ = writeln!(text, "{}.", signs.join("; "));
    }
    if color {
        let _ = writeln!(text, "{SHADES}");
    }
    for (requirement, run) in seen {
        let verb = if requirement.severity() == Severity::Must { "violated" } else { "not followed (SHOULD)" };
        let _ = writeln!(text, "{requirement} {verb}: {} [{}]", requirement.text(), requirement.source());
        let place = format!("{} over {}: {}", run.source.scenario, run.balancer, replay(run));
        let _ = writeln!(text, "    {}", escape::line(&place));
    }
    text + &count(runs, missing)
}

/// Returns the explanation of each sign that occurs in the table.
fn signs(runs: &[Run]) -> Vec<&'static str> {
    let mut pairs: BTreeSet<(&str, String)> = BTreeSet::new();
    for run in runs {
        pairs.insert((&run.source.scenario, run.balancer.to_string()));
    }
    let scenarios: BTreeSet<&str> = pairs.iter().map(|(scenario, _)| *scenario).collect();
    let balancers: BTreeSet<&str> = pairs.iter().map(|(_, balancer)| &**balancer).collect();
    let any = |is_so: &dyn Fn(&Run) -> bool| runs.iter().any(is_so);
    let signs = [
        (any(&|run| run.graded(Grade::NonStrict).next().is_some()), "* marks a SHOULD that is not followed"),
        (any(&|run| matches!(run.ending(), Ending::NotAsExpected(_))), "! an outcome that was not expected"),
        (any(&|run| run.error().is_some()), "? a run that was not performed to its end"),
        (pairs.len() < scenarios.len() * balancers.len(), "- that there was no run"),
    ];
    signs.into_iter().filter(|&(is_there, _)| is_there).map(|(_, meaning)| meaning).collect()
}

/// The text of a cell without a run.
const NONE: &str = "-";

/// Returns a line with the number of runs that ended as expected, followed by the number of skipped runs for each
/// reason.
pub fn count(runs: &[Run], missing: Option<&Missing>) -> String {
    let (mut as_expected, mut unexpected, mut failed) = (0, 0, 0);
    let mut skipped: IndexMap<String, usize> = IndexMap::new();
    for run in runs {
        match run.ending() {
            Ending::AsExpected => as_expected += 1,
            Ending::NotAsExpected(_) => unexpected += 1,
            Ending::Failed(_) => failed += 1,
            Ending::Skipped(reason) => *skipped.entry(reason).or_default() += 1,
        }
    }
    let plural = if runs.len() == 1 { "" } else { "s" };
    let mut text = format!("\n{} run{plural}, {as_expected} as expected, {unexpected} not as expected", runs.len());
    if failed > 0 {
        let _ = write!(text, ", {failed} not performed to the end");
    }
    if !skipped.is_empty() {
        let _ = write!(text, ", {} skipped", skipped.values().sum::<usize>());
    }
    text.push('\n');
    for (reason, times) in skipped {
        let _ = writeln!(text, "skipped {times}: {}", escape::line(&reason));
    }
    if let Some(missing) = missing {
        let _ = writeln!(text, "INCOMPLETE: {missing}; nothing is known about these runs");
    }
    text
}

/// Returns one run in full: its verdicts with their evidence, and everything that was not expected.
///
/// `replay` is the command that repeats the run. `everything` adds the whole transcript, in which the lines of the
/// evidence are marked.
pub fn details(run: &Run, replay: &str, everything: bool) -> String {
    let mut text = format!("── {} over {}\n", run.source.scenario, run.balancer);
    let ending = run.ending();
    let trace = run.trace.as_ref();
    for verdict in run.graded(Grade::Violated).chain(run.graded(Grade::NonStrict)) {
        let Some(first) = verdict.against_balancer().next() else { continue };
        let evidence = trace.map(|trace| transcript::evidence(trace, first)).unwrap_or_default();
        let _ = write!(text, "{} {}: {evidence}", verdict.requirement, verdict.grade);
        let times = verdict.against_balancer().count();
        if times > 1 {
            let _ = writeln!(text, "    ... {times} times in all, of {} that put it to the test", verdict.exercised);
        }
    }
    text.push_str(&not_counted(run, everything));
    if let Some(reason) = trace.and_then(|trace| trace.header.topology.broken.as_deref()) {
        let _ = writeln!(text, "declared broken, whatever the balancer: {}", escape::line(reason));
    }
    for line in run.printed.iter().flat_map(|printed| printed.split('\n')) {
        let _ = writeln!(text, "printed: {}", escape::line(line));
    }
    if let Some(reason) = &run.expected.reason {
        let _ = writeln!(text, "why: {reason}");
    }
    text.push_str(&failures(run, ending == Ending::AsExpected));
    match &ending {
        Ending::AsExpected => {}
        Ending::NotAsExpected(deviations) => {
            for deviation in deviations {
                let _ = writeln!(text, "NOT AS EXPECTED: {deviation}");
            }
        }
        Ending::Skipped(reason) => {
            let _ = writeln!(text, "skipped: {reason}");
        }
        Ending::Failed(diagnostic) => {
            let has_more = text.lines().count() > 1;
            let rest = if has_more { "; all of the above is about what was seen until then" } else { "" };
            let _ = writeln!(text, "not performed to the end{rest}\n{diagnostic}");
        }
    }
    if let (Some(trace), true) = (trace, everything) {
        let mut marked: Vec<usize> = run
            .verdicts
            .iter()
            .flat_map(Verdict::against_balancer)
            .flat_map(|evidence| evidence.events.iter().copied())
            .collect();
        marked.sort_unstable();
        text.push_str(&transcript::whole(trace, &marked));
        let Cost { http_requests, ticket_checks, logons, dc_tickets } = Effort::of(trace).total;
        let _ = writeln!(
            text,
            "cost: {http_requests} HTTP requests, {ticket_checks} tickets checked; of the DC, {logons} logons and \
             {dc_tickets} requests for tickets"
        );
    }
    let _ = writeln!(text, "replay: {replay}");
    escape::lines(&text).into_owned()
}

/// Returns the failures that are not the balancer's fault: each kind with its first example and the number of
/// occurrences. `everything` adds the events that prove the example.
fn not_counted(run: &Run, everything: bool) -> String {
    let mut counted: IndexMap<(Requirement, Party), (&Evidence, usize)> = IndexMap::new();
    for verdict in &run.verdicts {
        for evidence in verdict.against_others() {
            counted.entry((verdict.requirement, evidence.fault)).or_insert((evidence, 0)).1 += 1;
        }
    }
    let mut text = String::new();
    for ((requirement, fault), (first, times)) in counted {
        let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
        let shown = match &run.trace {
            Some(trace) if everything => transcript::evidence(trace, first),
            _ => format!("{}\n", first.summary),
        };
        let _ = write!(text, "not counted for {requirement}, at fault: {fault}{times}: {shown}");
    }
    text
}

/// Returns the script's own expectations that did not hold, each once with the number of occurrences. Only the first
/// one is listed if the failure was expected.
fn failures(run: &Run, expected: bool) -> String {
    let mut counted: IndexMap<String, usize> = IndexMap::new();
    for failure in &run.failures {
        *counted.entry(failure.to_string()).or_default() += 1;
    }
    let shown = if expected { 1 } else { counted.len() };
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

/// Returns whether a run has details to report besides its cell in the table.
pub fn is_notable(run: &Run) -> bool {
    let kept = run.graded(Grade::Violated).next().is_none() && run.graded(Grade::NonStrict).next().is_none();
    !kept || !run.as_expected() || !run.printed.is_empty()
}

fn cell(runs: &[&Run], is_open: bool, color: bool) -> Text {
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
    let is_skipped = |run: &&&Run| matches!(run.end, End::Skipped(_));
    let skipped = runs.iter().filter(is_skipped).count();
    let failed = runs.iter().any(|run| run.error().is_some());
    let unexpected = runs.iter().any(|run| matches!(run.ending(), Ending::NotAsExpected(_)));
    if skipped == runs.len() {
        return Text::plain("skipped");
    }
    let clean = marks.is_empty() && !failed;
    let mut text = match (clean, is_open) {
        (true, true) => OPEN.to_owned(),
        (true, false) => "ok".to_owned(),
        (false, _) => marks.join(" "),
    };
    for (mark, present) in [("!", unexpected), ("?", failed)] {
        if present {
            let space = if text.is_empty() { "" } else { " " };
            text = format!("{text}{space}{mark}");
        }
    }
    let is_violated = runs.iter().any(|run| run.graded(Grade::Violated).next().is_some());
    let shade = match (is_violated, unexpected || failed, clean) {
        (true, _, _) => Shade::Bad,
        (false, true, _) => Shade::Unexpected,
        (false, false, true) if is_open => Shade::Unknown,
        (false, false, true) => Shade::Good,
        (false, false, false) => Shade::Partly,
    };
    Text::painted(text, shade, color)
}
