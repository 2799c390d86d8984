//! Checks names: those that are not defined, those that are never used, and statements without an effect. Most of these
//! checks come from Starlark's own linter.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use starlark::analysis::AstModuleLint as _;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AssignTargetP, AstAssignTarget, AstExpr, AstStmt, ClauseP, ExprP, StmtP};

use super::rules::{self, Rule};
use super::sink::Sink;
use super::types::{Given, Names, Type, assignments, definitions};
use crate::nearest::nearest;
use crate::script::language::LANGUAGE;
use crate::script::place::bytes;

/// Checks the names of a module. `left_out` are the words in the parts that could not be parsed. The names of a library
/// are meant for others, so they count as used.
pub(super) fn check(
    module: &AstModule,
    names: &Names,
    left_out: &BTreeSet<String>,
    is_library: bool,
    sink: &mut Sink<'_>,
) {
    let each = elements(module.statement());
    let again = twice(module.statement(), sink);
    // Starlark requires its own set type, in which it looks names up.
    let known = LANGUAGE.names.iter().chain(left_out).cloned().collect();
    for lint in module.lint(Some(&known)) {
        let at = bytes(lint.location.span);
        let (name, code) = (lint.original.trim(), lint.short_name.as_str());
        let unused = code.starts_with("unused-");
        // The part that could not be parsed may use the variable, and a name that begins with `_` declares it unused.
        let meant =
            code == "unused-assign" && (each.contains(&at.start) || name.starts_with('_') || again.contains(name));
        if (unused && !left_out.is_empty()) || meant {
            continue;
        }
        starlarks(code, name, at, names, sink);
    }
    if !is_library && left_out.is_empty() {
        unused(module.statement(), names, sink);
    }
}

/// Reports a finding of Starlark's own linter, in the wording of this project.
fn starlarks(code: &str, name: &str, at: Range<usize>, names: &Names, sink: &mut Sink<'_>) {
    let first_line = at.start..at.start + name.lines().next().unwrap_or_default().len();
    let (rule, at, message, hint): (&Rule, _, _, _) = match code {
        "using-undefined" => {
            let all = names.all().chain(LANGUAGE.names.iter().map(String::as_str));
            let hint = nearest(name, all).map(|near| format!("did you mean `{near}`?"));
            (&rules::UNKNOWN_NAME, at, format!("there is no function or variable `{name}`"), hint)
        }
        "using-unassigned" => (&rules::UNASSIGNED, at, format!("`{name}` is read before it is assigned"), None),
        "unused-load" => (&rules::UNUSED_LOAD, at, format!("`{name}` is loaded, but never used"), None),
        "unused-assign" => (&rules::UNUSED_VARIABLE, at, format!("the value of `{name}` is never read"), None),
        "unreachable" => (&rules::UNREACHABLE, first_line, "this statement is never executed".to_owned(), None),
        "missing-return" | "missing-return-expression" => {
            let hint = "write `return None` if no value is meant";
            let message = "this function returns a value on some paths, and none on others".to_owned();
            (&rules::MISSING_RETURN, first_line, message, Some(hint.to_owned()))
        }
        "no-effect" | "ident-as-statement" => (&rules::NO_EFFECT, at, "this statement does nothing".to_owned(), None),
        "duplicate-key" => {
            (&rules::DUPLICATE_KEY, at, format!("the key {name} occurs twice, and the last one counts"), None)
        }
        _ => return,
    };
    sink.add(rule, at, message, hint);
}

/// Returns the places of variables that take the elements of a value, whether they are needed or not.
fn elements(statement: &AstStmt) -> BTreeSet<usize> {
    fn mark(target: &AstAssignTarget, found: &mut BTreeSet<usize>) {
        match &target.node {
            AssignTargetP::Identifier(name) => drop(found.insert(name.span.begin().get() as usize)),
            AssignTargetP::Tuple(targets) => targets.iter().for_each(|inner| mark(inner, found)),
            AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
        }
    }
    fn expression(outer: &AstExpr, found: &mut BTreeSet<usize>) {
        let (each, clauses) = match &outer.node {
            ExprP::ListComprehension(_, each, clauses) | ExprP::DictComprehension(_, each, clauses) => {
                (Some(each), clauses.as_slice())
            }
            _ => (None, &[][..]),
        };
        if let Some(each) = each {
            mark(&each.var, found);
        }
        for clause in clauses {
            if let ClauseP::For(each) = clause {
                mark(&each.var, found);
            }
        }
        outer.node.visit_expr(|inner| expression(inner, found));
    }
    fn statements(outer: &AstStmt, found: &mut BTreeSet<usize>) {
        match &outer.node {
            StmtP::For(each) => mark(&each.var, found),
            // A script may need only a few of several results.
            StmtP::Assign(assign) if matches!(assign.lhs.node, AssignTargetP::Tuple(_)) => mark(&assign.lhs, found),
            _ => {}
        }
        outer.node.visit_stmt(|inner| statements(inner, found));
    }
    let mut found = BTreeSet::new();
    statements(statement, &mut found);
    statement.node.visit_expr(|inner| expression(inner, &mut found));
    found
}

/// Reports functions that are defined twice, or whose name is assigned to something else. Returns their names.
fn twice(statement: &AstStmt, sink: &mut Sink<'_>) -> BTreeSet<String> {
    let mut defined: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    let mut again: Vec<(&str, Range<usize>)> = Vec::new();
    definitions(statement, &mut |def| {
        let (name, at) = (def.name.node.ident.as_str(), bytes(def.name.span));
        if defined.contains_key(name) {
            again.push((name, at));
        } else {
            defined.insert(name, at);
        }
    });
    assignments(statement, &mut |target, _| {
        if let AssignTargetP::Identifier(name) = &target.node
            && defined.contains_key(name.node.ident.as_str())
        {
            again.push((&name.node.ident, bytes(target.span)));
        }
    });
    let names = again.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, at) in again {
        let line = defined.get(name).map_or(0, |first| line_of(sink.text, first.start));
        let message = format!("`{name}` is already a function, defined in line {line}");
        sink.add(&rules::DUPLICATE_NAME, at, message, None);
    }
    names
}

/// Returns the line of a byte, counted from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or_default().matches('\n').count()
}

/// Reports variables of the module that are never read.
fn unused(statement: &AstStmt, names: &Names, sink: &mut Sink<'_>) {
    let mut read = BTreeSet::new();
    statement.node.visit_expr(|expression| reads(expression, &mut read));
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut found: Vec<(&str, Range<usize>, bool)> = Vec::new();
    assignments(statement, &mut |target, given| {
        let Given::Value(value) = given else { return };
        if let AssignTargetP::Identifier(name) = &target.node
            && !name.node.ident.starts_with('_')
            && !read.contains(name.node.ident.as_str())
            && told.insert(&name.node.ident)
        {
            let starts =
                matches!(&value.node, ExprP::Call(function, _) if names.builtin(function, &[]) == Some("start_crowd"));
            found.push((&name.node.ident, bytes(target.span), starts));
        }
    });
    let request = Type::named("request");
    for (name, at, starts) in found {
        let typ = names.get(name).map_or(Type::Any, |binding| binding.typ.clone());
        let wait = "wait for it with `wait()` or `wait_all()`; or call the variable `_` if its answer does not matter";
        if starts || typ == request || typ == Type::List(Box::new(request.clone())) {
            let message = format!("`{name}` is started, but its answer is never awaited");
            sink.add(&rules::UNAWAITED_REQUEST, at, message, Some(wait.to_owned()));
        } else if typ == Type::named("client") {
            let hint = "let it send a request, or call the variable `_` if it only has to exist";
            sink.add(
                &rules::UNUSED_CLIENT,
                at,
                format!("the client `{name}` never does anything"),
                Some(hint.to_owned()),
            );
        } else {
            sink.add(&rules::UNUSED_VARIABLE, at, format!("`{name}` is never read"), None);
        }
    }
    let mut functions = Vec::new();
    definitions(statement, &mut |def| functions.push((def.name.node.ident.as_str(), bytes(def.name.span))));
    for (name, at) in functions {
        if !name.starts_with('_') && !read.contains(name) {
            sink.add(&rules::UNUSED_VARIABLE, at, format!("the function `{name}` is never called"), None);
        }
    }
}

fn reads<'a>(expression: &'a AstExpr, read: &mut BTreeSet<&'a str>) {
    if let ExprP::Identifier(name) = &expression.node {
        read.insert(&name.node.ident);
    }
    expression.node.visit_expr(|inner| reads(inner, read));
}
