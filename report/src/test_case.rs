//! Runs as test runners know them: cases of suites that passed, failed, were skipped or could not be performed.
//!
//! [`junit`](crate::junit), [`tap`](crate::tap) and [`github`](crate::github) write them in their formats. Texts are kept as they
//! came, and each format makes them fit to be shown.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stickler_runner::{Diagnostic, Ending, Run};

use crate::pretty;

/// One case of a test report.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// The suite that it belongs to, which is the balancer's name.
    pub suite: String,
    /// What it is called in its suite: the scenario's name, with the seed where there are several.
    pub name: String,
    /// What came of it.
    pub result: TestResult,
    /// The place in a file that it is about; `None` where there is no such file, as for a shipped scenario.
    pub place: Option<Place>,
    /// How long it took on the clock of whoever waited; `None` where nobody measured it.
    pub took: Option<Duration>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestResult {
    /// It ended as expected.
    Passed,
    /// It was not performed; this is why.
    Skipped(String),
    /// It did not end as expected.
    Failed(Problem),
    /// It could not be performed to its end: the script, a file or the arguments are wrong.
    Error(Problem),
}

/// What is wrong with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One line.
    pub summary: String,
    /// Several lines: the evidence, and the command that shows it again. Each line was made fit to be shown.
    pub details: String,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file's path as it was given.
    pub file: String,
    /// The line, from 1; missing for the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl From<&Diagnostic> for Place {
    fn from(diagnostic: &Diagnostic) -> Self {
        let Diagnostic { file, line, column, .. } = diagnostic;
        Self { file: file.clone(), line: Some(*line), column: Some(*column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.line, self.column].into_iter().flatten().map(|number| format!(":{number}"));
        f.pad(&numbers.fold(self.file.clone(), |text, number| text + &number))
    }
}

impl TestCase {
    /// Returns the case of a run. `replay` is the command that makes it again; `with_seed` adds the seed to its name, where the same
    /// scenario is run over the same balancer with others too.
    pub fn of(run: &Run, replay: &str, took: Option<Duration>, with_seed: bool) -> Self {
        let problem = |summary: String| Problem { summary, details: pretty::details(run, replay, false) };
        let result = match run.ending() {
            Ending::AsExpected => TestResult::Passed,
            Ending::Skipped(reason) => TestResult::Skipped(reason),
            Ending::NotAsExpected(deviations) => {
                let deviations: Vec<String> = deviations.iter().map(ToString::to_string).collect();
                TestResult::Failed(problem(deviations.join("; ")))
            }
            Ending::Failed(diagnostic) => {
                let Diagnostic { file, line, column, message, .. } = &diagnostic;
                TestResult::Error(problem(format!("{file}:{line}:{column}: {message}")))
            }
        };
        let scenario = &run.source.scenario;
        let name = if with_seed { format!("{scenario} (seed {})", run.seed) } else { scenario.clone() };
        Self { suite: run.balancer.to_string(), name, result, place: place(run), took }
    }

    /// Returns the case of what was wrong before anything could be run.
    pub fn of_error(suite: &str, message: &str, place: Option<Place>) -> Self {
        let name = place.as_ref().map_or_else(|| suite.to_owned(), |place| place.file.clone());
        let (summary, details) = message.split_once('\n').unwrap_or((message, ""));
        let problem = Problem { summary: summary.to_owned(), details: details.to_owned() };
        Self { suite: suite.to_owned(), name, result: TestResult::Error(problem), place, took: None }
    }

    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.result {
            TestResult::Failed(problem) | TestResult::Error(problem) => Some(problem),
            TestResult::Passed | TestResult::Skipped(_) => None,
        }
    }
}

/// The place of what went wrong in the script of a run, or the whole script; `None` for a shipped scenario, which is no file.
fn place(run: &Run) -> Option<Place> {
    let source = &run.source;
    let is_shipped = source.path == source.scenario;
    let first = run.error().or_else(|| run.failures.first());
    match first {
        _ if is_shipped => None,
        Some(diagnostic) => Some(diagnostic.into()),
        None => Some(Place { file: source.path.clone(), line: None, column: None }),
    }
}
