//! Finds the mistakes of scripts without running them: all at once, each with its place and what may have been meant.
//!
//! * [`rules`]: the list of rules. `finding`: what they find, as data and as text.
//! * `syntax`: parses a text with mistakes. `names`, `calls`, `values`, `flow`: what is looked at.
//! * `types`: what follows from a text about its names.
//! * `files`: which files are looked at.
//!
//! What a lint finds is a mistake whatever a run would answer: where something depends on an answer, or on what the balancer declares, nothing
//! is said.

mod calls;
mod files;
mod finding;
mod flow;
mod names;
mod rules;
mod sink;
mod syntax;
mod types;
mod values;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::Sender;

use starlark::syntax::AstModule;
use starlark::syntax::ast::{AssignTargetP, StmtP};

use crate::script::files::{LoadError, Text, circle, key, read_file};
use crate::script::language::Signature;
use crate::script::place::{self, bytes};
use crate::{Scenario, SuiteError, limits};
use sink::Sink;
use types::Names;

pub use finding::{Finding, Report, Severity, Span};
pub use rules::{RULES, Rule};

/// Looks at scripts, at those of folders with all folders below them, and at the tables beside them. `balancers` are the names that
/// exist, for these tables.
///
/// # Errors
/// A path leads nowhere, or something cannot be read.
pub fn lint(paths: &[String], balancers: &[&str]) -> Result<Report, SuiteError> {
    files::lint(paths, balancers)
}

/// Looks at one script, on a thread of its own with the limits of scripts.
pub fn lint_script(scenario: &Scenario) -> Vec<Finding> {
    let work = |script: &Scenario, sender: &Sender<_>| {
        let (parked, at) = (sender.clone(), script.clone());
        let stopped = move || {
            drop(parked.send(vec![given_up(&at, "a value of this script takes more memory than a script may hold")]))
        };
        limits::metered(limits::MEMORY, stopped, || {
            let found = look_at(script);
            // What is sent away is not the script's.
            limits::unmetered(|| found.clone())
        })
    };
    let wrong = |error: stickler_runner::Diagnostic| {
        let scenario = Scenario::new("", &error.file, "");
        scenario.map(|scenario| vec![given_up(&scenario, &error.message)]).unwrap_or_default()
    };
    crate::run::on_a_thread(scenario, work, wrong)
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
        let loaded = loads(scenario, module, &mut sink);
        let complete = loaded.is_empty() && parsed.left_out.is_empty() && !is_library;
        let found = Names::of(module, text, &loaded);
        names::check(module, &found, &parsed.left_out, is_library, &mut sink);
        calls::check(module.statement(), &found, &mut sink);
        values::check(module.statement(), &found, complete, &mut sink);
        flow::check(module.statement(), &found, &mut sink);
    }
    sink.findings
}

/// Looks at the `load` statements. Returns the names that they bring, each with what it takes if it is a function.
fn loads(scenario: &Scenario, module: &AstModule, sink: &mut Sink<'_>) -> BTreeMap<String, Option<Signature>> {
    let mut loaded = BTreeMap::new();
    let own = Path::new(scenario.path()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for load in module.loads() {
        let at = bytes(load.span.span);
        let file = loaded_file(scenario, &own, load.module_id);
        let exported = match &file {
            Ok(text) => exports(&text.text),
            Err(error) => {
                sink.add(&rules::LOAD, at.clone(), error.to_string(), None);
                None
            }
        };
        for (local, name) in &load.symbols {
            let known = exported.as_ref().and_then(|exported| exported.get(*name));
            loaded.insert((*local).to_owned(), known.cloned().flatten());
            if let (Some(exported), None) = (&exported, known) {
                let known = exported.keys().map(String::as_str).collect();
                let hint = if exported.is_empty() {
                    "it defines nothing".to_owned()
                } else {
                    calls::suggestion(name, known, str::to_owned)
                };
                let message = if name.starts_with('_') {
                    format!("`{name}` is that file's own: a name that begins with `_` is not loaded")
                } else {
                    format!("`{}` defines no `{name}`", load.module_id)
                };
                sink.add(&rules::LOAD, symbol(sink.text, &at, name), message, Some(hint));
            }
        }
    }
    loaded
}

/// The place of a name behind the path of a `load` statement.
fn symbol(text: &str, path: &Range<usize>, name: &str) -> Range<usize> {
    let rest = text.get(path.end..).unwrap_or_default();
    let statement = &rest[..rest.find(')').unwrap_or(rest.len())];
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    let found = quoted.iter().find_map(|quoted| Some((statement.find(quoted.as_str())?, quoted.len())));
    found.map_or(path.clone(), |(at, length)| path.end + at..path.end + at + length)
}

/// Reads the file that a script loads, and sees whether the files that it loads lead back.
fn loaded_file(scenario: &Scenario, own: &str, path: &str) -> Result<Text, LoadError> {
    let folder = scenario.folder().ok_or(LoadError::NoFolder)?;
    let first = key(own, path)?;
    let text = read_file(folder, &first)?;
    follow(folder, &first, &text, &mut vec![own.to_owned()], &mut 0)?;
    Ok(text)
}

/// Follows what a file loads. Mistakes in it are told of where it is looked at itself, but for a circle.
fn follow(folder: &Path, key: &str, text: &Text, above: &mut Vec<String>, seen: &mut usize) -> Result<(), LoadError> {
    use crate::script::files::{MAX_DEPTH, MAX_FILES, key as key_of};

    *seen += 1;
    above.push(key.to_owned());
    if above.len() > MAX_DEPTH + 1 {
        return Err(LoadError::TooDeep(above.clone()));
    }
    let parsed = syntax::parse(&text.path.display().to_string(), &text.text);
    for load in parsed.module.iter().flat_map(AstModule::loads) {
        let Ok(next) = key_of(key, load.module_id) else { continue };
        if above.contains(&next) {
            return Err(LoadError::Cycle(circle(above, &next)));
        }
        if let Ok(text) = read_file(folder, &next)
            && *seen < MAX_FILES
        {
            follow(folder, &next, &text, above, seen)?;
        }
    }
    above.pop();
    Ok(())
}

/// The names that a file defines for others, each with what it takes if it is a function; `None` where the file has mistakes.
fn exports(text: &str) -> Option<BTreeMap<String, Option<Signature>>> {
    let parsed = syntax::parse("", text);
    let module = parsed.module.filter(|_| parsed.mistakes.is_empty())?;
    let mut names = BTreeMap::new();
    types::assignments(module.statement(), &mut |target, _| {
        if let AssignTargetP::Identifier(name) = &target.node {
            names.insert(name.node.ident.clone(), None);
        }
    });
    types::definitions(module.statement(), &mut |def| {
        names.insert(def.name.node.ident.clone(), Some(types::signature(def, text)));
    });
    debug_assert!(!matches!(module.statement().node, StmtP::Load(_)) || names.is_empty());
    names.retain(|name, _| !name.starts_with('_'));
    Some(names)
}
