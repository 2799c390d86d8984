//! Shrinks the plans of run files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use stickler_hunt::judge;
use stickler_hunt::search::{Finding, Place};
use stickler_hunt::shrink::SEEDS;
use stickler_model::escape;
use stickler_runner::file::Reader;
use stickler_runner::{Arm, End, folder};
use stickler_scenarios::Shortened;

use crate::Failure;

/// Shrinks the plan of each file once for each kind of failure that it shows, and writes the shrunk plans into a
/// folder. `arm` returns the arm on which to play, given the name of the recorded one.
///
/// # Errors
/// A file is wrong, a plan shows a failure, or every plan was skipped. That no plan shows a failure is a result, and no
/// error: each plan was performed and judged.
pub(crate) fn shrink_files<'a>(
    files: &[PathBuf],
    arm: &dyn Fn(&str) -> Option<&'a dyn Arm>,
    out: &Path,
) -> Result<(), Failure> {
    let (mut any, mut clean) = (false, false);
    for path in files {
        let shown = path.display().to_string();
        let failed = |message: String| Failure::Wrong(format!("{shown}: {message}"));
        let wrong = |error: stickler_runner::file::FileError| Failure::Wrong(error.to_string());
        let reader = Reader::open(path).map_err(wrong)?;
        let recorded = reader.arm.clone();
        let plan = reader.into_plan().map_err(wrong)?;
        let arm = arm(&recorded)
            .ok_or_else(|| failed(format!("there is no arm `{recorded}` here: choose one with --arm")))?;
        let judged = judge::judge(&plan, arm);
        if judged.shown.is_empty() {
            clean |= tell_of_none(&shown, judged.run.as_ref().map(|run| &run.end))?;
        }
        for (kind, summary) in judged.shown {
            any = true;
            let place = Place { unit: 0, run: 0 };
            let finding = Finding { kind, declared: false, summary, place, plan: plan.clone() };
            match Shortened::of(&finding, arm) {
                Some(short) => keep(&finding, &short, out)?,
                None => writeln!(
                    io::stdout(),
                    "{}: {}\n  not shrunk: it does not show a second time",
                    finding.plan.balancer,
                    finding.kind
                )?,
            }
        }
    }
    match (any, clean) {
        (true, _) => Err(Failure::NotAsExpected),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::Nothing("every plan was skipped, so nothing was judged".to_owned())),
    }
}

/// Says why a plan has no failure to shrink. Returns whether it was performed.
fn tell_of_none(file: &str, end: Option<&End>) -> io::Result<bool> {
    let file = escape::line(file);
    let mut stdout = io::stdout().lock();
    if let Some(End::Skipped(why)) = end {
        writeln!(stdout, "{file}: skipped: {}", escape::line(why))?;
        return Ok(false);
    }
    writeln!(stdout, "{file}: the plan shows no failure, so there is nothing to shrink")?;
    Ok(true)
}

/// Writes the shrunk plan of a finding and its script, and prints their paths.
fn keep(finding: &Finding, shortened: &Shortened, out: &Path) -> Result<(), Failure> {
    let name = free_name(out, &finding.kind.file_name());
    let Shortened { short, run, script } = shortened;
    write_new(&out.join(format!("{name}.jsonl")), run)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}: {}", finding.plan.balancer, finding.kind)?;
    writeln!(stdout, "  {}", escape::line(&short.summary))?;
    let s = if short.actions == 1 { "" } else { "s" };
    let seeds = short.seeds.map_or(String::new(), |seeds| format!(", on {seeds} of {SEEDS} seeds"));
    writeln!(stdout, "  {} action{s}{seeds}", short.actions)?;
    writeln!(stdout, "  {}", out.join(format!("{name}.jsonl")).display())?;
    match script {
        Ok(script) => {
            let path = out.join(format!("{name}.star"));
            write_new(&path, script.as_bytes())?;
            writeln!(stdout, "  {}", path.display())?;
        }
        Err(why) => writeln!(stdout, "  no script: {why}")?,
    }
    Ok(())
}

/// Returns a name that no file of the folder has yet: that of the kind, followed by a number if necessary.
fn free_name(out: &Path, kind: &str) -> String {
    let is_free =
        |name: &String| !out.join(format!("{name}.jsonl")).exists() && !out.join(format!("{name}.star")).exists();
    let numbered = (2..).map(|number: u32| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// Writes a new file. It is an error if the file exists.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        folder::create_for(path)?;
        File::create_new(path)?.write_all(bytes).inspect_err(|_| {
            // A part of a file is of no use.
            let _ = fs::remove_file(path);
        })
    };
    write().map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", path.display())))
}
