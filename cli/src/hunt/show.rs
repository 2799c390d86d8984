//! The findings of a hunt as text, JSON and cases.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use stickler_hunt::folder::{Folder, Record};
use stickler_hunt::search::Found;
use stickler_hunt::shrink::SEEDS;
use stickler_model::{BalancerSpec, escape};
use stickler_report::test_case::{Problem, TestCase, TestResult};

use super::page;
use super::watch::Progress;
use crate::Failure;
use crate::output::Reports;

/// The JSON document of a hunt.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Hunted<'a> {
    /// The number of runs, including those of earlier commands in the same folder.
    runs: u64,
    /// The number of points of coverage.
    points: usize,
    /// The path of the folder in which all results are stored.
    folder: String,
    /// The findings, each as in its `finding.json`.
    #[cfg_attr(test, schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>"))]
    findings: Vec<&'a Record>,
}

/// The folder of a hunt, and its contents.
pub(super) struct Shown<'a> {
    pub(super) out: &'a Path,
    pub(super) folder: &'a Folder,
    pub(super) found: &'a Found,
    pub(super) progress: &'a Progress,
    /// The balancers of the hunt.
    pub(super) balancers: &'a [BalancerSpec],
    /// The statement that the hunt allows if it has no findings.
    pub(super) clean: Option<&'a str>,
}

impl Shown<'_> {
    /// Shows the findings, and writes the reports.
    ///
    /// # Errors
    /// The hunt has findings, or has none but did not come to its end, or the output cannot be written.
    pub(super) fn show(&self, mut reports: Reports) -> Result<(), Failure> {
        let Self { out, folder, found, progress, clean, .. } = *self;
        let findings: Vec<(&Record, String)> = found
            .findings
            .values()
            .filter_map(|finding| Some((folder.record(finding)?, folder.folder_of(finding).display().to_string())))
            .collect();
        self.cases(&findings).into_iter().for_each(|case| reports.add_case(case));
        if !reports.takes_stdout() {
            let mut stdout = io::stdout().lock();
            for (record, path) in &findings {
                stdout.write_all(finding(record, path).as_bytes())?;
            }
            writeln!(stdout, "{}", summary(out, found, progress, findings.len()))?;
            if let Some(clean) = clean.filter(|_| findings.is_empty() && !progress.incomplete) {
                writeln!(stdout, "{clean}")?;
            }
        }
        reports.write_pages(|| page::page(self, &findings, summary(out, found, progress, findings.len())))?;
        let says = Hunted {
            runs: found.runs(),
            points: found.points(),
            folder: out.display().to_string(),
            findings: findings.iter().map(|(record, _)| *record).collect(),
        };
        reports.finish(progress.incomplete.then_some(MISSING), &says)?;
        match (findings.is_empty(), progress.incomplete) {
            (false, _) => Err(Failure::NotAsExpected),
            (true, true) => Err(Failure::Inconclusive(None)),
            (true, false) => Ok(()),
        }
    }

    /// Returns each finding as a case that failed, and each balancer without one as a case that passed, or that was
    /// skipped if the hunt was not completed.
    fn cases(&self, findings: &[(&Record, String)]) -> Vec<TestCase> {
        let case = |suite: String, name: String, result| TestCase { suite, name, result, place: None, took: None };
        let failed = findings.iter().map(|(record, path)| {
            let summary = record.short.as_ref().map_or(&record.summary, |short| &short.summary);
            let problem = Problem { summary: summary.clone(), details: finding(record, path) };
            case(record.balancer.clone(), record.kind.to_string(), TestResult::Failed(problem))
        });
        let nothing = || {
            if self.progress.incomplete { TestResult::Skipped(MISSING.to_owned()) } else { TestResult::Passed }
        };
        let has_finding = |name: &String| findings.iter().any(|(record, _)| record.balancer == *name);
        let names = self.balancers.iter().map(ToString::to_string).filter(|name| !has_finding(name));
        failed.chain(names.map(|name| case(name, "nothing found".to_owned(), nothing()))).collect()
    }
}

/// The message of a hunt that did not come to its end.
const MISSING: &str = "the hunt is not complete";

/// Returns a finding in words, with the command that shows it again.
fn finding(record: &Record, path: &str) -> String {
    let declared = if record.declared { ", which the shipped expectations declare" } else { "" };
    let summary = record.short.as_ref().map_or(&record.summary, |short| &short.summary);
    let head = format!("{}: {}{declared}\n  {}", record.balancer, record.kind, escape::line(summary));
    let Some(short) = &record.short else {
        return format!("{head}\n  not shrunk; {}\n\n", again(record, path));
    };
    let seeds = short.seeds.map_or(String::new(), |seeds| format!(", on {seeds} of {SEEDS} seeds"));
    let s = if short.actions == 1 { "" } else { "s" };
    let why = short.no_script.as_ref().map_or(String::new(), |why| format!(" (no script: {why})"));
    format!("{head}\n  {} action{s}{seeds}; {}{why}\n\n", short.actions, again(record, path))
}

/// Returns the command that shows a finding again.
pub(super) fn again(record: &Record, path: &str) -> String {
    match &record.short {
        Some(short) if short.no_script.is_none() => run_command(record, path),
        Some(_) => replay_command(path, "short"),
        None => replay_command(path, "found"),
    }
}

/// Returns the command that runs the script of a finding.
fn run_command(record: &Record, path: &str) -> String {
    let seed = record.short.as_ref().map_or(0, |short| short.seed);
    format!("stickler run {path}/finding.star --balancer {} --seed {seed}", record.balancer)
}

/// Returns the command that performs a plan again.
fn replay_command(path: &str, name: &str) -> String {
    format!("stickler replay {path}/{name}.jsonl --transcript")
}

fn summary(out: &Path, found: &Found, progress: &Progress, findings: usize) -> String {
    let (runs, points, all) = (progress.runs, found.points(), found.runs());
    let seconds = progress.time.as_secs_f64();
    let speed = if progress.time.is_zero() {
        String::new()
    } else {
        format!(" ({seconds:.1} s, {:.0} a second)", runs as f64 / seconds)
    };
    let before = if all > runs { format!(", {all} with those before") } else { String::new() };
    let ended = match (progress.incomplete, progress.time.is_zero()) {
        (false, _) => "",
        (true, false) => "; ended early, and the same command continues",
        (true, true) => "; runs are missing",
    };
    let s = if findings == 1 { "" } else { "s" };
    format!(
        "{findings} finding{s} in {runs} runs{before}{speed}, {points} points of coverage; kept in {}{ended}",
        out.display()
    )
}
