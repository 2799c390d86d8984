//! `run --bless --reason TEXT`: writes the outcomes of a user's scripts as their expectations into the `expected.toml`
//! beside each script.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use stickler_model::escape;
use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Deviation, Ending, Run, text_file};

use crate::Failure;

/// The name of the file of expected outcomes.
const EXPECTED: &str = "expected.toml";

/// The maximum size of such a file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The row of a table for one scenario over one balancer.
#[derive(Debug, Default)]
struct Row {
    /// The grades that each requirement got.
    grades: BTreeMap<Requirement, Vec<Grade>>,
    /// The requirements with a grade that was not expected.
    surprising: BTreeSet<Requirement>,
    /// The number of seeds with which the script failed, followed by the number of all seeds.
    failed: usize,
    runs: usize,
}

/// Writes the outcome of each run that was not as expected into the table beside its script. If one of them cannot be
/// written, no file is changed.
///
/// # Errors
/// A scenario is a shipped one or could not be performed, the balancer has no name that a table can have, the table has
/// a row for it already, or a violated requirement of the family ID is not allowed.
pub(crate) fn bless(runs: &[Run], reason: &str, allow_identity: bool) -> Result<(), Failure> {
    let mut files: BTreeMap<PathBuf, BTreeMap<(String, String), Row>> = BTreeMap::new();
    let surprising = |run: &Run| matches!(run.ending(), Ending::NotAsExpected(_));
    let pairs: Vec<(&str, String)> =
        runs.iter().filter(|run| surprising(run)).map(|run| (&*run.source.path, run.balancer.to_string())).collect();
    for run in runs.iter().filter(|run| pairs.contains(&(&*run.source.path, run.balancer.to_string()))) {
        check(run, allow_identity)?;
        let rows = files.entry(Path::new(&run.source.path).with_file_name(EXPECTED)).or_default();
        rows.entry((run.source.scenario.clone(), run.balancer.to_string())).or_default().add(run);
    }
    let mut texts = Vec::new();
    for (file, rows) in &files {
        texts.push((file, addition(file, rows, reason)?));
    }
    for (file, text) in texts {
        let written =
            OpenOptions::new().create(true).append(true).open(file).and_then(|mut out| out.write_all(text.as_bytes()));
        written.map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", file.display())))?;
        let (rows, shown) = (files[file].len(), file.display().to_string());
        let s = if rows == 1 { "" } else { "s" };
        let _ = writeln!(io::stderr(), "stickler: {}: {rows} row{s} added", escape::line(&shown));
    }
    Ok(())
}

/// Checks that the outcome of a run may be written.
///
/// # Errors
/// The outcome may not be written. The message gives the reason.
fn check(run: &Run, allow_identity: bool) -> Result<(), Failure> {
    let (scenario, balancer) = (&run.source.scenario, run.balancer.to_string());
    let wrong = |why: String| Err(Failure::Wrong(format!("{scenario} over {balancer} is not blessed: {why}")));
    if !Path::new(&run.source.path).is_file() {
        return wrong("its expectations are shipped with Stickler (--expectations FILE accepts a violation)".into());
    }
    if !stickler_catalogue::names().contains(&&*balancer) {
        return wrong("a table can contain only mechanisms and shipped profiles".into());
    }
    if let Some(diagnostic) = run.error() {
        return wrong(format!("it was not performed to its end: {}", diagnostic.message));
    }
    let leak = run.graded(Grade::Violated).find(|verdict| verdict.requirement.id().starts_with("ID-"));
    match leak {
        Some(verdict) if !allow_identity => wrong(format!(
            "{} is violated, which means that users are mixed up; --allow-identity accepts even that",
            verdict.requirement
        )),
        _ => Ok(()),
    }
}

impl Row {
    fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.failed += usize::from(!run.failures.is_empty());
        if let Ending::NotAsExpected(deviations) = run.ending() {
            self.surprising.extend(deviations.iter().filter_map(|deviation| match deviation {
                Deviation::Grade { requirement, .. } => Some(*requirement),
                Deviation::Script { .. } => None,
            }));
        }
        for requirement in Requirement::all() {
            let grades = self.grades.entry(requirement).or_default();
            let grade = run.grade(requirement);
            if !grades.contains(&grade) {
                grades.push(grade);
            }
        }
    }

    /// Returns the row as the text of a table.
    fn text(&self, scenario: &str, balancer: &str, reason: &str) -> String {
        let value = |text: &str| toml::Value::from(text).to_string();
        let is_bare =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let key = |text: &str| if is_bare(text) { text.to_owned() } else { value(text) };
        let mut text = format!("[{}.{}]\nreason = {}\n", key(scenario), key(balancer), value(reason));
        match (self.failed, self.runs) {
            (0, _) => {}
            (failed, runs) if failed == runs => text.push_str("script = \"fails\"\n"),
            _ => text.push_str("script = \"either\"\n"),
        }
        for (requirement, grades) in &self.grades {
            let is_trouble = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
            if self.surprising.contains(requirement) || grades.iter().any(is_trouble) {
                let words: Vec<String> =
                    grades.iter().map(|grade| format!("\"{}\"", grade.to_string().replace(' ', "-"))).collect();
                let _ = match &words[..] {
                    [word] => writeln!(text, "{requirement} = {word}"),
                    words => writeln!(text, "{requirement} = [{}]", words.join(", ")),
                };
            }
        }
        text
    }
}

/// Returns the text that is added to a table.
fn addition(file: &Path, rows: &BTreeMap<(String, String), Row>, reason: &str) -> Result<String, Failure> {
    let shown = file.display();
    let wrong = |why: String| Failure::Wrong(format!("{shown}: {why}"));
    let known = match text_file::read(file, MAX_FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let table: toml::Table = toml::from_str(&known).map_err(|error| wrong(error.to_string()))?;
    let mut text = if known.is_empty() || known.ends_with('\n') { String::new() } else { "\n".to_owned() };
    for ((scenario, balancer), row) in rows {
        let own = table.get(scenario).and_then(toml::Value::as_table);
        let names = |key: &String| key.split(',').any(|name| name.trim() == balancer);
        if own.is_some_and(|own| own.keys().any(names)) {
            return Err(wrong(format!("it already has a row for {scenario} over {balancer}: change that row by hand")));
        }
        if !known.is_empty() || !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&row.text(scenario, balancer, reason));
    }
    Ok(text)
}
