//! The JSON document of `stickler script lint`.

use serde::Serialize;
use stickler_scenarios::lint::{Finding, Report, Severity};

/// The JSON document of `stickler script lint`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Linted<'a> {
    /// The number of files that were read.
    files: usize,
    /// The findings, sorted by file and place.
    findings: Vec<Mistake<'a>>,
}

/// One mistake in a file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Mistake<'a> {
    /// The name of the rule.
    code: &'a str,
    /// The severity: `error` or `warning`.
    severity: &'a str,
    /// The file's path as it was given.
    file: &'a str,
    /// The line of the first character, counted from 1.
    line: usize,
    /// The column of the first character, counted from 1.
    column: usize,
    /// The line of the end.
    end_line: usize,
    /// The column behind the last character.
    end_column: usize,
    /// The description of the mistake.
    message: &'a str,
    /// The nearest known name, or the list of known names; missing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Linted<'a> {
    /// Returns the document about a report.
    pub(super) fn of(report: &'a Report) -> Self {
        Self { files: report.files(), findings: report.findings.iter().map(Mistake::of).collect() }
    }
}

impl<'a> Mistake<'a> {
    fn of(finding: &'a Finding) -> Self {
        let Finding { code, severity, file, span, message, hint } = finding;
        Self {
            code,
            severity: if *severity == Severity::Error { "error" } else { "warning" },
            file,
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            end_column: span.end_column,
            message,
            hint: hint.as_deref(),
        }
    }
}
