//! Renders cases in the Test Anything Protocol (<https://testanything.org/tap-version-14-specification.html>).
//!
//! Each case is a test point, `ok 1 - BALANCER: SCENARIO`. A test point that is not ok has a block of YAML with the
//! message, the place, the time and the evidence. `severity` distinguishes a violation by a balancer (`fail`) from a
//! mistake of a script (`error`). A document declares version 13, which it also conforms to, because Perl's `prove`
//! 3.44 refuses version 14.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use stickler_model::escape;

use crate::test_case::{Problem, TestCase, TestResult};

/// Returns the document of these cases. `missing` is the reason why the command stopped before its end, if it did; a
/// harness then counts the whole document as failed.
pub fn document(cases: &[TestCase], missing: Option<&str>) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", cases.len());
    if cases.is_empty() {
        "TAP version 13\n1..0 # SKIP nothing was run\n".clone_into(&mut text);
    }
    for (index, case) in cases.iter().enumerate() {
        point(&mut text, index + 1, case);
    }
    if let Some(missing) = missing {
        let _ = writeln!(text, "Bail out! {}", escape::line(missing));
    }
    text
}

fn point(text: &mut String, number: usize, case: &TestCase) {
    let verdict = if case.problem().is_some() { "not ok" } else { "ok" };
    let _ = write!(text, "{verdict} {number} - {}: {}", description(&case.suite), description(&case.name));
    if let TestResult::Skipped(reason) = &case.result {
        let _ = write!(text, " # SKIP {}", escape::line(reason));
    }
    text.push('\n');
    let severity = match &case.result {
        TestResult::Failed(_) => Some("fail"),
        TestResult::Error(_) => Some("error"),
        TestResult::Passed | TestResult::Skipped(_) => None,
    };
    block(text, case, severity);
}

/// Adds the YAML block below a test point, if there are details to report.
fn block(text: &mut String, case: &TestCase, severity: Option<&str>) {
    if severity.is_none() && case.took.is_none() {
        return;
    }
    text.push_str("  ---\n");
    if let (Some(severity), Some(Problem { summary, details })) = (severity, case.problem()) {
        let _ = writeln!(text, "  message: {}", scalar(&escape::line(summary)));
        let _ = writeln!(text, "  severity: {severity}");
        if let Some(place) = &case.place {
            let _ = writeln!(text, "  at:\n    file: {}", scalar(&escape::line(&place.file)));
            for (key, number) in [("line", place.line), ("column", place.column)] {
                if let Some(number) = number {
                    let _ = writeln!(text, "    {key}: {number}");
                }
            }
        }
        let _ = writeln!(text, "  details: {}", scalar(&escape::lines(details)));
    }
    if let Some(took) = case.took.as_ref().map(Duration::as_secs_f64) {
        let _ = writeln!(text, "  duration_ms: {:.3}", took * 1000.0);
    }
    text.push_str("  ...\n");
}

/// Returns a text as a part of a description, in which `#` begins a directive.
fn description(text: &str) -> String {
    escape::line(text).replace('\\', "\\\\").replace('#', "\\#")
}

/// Returns a text without control characters as a YAML scalar. A JSON string is also a YAML scalar here, because only
/// the line feed, the quote and the backslash need an escape, and both formats escape them in the same way.
fn scalar(text: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
