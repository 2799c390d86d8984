//! Checks calls, methods and attributes: each of them has to exist, and to accept the arguments that it is given.

use starlark::syntax::ast::{
    ArgumentP, AstArgument, AstExpr, AstLiteral, AstStmt, BinOp, Clause, ClauseP, ExprP, ForClause, StmtP,
};

use super::rules;
use super::sink::Sink;
use super::types::{Def, Locals, Names, Type, assignments, definitions};
use crate::nearest::nearest;
use crate::script::language::{LANGUAGE, Member, Others, Signature};
use crate::script::place::bytes;

/// The maximum number of known names that a hint lists completely.
const MOST_NAMES: usize = 16;

/// Checks every call and every attribute of a module.
pub(super) fn check(statement: &AstStmt, names: &Names, sink: &mut Sink<'_>) {
    Walk { names, locals: Vec::new(), sink }.statement(statement);
}

struct Walk<'w, 'a> {
    names: &'w Names,
    /// The variables of the functions and comprehensions that enclose the current place, the innermost at the end.
    locals: Vec<Locals>,
    sink: &'w mut Sink<'a>,
}

impl Walk<'_, '_> {
    fn statement(&mut self, statement: &AstStmt) {
        match &statement.node {
            StmtP::Def(def) => return self.definition(def),
            StmtP::Expression(expression) => {
                self.expression(expression);
                self.dropped(expression);
            }
            StmtP::Return(Some(expression)) | StmtP::If(expression, _) | StmtP::IfElse(expression, _) => {
                self.expression(expression);
            }
            StmtP::For(each) => self.expression(&each.over),
            StmtP::Assign(assign) => {
                assign.lhs.visit_expr(|inner| self.expression(inner));
                self.expression(&assign.rhs);
            }
            StmtP::AssignModify(target, _, value) => {
                target.visit_expr(|inner| self.expression(inner));
                self.expression(value);
            }
            _ => {}
        }
        statement.node.visit_stmt(|inner| self.statement(inner));
    }

    fn definition(&mut self, def: &Def) {
        let mut locals = Locals::new();
        for parameter in &def.params {
            parameter.node.visit_expr(|inner| self.expression(inner));
            if let Some(name) = parameter.node.ident() {
                locals.insert(name.node.ident.clone(), Type::Any);
            }
        }
        definitions(&def.body, &mut |inner| drop(locals.insert(inner.name.node.ident.clone(), Type::Any)));
        // A parameter that is assigned may still have the value that the caller has passed.
        let parameters = locals.clone();
        let mut around = self.locals.clone();
        around.push(locals);
        for _ in 0..3 {
            let mut types = parameters.clone();
            assignments(&def.body, &mut |target, given| self.names.note(target, &given, &around, &mut types));
            around.pop();
            around.push(types);
        }
        let outside = std::mem::replace(&mut self.locals, around);
        self.statement(&def.body);
        self.locals = outside;
    }

    fn expression(&mut self, expression: &AstExpr) {
        match &expression.node {
            ExprP::Call(function, arguments) => {
                match &function.node {
                    ExprP::Dot(of, name) => {
                        self.expression(of);
                        self.attribute(of, &name.node, bytes(name.span));
                        self.format(of, &name.node);
                    }
                    _ => self.expression(function),
                }
                arguments.args.iter().for_each(|argument| self.expression(argument.node.expr()));
                self.call(function, &arguments.args);
            }
            ExprP::Dot(of, name) => {
                self.expression(of);
                self.attribute(of, &name.node, bytes(name.span));
            }
            ExprP::ListComprehension(body, each, clauses) => self.comprehension(&[body], each, clauses),
            ExprP::DictComprehension(pair, each, clauses) => self.comprehension(&[&pair.0, &pair.1], each, clauses),
            ExprP::Lambda(lambda) => {
                let parameters = lambda.params.iter().filter_map(|parameter| parameter.node.ident());
                self.locals.push(parameters.map(|name| (name.node.ident.clone(), Type::Any)).collect());
                self.expression(&lambda.body);
                self.locals.pop();
            }
            ExprP::Op(left, BinOp::Percent, right) => {
                if let Some(width) = literal(left).and_then(width_of_percent) {
                    self.no_width(left, &width);
                }
                self.expression(left);
                self.expression(right);
            }
            _ => expression.node.visit_expr(|inner| self.expression(inner)),
        }
    }

    fn comprehension(&mut self, bodies: &[&AstExpr], each: &ForClause, clauses: &[Clause]) {
        self.expression(&each.over);
        let inner = self.names.comprehension(each, clauses, &self.locals);
        let outside = std::mem::replace(&mut self.locals, inner);
        for clause in clauses {
            match clause {
                ClauseP::For(each) => self.expression(&each.over),
                ClauseP::If(condition) => self.expression(condition),
            }
        }
        for body in bodies {
            self.expression(body);
        }
        self.locals = outside;
    }

    /// Reports a request or a client that a statement creates and nothing uses.
    fn dropped(&mut self, expression: &AstExpr) {
        let ExprP::Call(function, _) = &expression.node else { return };
        let request = Type::named("request");
        let made = self.names.infer(expression, &self.locals);
        let at = bytes(expression.span);
        if made == request || made == Type::List(Box::new(request)) || self.builtin(function) == Some("start_crowd") {
            let hint = "wait for it with `wait()` or `wait_all()`; or assign it to `_` if its answer does not matter";
            let message = "this request is started, but its answer is never awaited";
            self.sink.add(&rules::UNAWAITED_REQUEST, at, message, Some(hint.to_owned()));
        } else if made == Type::named("client") {
            let message = "this client is added, but never does anything";
            let hint = "let it send a request, or assign it to `_` if it only has to exist";
            self.sink.add(&rules::UNUSED_CLIENT, at, message, Some(hint.to_owned()));
        }
    }

    fn builtin<'e>(&self, function: &'e AstExpr) -> Option<&'e str> {
        self.names.builtin(function, &self.locals)
    }

    fn attribute(&mut self, of: &AstExpr, name: &str, at: std::ops::Range<usize>) {
        let typ = self.names.infer(of, &self.locals);
        if let Some((message, hint)) = typ.name().and_then(|typ| no_attribute(typ, name)) {
            self.sink.add(&rules::UNKNOWN_ATTRIBUTE, at, message, Some(hint));
        }
    }

    fn call(&mut self, function: &AstExpr, arguments: &[AstArgument]) {
        let Some(signature) = self.names.signature(function, &self.locals) else { return };
        let mut given: Vec<&str> = Vec::new();
        let mut positions = signature.parameters.iter().filter(|parameter| parameter.by_position);
        let mut is_whole = true;
        for argument in arguments {
            let at = bytes(argument.span);
            match &argument.node {
                ArgumentP::Positional(value) => match positions.next() {
                    Some(parameter) => {
                        given.push(&parameter.name);
                        self.typed(&parameter.name, &parameter.typ, value, false);
                    }
                    None if signature.takes_more || !is_whole => {}
                    None => {
                        let count = signature.parameters.iter().filter(|parameter| parameter.by_position).count();
                        let most = match count {
                            0 => "no argument".to_owned(),
                            1 => "one argument".to_owned(),
                            count => format!("{count} arguments"),
                        };
                        let message = format!("`{}` takes {most} without a name, but this is one more", signature.name);
                        self.sink.add(&rules::ARGUMENTS, at, message, Some(shown(signature)));
                    }
                },
                ArgumentP::Named(name, value) => {
                    let names_more = matches!(signature.others, Others::These(_));
                    if given.contains(&name.node.as_str()) {
                        let message = format!("`{}` is given twice", name.node);
                        self.sink.add(&rules::ARGUMENTS, bytes(name.span), message, Some(shown(signature)));
                    } else if let Some(typ) = signature.type_of(&name.node) {
                        let any_of = signature.name == "expect" && names_more;
                        self.typed(&name.node, typ, value, any_of);
                    } else if signature.others != Others::Anything {
                        let message = format!("`{}` has no argument `{}`", signature.name, name.node);
                        let near = nearest(&name.node, signature.names());
                        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                        self.sink.add(&rules::ARGUMENTS, bytes(name.span), message, Some(near + &shown(signature)));
                    }
                    given.push(&name.node);
                }
                ArgumentP::Args(_) | ArgumentP::KwArgs(_) => is_whole = false,
            }
        }
        let missing = signature.parameters.iter().filter(|parameter| parameter.default.is_none());
        let missing: Vec<String> = missing
            .filter(|parameter| !given.contains(&parameter.name.as_str()))
            .map(|parameter| format!("`{}`", parameter.name))
            .collect();
        if is_whole && !missing.is_empty() {
            let message = format!("`{}` needs {}", signature.name, missing.join(" and "));
            let at = match &function.node {
                ExprP::Dot(_, name) => bytes(name.span),
                _ => bytes(function.span),
            };
            self.sink.add(&rules::ARGUMENTS, at, message, Some(shown(signature)));
        }
    }

    /// Checks the type of an argument. With `any_of`, the argument may also be a list of such values.
    fn typed(&mut self, name: &str, wanted: &str, value: &AstExpr, any_of: bool) {
        let typ = self.names.infer(value, &self.locals);
        let fits = match &typ {
            Type::List(element) if any_of => element.fits(wanted),
            typ => typ.fits(wanted),
        };
        if fits {
            return;
        }
        let found = match &typ {
            Type::List(element) => element.name().map_or("list".to_owned(), |element| format!("list of {element}")),
            typ => typ.name().unwrap_or_default().to_owned(),
        };
        let wanted = wanted.replace(" | ", " or ");
        self.sink.add(
            &rules::ARGUMENT_TYPE,
            bytes(value.span),
            format!("`{name}` has to be {wanted}, but this is {found}"),
            None,
        );
    }

    /// Reports a width in a format string of `str.format`.
    fn format(&mut self, of: &AstExpr, method: &str) {
        if method == "format"
            && let Some(width) = literal(of).and_then(width_of_braces)
        {
            self.no_width(of, &width);
        }
    }

    fn no_width(&mut self, at: &AstExpr, width: &str) {
        let message = format!("`{width}` has a width, which Starlark does not support");
        let hint = "`padded(number, 2)` writes leading zeros: \"user%s\" % padded(1)";
        self.sink.add(&rules::FORMAT_WIDTH, bytes(at.span), message, Some(hint.to_owned()));
    }
}

/// Returns the message and the hint about an attribute that values of a type do not have; `None` if they have it, or if
/// the type is unknown.
pub(crate) fn no_attribute(typ: &str, name: &str) -> Option<(String, String)> {
    // Starlark calls the type of texts `string`, and its documentation calls it `str`.
    let typ = if typ == "string" { "str" } else { typ };
    let members = LANGUAGE.types.get(typ)?;
    if members.contains_key(name) {
        return None;
    }
    let hint = match name {
        "zfill" | "rjust" | "ljust" if typ == "str" => "`padded(number, 2)` writes leading zeros".to_owned(),
        _ => suggestion(name, &members.keys().map(String::as_str).collect::<Vec<_>>(), |near| match &members[near] {
            Member::Method(signature) => signature.to_string(),
            Member::Attribute(_) => near.to_owned(),
        }),
    };
    Some((format!("a value of type {typ} has no method or attribute `{name}`"), hint))
}

/// Returns a hint with the nearest known name, or with the list of known names. `show` formats the nearest name.
pub(super) fn suggestion(name: &str, known: &[&str], show: impl Fn(&str) -> String) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => {
            let shown = show(near);
            if shown == near {
                format!("did you mean `{near}`?")
            } else {
                format!("did you mean `{near}`? It is `{shown}`")
            }
        }
        None => format!("there are: {}", known.join(", ")),
    }
}

/// Returns a signature as text, or only the names of its arguments where there are many.
fn shown(signature: &Signature) -> String {
    let names = signature.names();
    if names.len() > MOST_NAMES || matches!(signature.others, Others::These(_)) {
        return format!("the arguments of `{}` are: {}", signature.name, names.join(", "));
    }
    format!("it is `{signature}`")
}

fn literal(expression: &AstExpr) -> Option<&str> {
    match &expression.node {
        ExprP::Literal(AstLiteral::String(text)) => Some(&text.node),
        _ => None,
    }
}

/// Returns the first conversion of a format string for `%` that has a width, such as `%02d`.
fn width_of_percent(format: &str) -> Option<String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let after = &rest[at + 1..];
        let flags = after.find(|c: char| !"0123456789.-+#".contains(c)).unwrap_or(after.len());
        let letter = after[flags..].chars().next();
        if flags > 0 && letter.is_some_and(|c| "dsrioxXeEfFgGc".contains(c)) {
            return Some(format!("%{}", &after[..=flags]));
        }
        // The sequence `%%` stands for a single percent sign.
        rest = after.strip_prefix('%').unwrap_or(after);
    }
    None
}

/// Returns the first field of a format string for `str.format` that has more than a name, such as `{:02}`.
fn width_of_braces(format: &str) -> Option<String> {
    let open = format.find('{')?;
    let rest = &format[open + 1..];
    if let Some(rest) = rest.strip_prefix('{') {
        return width_of_braces(rest);
    }
    let close = rest.find('}')?;
    if rest[..close].contains(':') { Some(format!("{{{}}}", &rest[..close])) } else { width_of_braces(&rest[close..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_found_and_what_looks_like_them_is_not() {
        assert_eq!(width_of_percent("user%02d").as_deref(), Some("%02d"));
        assert_eq!(width_of_percent("%d and %5.1f").as_deref(), Some("%5.1f"));
        for format in ["%d", "%%02d", "100% of them", "%s-%d", "", "%"] {
            assert_eq!(width_of_percent(format), None, "{format}");
        }
        assert_eq!(width_of_braces("user{:02}").as_deref(), Some("{:02}"));
        assert_eq!(width_of_braces("{{:02}} {n:>3}").as_deref(), Some("{n:>3}"));
        for format in ["{}", "{0} {name}", "{{:02}}", "{", "}"] {
            assert_eq!(width_of_braces(format), None, "{format}");
        }
    }
}
