//! `stickler script`: helps the authors of scenarios.
//!
//! * This module begins a script, and shows mistakes and the language reference.
//! * `linted`: the JSON document of `script lint`.
//! * `watch`: runs scripts whenever they are saved.

mod linted;
mod watch;

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use stickler_model::escape;
use stickler_report::sarif::{Finding, Level, Log, Rule};
use stickler_report::test_case::Place;
use stickler_scenarios::lint::{self, Report};

pub(crate) use self::linted::Linted;
use crate::args::{DocsFormat, Format, Lint, New, ScriptCommand};
use crate::output::Reports;
use crate::{Failure, jobs, terminal};

/// The script with which an author starts by default.
const BEGINNING: &str = include_str!("beginning.star");

pub(crate) fn script(command: &ScriptCommand) -> Result<(), Failure> {
    match command {
        ScriptCommand::New(arguments) => new(arguments),
        ScriptCommand::Lint(arguments) => lint(arguments),
        ScriptCommand::Docs(arguments) => match arguments.format {
            DocsFormat::Markdown => Ok(write!(io::stdout().lock(), "{}", stickler_scenarios::reference())?),
        },
        ScriptCommand::Watch(arguments) => watch::watch(arguments),
    }
}

fn new(arguments: &New) -> Result<(), Failure> {
    let text = match &arguments.like {
        None => BEGINNING.to_owned(),
        Some(name) => like(name)?,
    };
    let mut path = arguments.name.clone();
    if path.extension().is_none_or(|extension| extension != "star") {
        path.as_mut_os_string().push(".star");
    }
    let shown = path.display();
    write_new(&path, &text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::Wrong(format!("{shown} exists already, and no file is overwritten: choose another name"))
        }
        _ => Failure::Wrong(format!("cannot write {shown}: {error}")),
    })?;
    writeln!(
        io::stdout(),
        "{}",
        escape::line(&format!("wrote {shown}; run it: stickler run {}", jobs::quoted(&shown.to_string())))
    )?;
    Ok(())
}

/// Returns the text of a shipped scenario, from which an author can start.
fn like(name: &str) -> Result<String, Failure> {
    let cases = jobs::cases(&[name.to_owned()])?;
    let [case] = &cases[..] else {
        let names: Vec<&str> = cases.iter().map(|case| case.scenario.name()).collect();
        return Err(Failure::Wrong(format!(
            "`{name}` is a group of scenarios; choose one of them: {}",
            names.join(", ")
        )));
    };
    let first = format!("# Begun as a copy of the scenario {name}. The docstring says what it shows: change both.");
    Ok(format!("{first}\n\n{}", case.scenario.source()))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

fn lint(arguments: &Lint) -> Result<(), Failure> {
    let mut reports = Reports::open("script lint", &arguments.report, arguments.format == Format::Json)?;
    let report = match lint::lint(&arguments.paths, &stickler_catalogue::names()) {
        Ok(report) => report,
        Err(error) => {
            let failure = Failure::Wrong(error.to_string());
            reports.add_failure(&failure);
            reports.write_findings(Log::default())?;
            reports.finish(None, &Linted::of(&Report::default()))?;
            return Err(failure);
        }
    };
    reports.write_findings(log(&report))?;
    if !reports.takes_stdout() {
        show(&report, &mut io::stdout().lock())?;
    }
    reports.finish(None, &Linted::of(&report))?;
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::NotAsExpected) }
}

/// Returns the mistakes and their rules, for SARIF.
fn log(report: &Report) -> Log {
    let rule = |rule: &lint::Rule| Rule {
        id: rule.code.to_owned(),
        text: rule.about.to_owned(),
        help: format!("{} `# starlark-lint-disable {}` switches it off on a line.", rule.about, rule.code),
    };
    let finding = |found: &lint::Finding| Finding {
        rule: found.code.to_owned(),
        level: if found.severity == lint::Severity::Error { Level::Error } else { Level::Warning },
        message: found.hint.iter().fold(found.message.clone(), |text, hint| format!("{text}; {hint}")),
        places: vec![place(found)],
        fixes: Vec::new(),
    };
    let rules = lint::RULES.iter().map(rule).collect();
    Log { rules, findings: report.findings.iter().map(finding).collect(), ..Log::default() }
}

fn place(lint::Finding { file, span, .. }: &lint::Finding) -> Place {
    Place::of_range(file.clone(), (span.line, span.column), (span.end_line, span.end_column))
}

fn show(report: &Report, out: &mut io::StdoutLock<'_>) -> io::Result<()> {
    let color = terminal::has_color();
    if !report.findings.is_empty() {
        writeln!(out, "{}", report.text(color))?;
    }
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    writeln!(out, "{} in {}", many(report.findings.len(), "finding"), many(report.files(), "file"))
}
