//! What was found.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use stickler_hunt::folder::{Folder, Record};
use stickler_hunt::search::Found;
use stickler_hunt::shrink::SEEDS;
use stickler_model::escape;

use super::watch::Progress;
use crate::Failure;
use crate::args::Format;

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    runs: u64,
    points: usize,
    folder: String,
    findings: Vec<&'a Record>,
}

/// Shows what is in the folder of a hunt. It is a failure if there is a finding. `clean` is what may be said where there is none.
pub(super) fn show(
    out: &Path,
    folder: &Folder,
    found: &Found,
    progress: &Progress,
    format: Format,
    clean: Option<&str>,
) -> Result<(), Failure> {
    let findings: Vec<(&Record, String)> = found
        .findings
        .values()
        .filter_map(|finding| Some((folder.record(finding)?, folder.folder_of(finding).display().to_string())))
        .collect();
    let mut stdout = io::stdout().lock();
    if format == Format::Json {
        let document = Document {
            format: 1,
            runs: found.runs(),
            points: found.points(),
            folder: out.display().to_string(),
            findings: findings.iter().map(|(record, _)| *record).collect(),
        };
        writeln!(stdout, "{}", serde_json::to_string_pretty(&document).map_err(io::Error::from)?)?;
    } else {
        for (record, path) in &findings {
            write_finding(&mut stdout, record, path)?;
        }
        writeln!(stdout, "{}", summary(out, found, progress, findings.len()))?;
        if let Some(clean) = clean.filter(|_| findings.is_empty() && !progress.incomplete) {
            writeln!(stdout, "{clean}")?;
        }
    }
    match (findings.is_empty(), progress.incomplete) {
        (false, _) => Err(Failure::NotAsExpected),
        (true, true) => Err(Failure::Inconclusive(None)),
        (true, false) => Ok(()),
    }
}

fn write_finding(out: &mut impl io::Write, record: &Record, path: &str) -> io::Result<()> {
    let declared = if record.declared { ", which the shipped expectations declare" } else { "" };
    writeln!(out, "{}: {}{declared}", record.balancer, record.kind)?;
    let summary = record.short.as_ref().map_or(&record.summary, |short| &short.summary);
    writeln!(out, "  {}", escape::line(summary))?;
    match &record.short {
        Some(short) => {
            let seeds = short.seeds.map_or(String::new(), |seeds| format!(", on {seeds} of {SEEDS} seeds"));
            let s = if short.actions == 1 { "" } else { "s" };
            let again = match &short.no_script {
                None => run_command(record, path),
                Some(why) => format!("{} (no script: {why})", replay_command(path, "short")),
            };
            writeln!(out, "  {} action{s}{seeds}; {again}\n", short.actions)
        }
        None => writeln!(out, "  not shrunk; {}\n", replay_command(path, "found")),
    }
}

/// The command that runs the script of a finding.
fn run_command(record: &Record, path: &str) -> String {
    let seed = record.short.as_ref().map_or(0, |short| short.seed);
    format!("stickler run {path}/finding.star --balancer {} --seed {seed}", record.balancer)
}

/// The command that performs a plan again.
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
        (true, false) => "; ended before its time, and the same command goes on",
        (true, true) => "; runs are missing",
    };
    let s = if findings == 1 { "" } else { "s" };
    format!(
        "{findings} finding{s} in {runs} runs{before}{speed}, {points} points of coverage; kept in {}{ended}",
        out.display()
    )
}
