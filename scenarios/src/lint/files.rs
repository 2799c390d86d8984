//! Selects the files that a lint checks: scripts with all files that they load, and the tables beside them.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use starlark::syntax::AstModule;
use stickler_runner::Diagnostic;

use super::finding::{Finding, Report};
use super::rules::{self, Rule};
use super::{lint_script, syntax};
use crate::expected::{FileError, Source};
use crate::script::files::{key, read_file};
use crate::suite::{self, SuiteError};
use crate::{Scenario, group::Group};

pub(super) fn lint(paths: &[String], balancers: &[&str]) -> Result<Report, SuiteError> {
    let mut report = Report::default();
    let mut scripts: VecDeque<PathBuf> = VecDeque::new();
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for given in paths {
        let path = Path::new(given);
        if path.is_dir() {
            let before = scripts.len();
            for folder in suite::folders(path, true)? {
                scripts.extend(suite::all_scripts_in(&folder)?);
                folders.insert(folder);
            }
            if scripts.len() == before {
                return Err(suite::nothing_matched(given));
            }
        } else if path.symlink_metadata().is_ok() {
            scripts.push_back(path.to_owned());
            folders.insert(path.parent().unwrap_or(Path::new("")).to_owned());
        } else {
            return Err(suite::nothing_matched(given));
        }
    }
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(path) = scripts.pop_front() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let scenario = Scenario::load(&path)?;
        report.read(scenario.path(), scenario.source());
        report.findings.extend(lint_script(&scenario));
        scripts.extend(loaded_by(&scenario));
    }
    for folder in folders {
        beside(&folder, balancers, &mut report)?;
    }
    report.sort();
    Ok(report)
}

/// Returns the files that a script loads, as far as they can be read.
fn loaded_by(scenario: &Scenario) -> Vec<PathBuf> {
    let Some(folder) = scenario.folder() else { return Vec::new() };
    let parsed = syntax::parse(scenario.path(), scenario.source());
    let loads = parsed.module.iter().flat_map(AstModule::loads);
    loads.filter_map(|load| Some(read_file(folder, &key("", load.module_id).ok()?).ok()?.path)).collect()
}

/// Checks the tables of a folder.
fn beside(folder: &Path, balancers: &[&str], report: &mut Report) -> Result<(), SuiteError> {
    if let Some((text, origin)) = suite::beside(folder, suite::GROUP)? {
        report.read(&origin, &text);
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let wrong = Group::parse(&name, Source { text: &text, origin: &origin }).err();
        report.findings.extend(wrong.map(|error| of_table(&rules::GROUP, &text, error)));
    }
    if let Some((text, origin)) = suite::beside(folder, suite::EXPECTED)? {
        report.read(&origin, &text);
        let wrong = suite::mistakes_of_table(folder, Source { text: &text, origin: &origin }, balancers)?;
        report.findings.extend(wrong.into_iter().map(|error| of_table(&rules::EXPECTED, &text, error)));
    }
    Ok(())
}

fn of_table(rule: &Rule, text: &str, error: FileError) -> Finding {
    let FileError(diagnostic) = error;
    let Diagnostic { file, line, column, width, message, .. } = *diagnostic;
    let begin = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = text.get(begin..).unwrap_or_default();
    let place = |count: usize| begin + rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
    let (start, end) = (place(column - 1), place(column - 1 + width));
    let (message, hint) = match message.split_once("; did you mean") {
        Some((message, hint)) => (message.to_owned(), Some(format!("did you mean{hint}"))),
        None => (message, None),
    };
    Finding::new(rule, &file, text, start..end, message).with_hint(hint)
}
