//! Checks values: the literal arguments of a call are passed to the function, without a world, and the function itself
//! decides whether it accepts them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use starlark::syntax::ast::{
    ArgumentP, AssignTargetP, AstArgument, AstAssignTarget, AstExpr, AstLiteral, AstStmt, BinOp, ExprP, StmtP,
};
use stickler_model::{Topology, standard};

use super::rules;
use super::sink::Sink;
use super::types::{Names, Type};
use crate::script::language::{LANGUAGE, Member};
use crate::script::place::bytes;
use crate::script::trial::{Refusal, RefusalKind, try_out};

/// The functions that add one client.
pub(super) const CLIENTS: [&str; 4] = ["curl", "curl_negotiate", "browser", "client"];

/// The functions that make values for other calls.
const MAKERS: [&str; 9] = [
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

/// The functions that act on the site. Their arguments can be checked without a world.
pub(super) const ACTIONS: [&str; 15] = [
    "crowd",
    "start_crowd",
    "advance",
    "await_checks",
    "crash",
    "power_loss",
    "restart",
    "hang",
    "resume",
    "drain",
    "undrain",
    "configure",
    "hold",
    "release",
    "reset",
];

/// The methods of a client whose arguments can be checked without a world.
const METHODS: [&str; 5] = ["get", "post", "request", "start", "switch_user"];

/// The maximum number of trials in one file. A script that a person has written needs a few dozen.
const MOST: usize = 2_000;

/// Checks the values in calls. `complete` says whether the file contains everything that the script does.
pub(super) fn check(statement: &AstStmt, names: &Names, complete: bool, sink: &mut Sink<'_>) {
    let mut check = Check {
        names,
        text: sink.text,
        constants: Vec::new(),
        site: complete.then(|| standard::site(2)),
        clients: BTreeSet::new(),
        all_clients: complete,
        assigned: BTreeMap::new(),
        left: MOST,
    };
    super::types::assignments(statement, &mut |target, _| check.count(target));
    check.clients(statement);
    check.constants(statement);
    check.statement(statement, sink);
}

/// A variable whose value is a literal.
struct Constant {
    name: String,
    /// The line that assigns the variable.
    line: String,
    /// The names that the line uses.
    needs: BTreeSet<String>,
}

struct Check<'a> {
    names: &'a Names,
    text: &'a str,
    /// The constants of the module, in their order.
    constants: Vec<Constant>,
    /// The site that the script describes; `None` if it does not follow from the text.
    site: Option<Topology>,
    /// The names of the clients that are given as literals.
    clients: BTreeSet<String>,
    /// Whether the script has no other clients.
    all_clients: bool,
    /// The number of assignments to each variable.
    assigned: BTreeMap<String, usize>,
    left: usize,
}

impl Check<'_> {
    fn count(&mut self, target: &AstAssignTarget) {
        match &target.node {
            AssignTargetP::Identifier(name) => *self.assigned.entry(name.node.ident.clone()).or_default() += 1,
            AssignTargetP::Tuple(targets) => targets.iter().for_each(|target| self.count(target)),
            AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
        }
    }

    /// Records the names of all clients.
    fn clients(&mut self, statement: &AstStmt) {
        statement.node.visit_expr(|expression| self.clients_of(expression));
    }

    fn clients_of(&mut self, expression: &AstExpr) {
        if let ExprP::Call(function, arguments) = &expression.node {
            match self.names.builtin(function, &[]) {
                Some("crowd" | "start_crowd") => self.all_clients = false,
                Some(name) if CLIENTS.contains(&name) => match name_of_client(&arguments.args) {
                    Some(name) => drop(self.clients.insert(name.to_owned())),
                    None => self.all_clients = false,
                },
                _ => {}
            }
        }
        expression.node.visit_expr(|inner| self.clients_of(inner));
    }

    /// Records the constants of the module, and its site.
    fn constants(&mut self, statement: &AstStmt) {
        let statements = match &statement.node {
            StmtP::Statements(statements) => statements.iter().collect(),
            _ => vec![statement],
        };
        let mut described = false;
        for statement in statements {
            match &statement.node {
                StmtP::Assign(assign) => {
                    let AssignTargetP::Identifier(name) = &assign.lhs.node else { continue };
                    let name = &name.node.ident;
                    if self.assigned.get(name) == Some(&1) && self.is_constant(&assign.rhs) {
                        let line = format!("{name} = {}\n", self.written(&assign.rhs));
                        let needs = identifiers(&assign.rhs);
                        let site = self.site.clone().unwrap_or_else(|| standard::site(2));
                        if self.try_out(&line, &needs, Some(&site)).is_ok() {
                            self.constants.push(Constant { name: name.clone(), line, needs });
                        }
                    }
                }
                StmtP::Expression(expression) if self.is_site(expression) => {
                    described = true;
                    self.site = match &expression.node {
                        ExprP::Call(_, arguments) if self.are_constant(&arguments.args) => {
                            let text = format!("{}\npromises()\n", self.written(expression));
                            self.try_out(&text, &identifiers(expression), None).ok()
                        }
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        if !described && self.mentions_site(statement) {
            self.site = None;
        }
    }

    fn is_site(&self, expression: &AstExpr) -> bool {
        matches!(&expression.node, ExprP::Call(function, _) if self.names.builtin(function, &[]) == Some("site"))
    }

    /// Returns whether the statement calls `site()` anywhere.
    fn mentions_site(&self, statement: &AstStmt) -> bool {
        fn any(check: &Check<'_>, expression: &AstExpr) -> bool {
            let mut found = check.is_site(expression);
            expression.node.visit_expr(|inner| found |= any(check, inner));
            found
        }
        let mut found = false;
        statement.node.visit_expr(|expression| found |= any(self, expression));
        found
    }

    fn written(&self, expression: &AstExpr) -> &str {
        self.text.get(bytes(expression.span)).unwrap_or("None")
    }

    /// Tries a statement out, after the constants that it needs.
    fn try_out(&self, text: &str, needs: &BTreeSet<String>, site: Option<&Topology>) -> Result<Topology, Refusal> {
        let (mut needs, mut lines) = (needs.clone(), Vec::new());
        for constant in self.constants.iter().rev() {
            if needs.contains(&constant.name) {
                needs.extend(constant.needs.iter().cloned());
                lines.push(constant.line.as_str());
            }
        }
        lines.reverse();
        try_out(&(lines.concat() + text), site, &self.clients)
    }

    /// Returns whether the value of an expression follows from literals and constants.
    fn is_constant(&self, expression: &AstExpr) -> bool {
        let all = |inner: &[AstExpr]| inner.iter().all(|inner| self.is_constant(inner));
        match &expression.node {
            ExprP::Literal(literal) => !matches!(literal, AstLiteral::Ellipsis),
            ExprP::Identifier(name) => {
                let name = name.node.ident.as_str();
                self.constants.iter().any(|constant| constant.name == name)
                    || (matches!(name, "True" | "False" | "None") && self.names.is_builtin(name, &[]))
            }
            ExprP::Tuple(inner) | ExprP::List(inner) => all(inner),
            ExprP::Dict(pairs) => pairs.iter().all(|(key, value)| self.is_constant(key) && self.is_constant(value)),
            ExprP::Minus(inner) | ExprP::Plus(inner) | ExprP::Not(inner) => self.is_constant(inner),
            // A product is not constant here, since it may be arbitrarily large.
            ExprP::Op(left, BinOp::Add | BinOp::Subtract | BinOp::Percent, right) => {
                self.is_constant(left) && self.is_constant(right)
            }
            ExprP::Call(function, arguments) => {
                let makes = |name| MAKERS.contains(&name) || CLIENTS.contains(&name);
                self.names.builtin(function, &[]).is_some_and(makes) && self.are_constant(&arguments.args)
            }
            _ => false,
        }
    }

    fn are_constant(&self, arguments: &[AstArgument]) -> bool {
        let plain = |argument: &AstArgument| matches!(argument.node, ArgumentP::Positional(_) | ArgumentP::Named(..));
        arguments.iter().all(|argument| plain(argument) && self.is_constant(argument.node.expr()))
    }

    fn statement(&mut self, statement: &AstStmt, sink: &mut Sink<'_>) {
        statement.node.visit_expr(|expression| self.expression(expression, sink));
    }

    /// Checks the calls of an expression, inner ones first. If an inner call is wrong, nothing is known about the outer
    /// one.
    fn expression(&mut self, expression: &AstExpr, sink: &mut Sink<'_>) {
        expression.node.visit_expr(|inner| self.expression(inner, sink));
        let ExprP::Call(function, arguments) = &expression.node else { return };
        let (before, arguments) = (self.beginning(function), &arguments.args);
        let Some(before) = before.filter(|_| !arguments.is_empty() && self.are_constant(arguments)) else { return };
        if !sink.has_any_in(&bytes(expression.span)) {
            self.call(&before, arguments, bytes(expression.span), sink);
        }
    }

    /// Returns the text before the arguments in a trial of a call; `None` if the call is not tried out.
    fn beginning(&self, function: &AstExpr) -> Option<String> {
        if let Some(name) = self.names.builtin(function, &[]) {
            let lists = [&CLIENTS[..], &MAKERS, &ACTIONS, &["site"]];
            return lists.iter().any(|list| list.contains(&name)).then(|| name.to_owned());
        }
        match &function.node {
            ExprP::Dot(of, name) if self.names.infer(of, &[]) == Type::named("client") => {
                let method = METHODS.contains(&name.node.as_str());
                method.then(|| format!("client(\"somebody\", \"curl\", user = None).{}", name.node))
            }
            _ => None,
        }
    }

    /// Tries a call out. If it is refused, leaves out one argument after the other to find the one at fault.
    fn call(&mut self, before: &str, arguments: &[AstArgument], at: Range<usize>, sink: &mut Sink<'_>) {
        let after = if before == "site" { "\npromises()\n" } else { "\n" };
        let site = if before == "site" { None } else { Some(self.site.clone().unwrap_or_else(|| standard::site(2))) };
        let mut given: Vec<&AstArgument> = arguments.iter().collect();
        let mut is_first = true;
        while let Err(refusal) = self.trial(before, &given, after, site.as_ref()) {
            // This refusal may be caused by an argument that was left out. Only a name without a meaning is wrong
            // in any case.
            if !is_first && (refusal.name.is_none() || refusal.kind != RefusalKind::Value) {
                return;
            }
            is_first = false;
            let mut optional = given.iter().copied().filter(|argument| may_be_left_out(before, argument));
            let culprit = optional.find(|culprit| {
                let rest: Vec<&AstArgument> =
                    given.iter().filter(|other| other.span != culprit.span).copied().collect();
                self.trial(before, &rest, after, site.as_ref())
                    .err()
                    .is_none_or(|other| other.message != refusal.message)
            });
            let alone = if let [one] = arguments { Some(one) } else { None };
            let place = culprit.or_else(|| named_by(&refusal, arguments)).or(alone);
            let place = place.map_or(at.clone(), |argument| bytes(argument.node.expr().span));
            self.refused(refusal, before == "site", place, sink);
            let Some(culprit) = culprit else { return };
            given.retain(|argument| argument.span != culprit.span);
        }
    }

    fn trial(
        &mut self,
        before: &str,
        given: &[&AstArgument],
        after: &str,
        site: Option<&Topology>,
    ) -> Result<(), Refusal> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Ok(());
        }
        let written = |argument: &&AstArgument| match &argument.node {
            ArgumentP::Named(name, value) => format!("{} = {}", name.node, self.written(value)),
            other => self.written(other.expr()).to_owned(),
        };
        let needs = given.iter().flat_map(|argument| identifiers(argument.node.expr())).collect();
        let given: Vec<String> = given.iter().map(written).collect();
        self.try_out(&format!("{before}({}){after}", given.join(", ")), &needs, site).map(drop)
    }

    /// Adds the refusal of a function as a finding. `of_site` says whether the function is `site()`, which itself
    /// defines the names.
    fn refused(&self, refusal: Refusal, of_site: bool, at: Range<usize>, sink: &mut Sink<'_>) {
        let name = refusal.name.as_deref().unwrap_or_default();
        let is_server = name.strip_prefix("iis").is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
        let rule = match refusal.kind {
            // An unknown name is not a mistake if the site or the clients are not known.
            RefusalKind::User | RefusalKind::Host if self.site.is_none() && !of_site => return,
            RefusalKind::Host if !self.all_clients && !is_server && !of_site => return,
            RefusalKind::User => &rules::UNKNOWN_USER,
            RefusalKind::Host => &rules::UNKNOWN_HOST,
            RefusalKind::Value => &rules::ARGUMENT_VALUE,
        };
        sink.add(rule, at, refusal.message, refusal.hint);
    }
}

/// Returns whether a call is possible without an argument.
fn may_be_left_out(before: &str, argument: &AstArgument) -> bool {
    let Some(name) = argument.node.name() else { return false };
    let method = before.rsplit_once('.').and_then(|(_, method)| LANGUAGE.types.get("client")?.get(method));
    let signature = match method {
        Some(Member::Method(signature)) => Some(signature),
        _ => LANGUAGE.functions.get(before),
    };
    let parameter = signature.and_then(|signature| signature.named(name));
    parameter.is_none_or(|parameter| parameter.default.is_some())
}

/// Returns the names that occur in an expression.
fn identifiers(expression: &AstExpr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let ExprP::Identifier(name) = &expression.node {
        names.insert(name.node.ident.clone());
    }
    expression.node.visit_expr(|inner| names.extend(identifiers(inner)));
    names
}

/// Returns the argument whose value is the unknown name because of which a call was refused.
fn named_by<'a>(refusal: &Refusal, arguments: &'a [AstArgument]) -> Option<&'a AstArgument> {
    let name = refusal.name.as_deref()?;
    arguments.iter().find(
        |argument| matches!(&argument.node.expr().node, ExprP::Literal(AstLiteral::String(text)) if text.node == name),
    )
}

/// Returns the name of the client that a call adds, if it is given as a literal.
pub(super) fn name_of_client(arguments: &[AstArgument]) -> Option<&str> {
    let name = arguments.iter().find(|argument| matches!(argument.node.name(), None | Some("name")))?;
    match &name.node.expr().node {
        ExprP::Literal(AstLiteral::String(text)) => Some(&text.node),
        _ => None,
    }
}
