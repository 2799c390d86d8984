//! Finds the mistakes of scripts without running them: all at once, each with its place and, where possible, with a
//! hint.
//!
//! * `rules`: the list of rules. `finding`: the findings, as data and as text.
//! * `syntax`: parses a text with mistakes. `loads`, `names`, `calls`, `values`, `flow`: the checks.
//! * `types`: the types of names, as far as they follow from a text.
//! * `files`: the selection of the files to check.
//!
//! A finding is a mistake in every run. If something depends on an answer, or on the declarations of the balancer, the
//! lint reports nothing.

mod calls;
mod files;
mod finding;
mod flow;
mod loads;
mod names;
mod rules;
mod sink;
mod syntax;
mod types;
mod values;

use std::ops::Range;
use std::path::Path;

use crate::run::{LastWord, on_a_thread};
use crate::script::place;
use crate::{Scenario, SuiteError, limits};
use sink::Sink;
use types::Names;

pub(crate) use calls::no_attribute;
pub use finding::{Finding, Report, Severity, Span};
pub use rules::{RULES, Rule};

/// Checks scripts, folders with all folders below them, and the tables beside the scripts. `balancers` are the names
/// that exist, for the check of these tables.
///
/// # Errors
/// A path does not exist, or something cannot be read.
pub fn lint(paths: &[String], balancers: &[&str]) -> Result<Report, SuiteError> {
    files::lint(paths, balancers)
}

/// Checks one script, on a separate thread with the limits of scripts.
pub fn lint_script(scenario: &Scenario) -> Vec<Finding> {
    let work = |script: &Scenario, last: LastWord<_>| {
        let at = script.clone();
        let stopped = move || {
            let message = "a value of this script takes more memory than a script may hold";
            last.send(vec![given_up(&at, message)]);
        };
        limits::metered(limits::MEMORY, stopped, || {
            let found = look_at(script);
            // The memory of the result that is sent away does not count as the script's.
            limits::unmetered(|| found.clone())
        })
    };
    let wrong = |error: stickler_runner::Diagnostic| {
        let scenario = Scenario::new("", &error.file, "");
        scenario.map(|scenario| vec![given_up(&scenario, &error.message)]).unwrap_or_default()
    };
    on_a_thread(scenario, work, wrong)
}

/// Returns the first error that the lint finds at these bytes of a script, with its hint. A run reports its own errors
/// in these words, so that the lint and the run say the same.
pub(crate) fn error_at(scenario: &Scenario, bytes: &Range<usize>) -> Option<String> {
    let is_there = |finding: &Finding| {
        let (start, end) = finding.span.bytes;
        finding.severity == Severity::Error && start < bytes.end && bytes.start < end.max(start + 1)
    };
    let finding = lint_script(scenario).into_iter().find(is_there)?;
    Some(match finding.hint {
        Some(hint) => format!("{}; {hint}", finding.message),
        None => finding.message,
    })
}

fn given_up(scenario: &Scenario, message: &str) -> Finding {
    Finding::new(&rules::ARGUMENT_VALUE, scenario.path(), scenario.source(), 0..0, message.to_owned())
}

fn look_at(scenario: &Scenario) -> Vec<Finding> {
    let (path, text) = (scenario.path(), scenario.source());
    place::begin();
    let parsed = syntax::parse(path, text);
    let mut sink = Sink { path, text, module: parsed.module.as_ref(), findings: Vec::new() };
    for mistake in parsed.mistakes {
        sink.add(mistake.rule, mistake.bytes, mistake.message, mistake.hint);
    }
    if let Some(module) = &parsed.module {
        let is_library = crate::suite::is_library(Path::new(path));
        let loaded = loads::check(scenario, module, &mut sink);
        let complete = loaded.is_empty() && parsed.left_out.is_empty() && !is_library;
        let found = Names::of(module, text, &loaded);
        names::check(module, &found, &parsed.left_out, is_library, &mut sink);
        calls::check(module.statement(), &found, &mut sink);
        values::check(module.statement(), &found, complete, &mut sink);
        flow::check(module.statement(), &found, &mut sink);
    }
    sink.findings
}
