//! Finds the backend or the director to which requests go.

use super::parse::{Program, Statement};

/// A backend or a director to which requests go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Farm<'a> {
    pub(super) name: &'a str,
    /// The statement that creates the director, `new farm = directors.round_robin()`; `None` for a single backend.
    pub(super) director: Option<&'a Statement>,
    /// The statement that selects it, `set req.backend_hint = ...`; `None` if it is the default.
    pub(super) hint: Option<&'a Statement>,
    /// Whether a condition decides that requests go there.
    pub(super) is_conditional: bool,
}

/// Returns the number of statements that must be examined for all farms.
pub(super) fn work(program: &Program) -> usize {
    let mut hints = Vec::new();
    let statements: usize = program.declarations.iter().map(|declaration| 1 + declaration.body().len()).sum();
    for statement in program.statements("vcl_recv") {
        within(statement, &mut hints);
    }
    (hints.len() + 1).saturating_mul(statements)
}

/// Finds the farms; the farm of unconditional requests comes first.
pub(super) fn farms(program: &Program) -> Vec<Farm<'_>> {
    let statements = program.statements("vcl_recv");
    let hints: Vec<&Statement> = statements.iter().copied().filter(|statement| is_hint(statement)).collect();
    let mut farms: Vec<Farm<'_>> = Vec::new();
    let default = match hints.last() {
        Some(hint) => farm(program, hint.word(3), Some(hint), false),
        None => default_backend(program).and_then(|backend| farm(program, backend.word(1), None, false)),
    };
    farms.extend(default);
    let mut conditional = Vec::new();
    for statement in statements {
        within(statement, &mut conditional);
    }
    for hint in conditional {
        if let Some(found) = farm(program, hint.word(3), Some(hint), true)
            && !farms.iter().any(|known| known.name == found.name)
        {
            farms.push(found);
        }
    }
    farms
}

fn is_hint(statement: &Statement) -> bool {
    (statement.word(0), statement.word(1), statement.word(2)) == ("set", "req.backend_hint", "=")
}

fn within<'a>(statement: &'a Statement, found: &mut Vec<&'a Statement>) {
    for inner in statement.body() {
        if is_hint(inner) {
            found.push(inner);
        }
        within(inner, found);
    }
}

/// Returns the backend called `default`, or else the first (`VCL_Backend_default`).
fn default_backend(program: &Program) -> Option<&Statement> {
    let first = || program.declarations.iter().find(|declaration| declaration.word(0) == "backend");
    program.named("backend", "default").or_else(first)
}

fn farm<'a>(
    program: &'a Program,
    named: &'a str,
    hint: Option<&'a Statement>,
    is_conditional: bool,
) -> Option<Farm<'a>> {
    let name = named.split('.').next().unwrap_or_default();
    let init = program.statements("vcl_init").into_iter();
    let director = init.filter(|statement| statement.word(0) == "new").find(|statement| statement.word(1) == name);
    let backend = program.named("backend", name);
    // `backend none none` answers nothing.
    let serves = backend.is_some_and(|backend| backend.word(2) != "none");
    (director.is_some() || serves).then_some(Farm { name, director, hint, is_conditional })
}

impl<'a> Farm<'a> {
    /// Returns the name of the site.
    pub(super) fn title(&self) -> String {
        let kind = if self.director.is_some() { "director" } else { "backend" };
        format!("{kind} {}", self.name)
    }

    /// Returns the kind of the director, for example `directors.round_robin`; empty if there is none.
    pub(super) fn policy(&self) -> &'a str {
        self.director.map_or("", |director| director.word(3))
    }

    /// Returns the statements that add servers, `farm.add_backend(name, weight)`.
    pub(super) fn additions(&self, program: &'a Program) -> Vec<&'a Statement> {
        let method = format!("{}.add_backend", self.name);
        let init = program.statements("vcl_init").into_iter();
        init.filter(|statement| statement.word(0) == method && self.director.is_some()).collect()
    }

    /// Returns the declarations of its backends.
    pub(super) fn backends(&self, program: &'a Program) -> Vec<&'a Statement> {
        if self.director.is_none() {
            return program.named("backend", self.name).into_iter().collect();
        }
        self.additions(program).into_iter().filter_map(|addition| program.named("backend", addition.word(2))).collect()
    }

    /// Returns the words between the brackets of `farm.backend(...)`.
    pub(super) fn key(&self) -> String {
        let words: Vec<&str> =
            self.hint.map_or(Vec::new(), |hint| hint.tokens.iter().skip(5).map(|token| &*token.text).collect());
        words.split_last().map_or_else(String::new, |(_, words)| words.join(" "))
    }
}

/// Returns the statement of a backend that sets a field, for example `.host = "..."`.
pub(super) fn field<'a>(backend: &'a Statement, name: &str) -> Option<&'a Statement> {
    backend.body().iter().find(|statement| statement.word(0) == name)
}
