//! Converts runs to the cases of a test report: cases in suites that passed, failed, were skipped or could not be
//! performed.
//!
//! [`junit`](crate::junit), [`tap`](crate::tap) and [`github`](crate::github) write the cases in their formats. A case
//! contains text unescaped, and each format escapes it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stickler_runner::{Diagnostic, Ending, Run};

use crate::pretty;

/// One case of a test report.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// The suite of the case, which is the balancer's name.
    pub suite: String,
    /// The name of the case in its suite: the scenario's name, with the seed if there are several seeds.
    pub name: String,
    /// The result of the test case.
    pub result: TestResult,
    /// The place in a file that the case is about; `None` if there is no such file, as for a shipped scenario.
    pub place: Option<Place>,
    /// The wall-clock time that the case took; `None` if nobody measured it.
    pub took: Option<Duration>,
}

/// The result of a test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestResult {
    /// A case that ended as expected.
    Passed,
    /// A case that was not performed, with the reason.
    Skipped(String),
    /// A case that did not end as expected.
    Failed(Problem),
    /// A case that could not be performed to its end, because the script, a file or the arguments are wrong.
    Error(Problem),
}

/// A problem of a test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The summary of the problem, in one line.
    pub summary: String,
    /// The evidence and the command that shows it again, in several lines. Each line is escaped already.
    pub details: String,
}

/// A place in a file. Columns are counted in characters (Unicode code points).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The path of the file as the user gave it.
    pub file: String,
    /// The number of the line in which the place begins, counted from 1; missing if the place is the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column of the first character, counted from 1; missing if the place is the whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The number of the line in which the place ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<usize>,
    /// The column after the last character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<usize>,
}

impl Place {
    /// Returns the place that is a whole file.
    pub const fn of_file(file: String) -> Self {
        Self { file, line: None, column: None, end_line: None, end_column: None }
    }

    /// Returns the place from a line and a column up to the column before the one at which it ends.
    pub const fn of_range(file: String, start: (usize, usize), end: (usize, usize)) -> Self {
        let ((line, column), (end_line, end_column)) = (start, end);
        let (line, column) = (Some(line), Some(column));
        Self { file, line, column, end_line: Some(end_line), end_column: Some(end_column) }
    }
}

impl From<&Diagnostic> for Place {
    fn from(diagnostic: &Diagnostic) -> Self {
        let &Diagnostic { line, column, width, .. } = diagnostic;
        Self::of_range(diagnostic.file.clone(), (line, column), (line, column + width))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.line, self.column].into_iter().flatten().map(|number| format!(":{number}"));
        f.pad(&numbers.fold(self.file.clone(), |text, number| text + &number))
    }
}

impl TestCase {
    /// Returns the case of a run. `replay` is the command that repeats the run. `with_seed` adds the seed to the name,
    /// for a scenario that runs over the same balancer with several seeds.
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

    /// Returns the case of an error that occurred before anything could run.
    pub fn of_error(suite: &str, message: &str, place: Option<Place>) -> Self {
        let name = place.as_ref().map_or_else(|| suite.to_owned(), |place| place.file.clone());
        let (summary, details) = message.split_once('\n').unwrap_or((message, ""));
        let problem = Problem { summary: summary.to_owned(), details: details.to_owned() };
        Self { suite: suite.to_owned(), name, result: TestResult::Error(problem), place, took: None }
    }

    /// Returns the problem of the case, if there is one.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.result {
            TestResult::Failed(problem) | TestResult::Error(problem) => Some(problem),
            TestResult::Passed | TestResult::Skipped(_) => None,
        }
    }
}

/// Returns the place of the first mistake or failure in the script of a run, or else the whole script. Returns `None`
/// for a shipped scenario, which is not a file.
fn place(run: &Run) -> Option<Place> {
    let source = &run.source;
    let is_shipped = source.path == source.scenario;
    let first = run.error().or_else(|| run.failures.first());
    match first {
        _ if is_shipped => None,
        Some(diagnostic) => Some(diagnostic.into()),
        None => Some(Place::of_file(source.path.clone())),
    }
}
