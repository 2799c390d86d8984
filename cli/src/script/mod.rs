//! `stickler script`: what authors of scenarios need.
//!
//! * this module: begins a script, shows mistakes and the language reference.
//! * `watch`: runs scripts whenever they are saved.

mod watch;

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::json;
use stickler_model::escape;
use stickler_scenarios::lint::{self, Report};

use crate::args::{DocsFormat, Format, Lint, New, ScriptCommand};
use crate::{Failure, jobs};

/// The script that every author starts from.
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
            Failure::Wrong(format!("{shown} is there already, and no file is overwritten: choose another name"))
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

/// A shipped scenario, as something to start from.
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
    let report = lint::lint(&arguments.paths, &stickler_catalogue::names());
    let report = report.map_err(|error| Failure::Wrong(error.to_string()))?;
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Json => {
            let document = json!({ "format": "stickler-lint-1", "files": report.files(), "findings": report.findings });
            writeln!(out, "{}", escape::json(&format!("{document:#}")))?;
        }
        Format::Pretty => show(&report, &mut out)?,
    }
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::NotAsExpected) }
}

fn show(report: &Report, out: &mut io::StdoutLock<'_>) -> io::Result<()> {
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if !report.findings.is_empty() {
        writeln!(out, "{}", report.text(color))?;
    }
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    writeln!(out, "{} in {}", many(report.findings.len(), "finding"), many(report.files(), "file"))
}
