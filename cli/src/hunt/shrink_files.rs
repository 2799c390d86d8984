//! Shrinks what run files show.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use stickler_hunt::judge;
use stickler_hunt::search::{Finding, Place};
use stickler_hunt::shrink::SEEDS;
use stickler_model::escape;
use stickler_runner::Arm;
use stickler_runner::file::Reader;
use stickler_scenarios::Shortened;

use crate::Failure;

/// Shrinks each kind of failure that the plan of each file shows, on the arm that `arm` finds for the one that is recorded, and
/// writes what is left into a folder.
pub(crate) fn shrink_files<'a>(
    files: &[PathBuf],
    arm: &dyn Fn(&str) -> Option<&'a dyn Arm>,
    out: &Path,
) -> Result<(), Failure> {
    let mut any = false;
    for path in files {
        let shown = path.display().to_string();
        let failed = |message: String| Failure::Wrong(format!("{shown}: {message}"));
        let wrong = |error: stickler_runner::file::FileError| Failure::Wrong(error.to_string());
        let reader = Reader::open(path).map_err(wrong)?;
        let recorded = reader.arm.clone();
        let plan = reader.into_plan().map_err(wrong)?;
        let arm = arm(&recorded)
            .ok_or_else(|| failed(format!("there is no arm `{recorded}` here: choose one with --arm")))?;
        for (kind, summary) in judge::judge(&plan, arm).shown {
            let place = Place { unit: 0, run: 0 };
            let finding = Finding { kind, declared: false, summary, place, plan: plan.clone() };
            if let Some(short) = Shortened::of(&finding, arm) {
                any = true;
                keep(&finding, &short, out)?;
            }
        }
    }
    if any { Err(Failure::NotAsExpected) } else { Err(Failure::Nothing("no plan shows a failure".to_owned())) }
}

/// Writes what is left of a finding, and says where.
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

/// A name that no file of the folder has yet: the kind's, or with a number behind it.
fn free_name(out: &Path, kind: &str) -> String {
    let is_free =
        |name: &String| !out.join(format!("{name}.jsonl")).exists() && !out.join(format!("{name}.star")).exists();
    let numbered = (2..).map(|number: u32| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create_new(path)?.write_all(bytes)
    };
    write().map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", path.display())))
}
