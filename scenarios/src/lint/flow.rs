//! Checks the order of a script's statements: the position of `site()`, and client names that are used twice.

use std::collections::BTreeMap;

use starlark::syntax::ast::{AstExpr, AstStmt, ExprP, StmtP};

use super::names::line_of;
use super::rules;
use super::sink::Sink;
use super::types::{Names, definitions};
use super::values::{ACTIONS, CLIENTS, name_of_client};
use crate::script::place::bytes;

/// The functions that observe the site.
const OBSERVERS: [&str; 5] = ["promises", "counts", "app_log", "logon_log", "wait_all"];

/// Returns whether a function of the language acts on the site or observes it. Functions that only make a value, and
/// `site()`, do neither.
fn acts(name: &str) -> bool {
    CLIENTS.contains(&name) || ACTIONS.contains(&name) || OBSERVERS.contains(&name)
}

/// The effects of a statement or of a function that matter for the order.
#[derive(Debug, Clone, Default)]
struct Done {
    /// The place of the first action at the site.
    acts: Option<usize>,
    /// The place at which the site is described.
    describes: Option<usize>,
}

/// Checks the order of a script's statements.
pub(super) fn check(statement: &AstStmt, names: &Names, sink: &mut Sink<'_>) {
    let mut order = Order { names, functions: BTreeMap::new(), sink };
    order.functions(statement);
    order.statement(statement, &mut Done::default());
    let mut clients = BTreeMap::new();
    duplicates(statement, names, &mut clients, sink);
}

struct Order<'w, 'a> {
    names: &'w Names,
    /// The effects of the functions that the script defines.
    functions: BTreeMap<String, Done>,
    sink: &'w mut Sink<'a>,
}

impl Order<'_, '_> {
    /// Determines the effects of all functions, including those that they have through other functions.
    fn functions(&mut self, statement: &AstStmt) {
        let mut bodies = Vec::new();
        definitions(statement, &mut |def| bodies.push((def.name.node.ident.clone(), &def.body)));
        for _ in 0..=bodies.len().min(16) {
            for (name, body) in &bodies {
                let mut done = Done::default();
                body.node.visit_expr(|expression| {
                    for call in self.calls(expression) {
                        done.acts = done.acts.or(call.1.acts);
                        done.describes = done.describes.or(call.1.describes);
                    }
                });
                self.functions.insert(name.clone(), done);
            }
        }
    }

    /// Returns the calls of an expression that have such effects, in their order in the text, with their places.
    fn calls(&self, expression: &AstExpr) -> Vec<(std::ops::Range<usize>, Done)> {
        let mut calls = Vec::new();
        if matches!(expression.node, ExprP::Lambda(_)) {
            return calls;
        }
        expression.node.visit_expr(|inner| calls.extend(self.calls(inner)));
        if let ExprP::Call(function, _) = &expression.node {
            let at = bytes(expression.span);
            let acts = || Done { acts: Some(at.start), describes: None };
            let done = match (self.names.builtin(function, &[]), &function.node) {
                (Some("site"), _) => Some(Done { acts: None, describes: Some(at.start) }),
                (Some(name), _) if self::acts(name) => Some(acts()),
                (None, ExprP::Identifier(name)) => self.functions.get(&name.node.ident).cloned().map(|done| Done {
                    acts: done.acts.map(|_| at.start),
                    describes: done.describes.map(|_| at.start),
                }),
                _ => None,
            };
            calls.extend(done.map(|done| (at, done)));
        }
        calls
    }

    /// Checks a statement that is executed after the effects in `before`, and adds the effects of the statement to
    /// `before`.
    fn statement(&mut self, statement: &AstStmt, before: &mut Done) {
        match &statement.node {
            StmtP::Statements(statements) => statements.iter().for_each(|inner| self.statement(inner, before)),
            StmtP::If(condition, then) => {
                self.expression(condition, before);
                self.statement(then, before);
            }
            StmtP::IfElse(condition, branches) => {
                self.expression(condition, before);
                let mut other = before.clone();
                self.statement(&branches.0, before);
                self.statement(&branches.1, &mut other);
                before.acts = before.acts.or(other.acts);
                before.describes = before.describes.or(other.describes);
            }
            StmtP::For(each) => {
                self.expression(&each.over, before);
                self.statement(&each.body, before);
            }
            StmtP::Def(_) => {}
            other => other.visit_expr(|expression| self.expression(expression, before)),
        }
    }

    fn expression(&mut self, expression: &AstExpr, before: &mut Done) {
        for (at, done) in self.calls(expression) {
            if done.describes.is_some() {
                let place = at.start..at.start + self.sink.text[at.clone()].find('(').unwrap_or(at.len());
                if let Some(first) = before.describes {
                    let message = format!("the site is already described, in line {}", line_of(self.sink.text, first));
                    self.sink.add(
                        &rules::SITE_LATE,
                        place,
                        message,
                        Some("`site()` may be called only once".to_owned()),
                    );
                } else if let Some(first) = before.acts {
                    let line = line_of(self.sink.text, first);
                    let message = format!("the site is described too late: line {line} needs it already");
                    let hint = "call `site()` before the first client and before any other action";
                    self.sink.add(&rules::SITE_LATE, place, message, Some(hint.to_owned()));
                }
                before.describes = before.describes.or(Some(at.start));
            }
            before.acts = before.acts.or(done.acts);
        }
    }
}

/// Reports clients with the same name, among those that are certainly added one after the other.
fn duplicates<'a>(statement: &'a AstStmt, names: &Names, known: &mut BTreeMap<&'a str, usize>, sink: &mut Sink<'_>) {
    match &statement.node {
        StmtP::Statements(statements) => statements.iter().for_each(|inner| duplicates(inner, names, known, sink)),
        StmtP::Expression(_) | StmtP::Assign(_) => {
            statement.node.visit_expr(|expression| duplicates_in(expression, names, known, sink));
        }
        _ => {}
    }
}

fn duplicates_in<'a>(
    expression: &'a AstExpr,
    names: &Names,
    known: &mut BTreeMap<&'a str, usize>,
    sink: &mut Sink<'_>,
) {
    match &expression.node {
        // These expressions may be evaluated not at all, or more than once.
        ExprP::Lambda(_) | ExprP::ListComprehension(..) | ExprP::DictComprehension(..) | ExprP::If(_) => return,
        ExprP::Call(function, arguments)
            if names.builtin(function, &[]).is_some_and(|name| CLIENTS.contains(&name)) =>
        {
            if let Some(name) = name_of_client(&arguments.args) {
                let at = bytes(arguments.args[0].span);
                match known.get(name) {
                    Some(first) => {
                        let line = line_of(sink.text, *first);
                        let message = format!("there is already a client `{name}`, from line {line}");
                        let hint = format!("give this one another name, and user = \"{name}\"");
                        sink.add(&rules::DUPLICATE_CLIENT, at, message, Some(hint));
                    }
                    None => drop(known.insert(name, at.start)),
                }
            }
        }
        _ => {}
    }
    expression.node.visit_expr(|inner| duplicates_in(inner, names, known, sink));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::script::language::LANGUAGE;

    /// The functions of the language that need no world.
    const PASSIVE: [&str; 9] = [
        "server",
        "windows_authentication",
        "controller",
        "partner",
        "tracked",
        "trusted_header",
        "rogue",
        "bytes_of",
        "padded",
    ];

    /// Every function of the language has to be listed either as active or as passive.
    #[test]
    fn every_function_of_the_language_acts_or_does_not() {
        let standard: BTreeSet<String> =
            starlark::environment::Globals::standard().names().map(|name| name.as_str().to_owned()).collect();
        let known = |name: &str| {
            CLIENTS.contains(&name)
                || acts(name)
                || PASSIVE.contains(&name)
                || ["site", "expect", "print", "struct"].contains(&name)
        };
        let unknown: Vec<&String> =
            LANGUAGE.functions.keys().filter(|name| !standard.contains(*name) && !known(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
