//! Renders cases as workflow commands of GitHub Actions, which become annotations of a commit: `::error
//! file=,line=,endLine=,col=,endColumn=,title=::MESSAGE`
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).
//!
//! A failed case is an `error`, and all cases that were skipped for the same reason are one `notice`. Cases that passed
//! have no line. The characters are escaped as in `packages/core/src/command.ts` of
//! <https://github.com/actions/toolkit>.

use std::fmt::Write as _;

use indexmap::IndexMap;
use stickler_model::escape;

use crate::test_case::{Place, TestCase, TestResult};

/// Returns the commands for these cases, with one command on each line.
pub fn document(cases: &[TestCase]) -> String {
    let mut text = String::new();
    let mut skipped: IndexMap<&str, usize> = IndexMap::new();
    for case in cases {
        if let Some(problem) = case.problem() {
            let title = format!("{} over {}", case.name, case.suite);
            let message = format!("{}\n{}", escape::line(&problem.summary), escape::lines(&problem.details));
            command(&mut text, "error", case.place.as_ref(), &title, &message);
        } else if let TestResult::Skipped(reason) = &case.result {
            *skipped.entry(reason).or_default() += 1;
        }
    }
    for (reason, times) in skipped {
        let cases = if times == 1 { "case was" } else { "cases were" };
        command(&mut text, "notice", None, &format!("{times} {cases} skipped"), &escape::line(reason));
    }
    text
}

/// Adds one command.
fn command(text: &mut String, name: &str, place: Option<&Place>, title: &str, message: &str) {
    let _ = write!(text, "::{name} ");
    if let Some(Place { file, line, column, end_line, end_column }) = place {
        let _ = write!(text, "file={},", property(file));
        // Annotations of several lines have no columns.
        let is_one_line = end_line.is_none() || line == end_line;
        for (key, number, is_column) in [
            ("line", line, false),
            ("endLine", end_line, false),
            ("col", column, true),
            ("endColumn", end_column, true),
        ] {
            if let Some(number) = number.filter(|_| is_one_line || !is_column) {
                let _ = write!(text, "{key}={number},");
            }
        }
    }
    let _ = writeln!(text, "title={}::{}", property(title), data(message.trim_end()));
}

/// Returns a message as the data of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns a text as the value of a property.
fn property(text: &str) -> String {
    data(&escape::line(text)).replace(':', "%3A").replace(',', "%2C")
}
