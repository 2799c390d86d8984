//! Checks the `load` statements of a script: the files, and the names that are loaded from them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use starlark::syntax::AstModule;
use starlark::syntax::ast::AssignTargetP;

use super::calls::suggestion;
use super::sink::Sink;
use super::types::{assignments, definitions, signature};
use super::{rules, syntax};
use crate::Scenario;
use crate::script::files::{LoadError, MAX_DEPTH, MAX_FILES, Text, circle, key, read_file};
use crate::script::language::Signature;
use crate::script::place::bytes;

/// Checks the `load` statements. Returns the names that they bring, each with its signature if it is a function.
pub(super) fn check(
    scenario: &Scenario,
    module: &AstModule,
    sink: &mut Sink<'_>,
) -> BTreeMap<String, Option<Signature>> {
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
                let known: Vec<&str> = exported.keys().map(String::as_str).collect();
                let hint = if exported.is_empty() {
                    "it defines nothing".to_owned()
                } else {
                    suggestion(name, &known, str::to_owned)
                };
                let message = if name.starts_with('_') {
                    format!("`{name}` is private to that file: a name that begins with `_` cannot be loaded")
                } else {
                    format!("`{}` defines no `{name}`", load.module_id)
                };
                sink.add(&rules::LOAD, symbol(sink.text, &at, name), message, Some(hint));
            }
        }
    }
    loaded
}

/// Returns the place of a name that follows the path in a `load` statement.
fn symbol(text: &str, path: &Range<usize>, name: &str) -> Range<usize> {
    let rest = text.get(path.end..).unwrap_or_default();
    let statement = &rest[..rest.find(')').unwrap_or(rest.len())];
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    let found = quoted.iter().find_map(|quoted| Some((statement.find(quoted.as_str())?, quoted.len())));
    found.map_or(path.clone(), |(at, length)| path.end + at..path.end + at + length)
}

/// Reads the file that a script loads, and checks that the files that this file loads do not form a cycle.
fn loaded_file(scenario: &Scenario, own: &str, path: &str) -> Result<Text, LoadError> {
    let folder = scenario.folder().ok_or(LoadError::NoFolder)?;
    let first = key(own, path)?;
    let text = read_file(folder, &first)?;
    follow(folder, &first, &text, &mut vec![own.to_owned()], &mut 0)?;
    Ok(text)
}

/// Follows the `load` statements of a file. Mistakes in that file are reported where it is checked itself, except for a
/// cycle.
fn follow(folder: &Path, file: &str, text: &Text, above: &mut Vec<String>, seen: &mut usize) -> Result<(), LoadError> {
    *seen += 1;
    above.push(file.to_owned());
    if above.len() > MAX_DEPTH + 1 {
        return Err(LoadError::TooDeep(above.clone()));
    }
    let parsed = syntax::parse(&text.path.display().to_string(), &text.text);
    for load in parsed.module.iter().flat_map(AstModule::loads) {
        let Ok(next) = key(file, load.module_id) else { continue };
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

/// Returns the names that a file defines for others, each with its signature if it is a function; `None` if the file
/// has mistakes.
fn exports(text: &str) -> Option<BTreeMap<String, Option<Signature>>> {
    let parsed = syntax::parse("", text);
    let module = parsed.module.filter(|_| parsed.mistakes.is_empty())?;
    let mut names = BTreeMap::new();
    assignments(module.statement(), &mut |target, _| {
        if let AssignTargetP::Identifier(name) = &target.node {
            names.insert(name.node.ident.clone(), None);
        }
    });
    definitions(module.statement(), &mut |def| {
        names.insert(def.name.node.ident.clone(), Some(signature(def, text)));
    });
    names.retain(|name, _| !name.starts_with('_'));
    Some(names)
}
