//! The language reference, written from the documentation of functions, methods, arguments and attributes.

use std::fmt::Write as _;

use starlark::docs::{DocFunction, DocMember, DocParam, DocString};

use super::client_options::OPTIONS;
use super::globals::GROUPS;
use super::language::{Signature, value_types};
use super::values::ATTRIBUTES;

const BEGINNING: &str = include_str!("reference/beginning.md");
const PAGES: &str = include_str!("reference/pages.md");

/// The types whose methods are shown, with their titles in the reference.
const TYPES: [(&str, &str, &str); 3] = [
    ("client", "Clients", "What `curl()`, `browser()` and their like return."),
    ("request", "Requests under way", "What `start()` returns."),
    ("response", "Answers", "What `get()`, `post()`, `request()` and `wait()` return."),
];

/// Returns the language reference as Markdown.
pub fn reference() -> String {
    let mut text = BEGINNING.to_owned();
    for group in &GROUPS {
        let _ = write!(text, "\n## {}\n\n{}\n", group.title, folded(group.about, ""));
        for (name, function) in group.functions() {
            write_function(&mut text, &name, &function);
        }
        if group.title == "Clients" {
            write_options(&mut text);
        }
    }
    let values = value_types();
    for (name, title, about) in TYPES {
        let _ = write!(text, "\n## {title}\n\n{about}\n");
        let members = values.iter().find(|(known, _)| *known == name).into_iter().flat_map(|(_, about)| &about.members);
        for (method, member) in members {
            match member {
                DocMember::Function(function) => write_function(&mut text, method, function),
                DocMember::Property(property) => {
                    let docs = property.docs.as_ref().map_or("", |docs| &docs.summary);
                    let _ = write!(text, "\n### `{method}`\n\n{docs}\n");
                }
            }
        }
        if name == "response" {
            write_attributes(&mut text);
        }
    }
    text.push('\n');
    text.push_str(PAGES);
    text
}

fn write_function(text: &mut String, name: &str, function: &DocFunction) {
    let mut signature = Signature::of(name, function).to_string();
    if let Some(others) = &function.params.kwargs {
        signature = signature.replace("**kwargs", &format!("**{}", others.name));
    }
    let _ = write!(text, "\n### `{name}`\n\n```text\n{}\n```\n", wrapped(&signature));
    if let Some(DocString { summary, details, .. }) = &function.docs {
        let _ = write!(text, "\n{}\n", folded(summary, ""));
        if let Some(details) = details {
            let _ = write!(text, "\n{details}\n");
        }
    }
    let given: Vec<&DocParam> = function.params.regular_params().chain(&function.params.kwargs).collect();
    if !given.is_empty() {
        text.push('\n');
    }
    for parameter in given {
        let docs = parameter.docs.as_ref().map(|docs| format!(": {}", whole(docs))).unwrap_or_default();
        let line = format!("* `{}`{}{docs}", parameter.name, typed(&parameter.typ.to_string()));
        let _ = writeln!(text, "{}", folded(&line, "  "));
    }
    if let Some(returns) = &function.ret.docs {
        // A list in this text would become part of the list above it.
        let _ = write!(text, "\n{}\n", folded(&format!("Returns: {}", whole(returns)), ""));
    }
    if let Some(examples) = function.docs.as_ref().and_then(|docs| docs.examples.as_ref()) {
        let _ = write!(text, "\n{examples}\n");
    }
}

/// Returns a type in brackets, or nothing if the type is not informative.
fn typed(typ: &str) -> String {
    if typ.contains("Any") || typ.contains("typing.") { String::new() } else { format!(" ({typ})") }
}

fn whole(docs: &DocString) -> String {
    match &docs.details {
        Some(details) => format!("{}\n\n{details}", docs.summary),
        None => docs.summary.clone(),
    }
}

/// Breaks a signature into lines of at most 100 characters.
fn wrapped(signature: &str) -> String {
    let mut lines = vec![String::new()];
    for part in signature.split_inclusive(", ") {
        if lines.last().is_some_and(|line| line.len() + part.trim_end().len() > 100) {
            lines.push("    ".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(part);
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Breaks text into lines of at most 140 characters, all but the first of them indented. Existing line ends are kept.
fn folded(text: &str, indentation: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (number, paragraph) in text.lines().enumerate() {
        let mut line = if number == 0 { String::new() } else { indentation.to_owned() };
        let mut begun = false;
        for word in paragraph.split(' ') {
            if begun && line.chars().count() + 1 + word.chars().count() > 140 {
                lines.push(std::mem::replace(&mut line, indentation.to_owned()));
                begun = false;
            }
            if begun {
                line.push(' ');
            }
            line.push_str(word);
            begun = true;
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn write_options(text: &mut String) {
    text.push_str("\n### Options of every client\n\n| option | type | default | meaning |\n|---|---|---|---|\n");
    for option in &OPTIONS {
        let default = if option.default.is_empty() { String::new() } else { format!("`{}`", option.default) };
        let typ = option.typ.replace('|', "or");
        let _ = writeln!(text, "| `{}` | {typ} | {default} | {} |", option.name, option.meaning);
    }
}

fn write_attributes(text: &mut String) {
    text.push_str("\n### Attributes of an answer\n\n| attribute | type | meaning |\n|---|---|---|\n");
    for (name, typ, meaning) in ATTRIBUTES {
        let _ = writeln!(text, "| `{name}` | {} | {meaning} |", typ.replace('|', "or"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function and every argument has to be documented.
    #[test]
    fn every_function_method_and_argument_is_documented_in_sentences() {
        let mut missing = Vec::new();
        let values = value_types();
        let methods = values.iter().flat_map(|(of, about)| {
            about.members.iter().filter_map(move |(name, member)| match member {
                DocMember::Function(function) => Some((format!("{of}.{name}"), function.clone())),
                DocMember::Property(_) => None,
            })
        });
        for (name, function) in GROUPS.iter().flat_map(super::super::globals::Group::functions).chain(methods) {
            let is_sentence = |docs: &Option<DocString>| {
                docs.as_ref().is_some_and(|docs| {
                    docs.summary.ends_with(['.', ':'])
                        && docs.summary.starts_with(|c: char| c.is_uppercase() || c == '`')
                })
            };
            if !is_sentence(&function.docs) {
                missing.push(name.clone());
            }
            for parameter in function.params.regular_params().chain(&function.params.kwargs) {
                if !is_sentence(&parameter.docs) {
                    missing.push(format!("{name}({})", parameter.name));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        assert!(OPTIONS.iter().all(|option| option.meaning.ends_with('.')));
    }

    #[test]
    fn a_long_signature_is_wrapped_and_loses_nothing() {
        let site =
            GROUPS.iter().flat_map(super::super::globals::Group::functions).find(|(name, _)| name == "site").unwrap();
        let signature = Signature::of("site", &site.1).to_string();
        let text = wrapped(&signature);
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() <= 110), "{text}");
        assert_eq!(text.replace("\n    ", " "), signature);
    }
}
