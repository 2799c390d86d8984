//! Creates a copy of the file for a run: the run's backends, one director, and those statements of the subroutines that
//! are known and unconditional.
//!
//! The copy may contain `set` and `unset` of fields of requests to plain texts, `return` of `pass`, `pipe` and `hash`,
//! a 503 while no server is up, timeouts of backends, probes by HTTP, and Varnish's own directors. Everything else is
//! left out.

use std::fmt::Write as _;

use super::facts::OWN_MODULES;
use super::parse::{Program, Statement};
use super::site::{Farm, field};
use super::tokens::{Kind, Token};
use crate::Sandbox;
use crate::draft::{ALIVE, Draft};
use crate::reasons::{CONTACTS, EXECUTES, UNKNOWN};
use crate::template::literal;

/// The fields of a backend that stay.
const BACKEND: [&str; 4] = [".connect_timeout", ".first_byte_timeout", ".between_bytes_timeout", ".max_connections"];

/// The fields of a probe that stay.
const PROBE: [&str; 5] = [".url", ".interval", ".timeout", ".window", ".threshold"];

/// The directors that stay, each with the text between the brackets of its construction.
const DIRECTORS: [(&str, &str); 4] =
    [("directors.round_robin", ""), ("directors.random", ""), ("directors.hash", ""), ("directors.fallback", "sticky")];

/// Creates the copy for a farm.
pub(super) fn sandbox(program: &Program, farm: &Farm<'_>) -> Sandbox {
    let mut writer = Writer { program, farm, draft: Draft::default() };
    writer.draft.template("vcl 4.1;\nimport directors;\nimport std;");
    writer.declarations();
    writer.backends();
    writer.director();
    for (sub, message) in [("vcl_recv", "req"), ("vcl_pipe", "bereq"), ("vcl_backend_fetch", "bereq")] {
        writer.sub(sub, message);
    }
    writer.draft.changes.sort_by(|one, other| one.place.cmp(&other.place));
    writer.draft.finished()
}

struct Writer<'a> {
    program: &'a Program,
    farm: &'a Farm<'a>,
    draft: Draft,
}

impl Writer<'_> {
    /// Records the parts of the file that the run does not have.
    fn declarations(&mut self) {
        let own: Vec<&Statement> = self.farm.backends(self.program);
        for declaration in &self.program.declarations {
            let is_own = own.iter().any(|backend| std::ptr::eq(*backend, declaration));
            match declaration.word(0) {
                "vcl" | "probe" | "acl" => {}
                "backend" if is_own => {}
                "backend" => self.draft.leave(&declaration.said, "it is another farm", false),
                "import" if OWN_MODULES.contains(&declaration.word(1)) => {}
                "import" => self.draft.leave(&declaration.said, EXECUTES, true),
                "sub" if matches!(declaration.word(1), "vcl_recv" | "vcl_pipe" | "vcl_backend_fetch") => {}
                "sub" if declaration.word(1) == "vcl_init" => self.init(declaration),
                "sub" => self.leave_all(
                    declaration,
                    matches!(declaration.word(1), "vcl_hash" | "vcl_backend_response" | "vcl_backend_error"),
                ),
                _ if declaration.is_code() => self.draft.leave(&declaration.said, EXECUTES, true),
                _ => self.draft.leave(&declaration.said, UNKNOWN, true),
            }
        }
    }

    fn init(&mut self, init: &Statement) {
        for statement in init.body() {
            let is_own = self.farm.director.is_some_and(|own| std::ptr::eq(own, statement));
            let adds = statement.word(0) == format!("{}.add_backend", self.farm.name);
            if !is_own && !adds {
                let foreign = statement.word(0) == "new" && !statement.word(3).starts_with("directors.");
                self.draft.leave(&statement.said, if foreign { CONTACTS } else { "it is about another farm" }, foreign);
            }
        }
    }

    /// Leaves each statement of a block out.
    fn leave_all(&mut self, block: &Statement, matters: bool) {
        for statement in block.body() {
            let why = if statement.is_code() { EXECUTES } else { UNKNOWN };
            self.draft.leave(&statement.said, why, matters || statement.is_code());
            self.leave_all(statement, false);
        }
    }

    /// Writes the run's backends, which are like the first of the farm.
    fn backends(&mut self) {
        let own = self.farm.backends(self.program);
        let mut fields = String::new();
        for (index, backend) in own.iter().enumerate() {
            self.draft.change(
                &backend.said,
                Some("backend (a server of the run)"),
                "the run has Stickler's servers",
                false,
            );
            for line in backend.body() {
                let name = line.word(0);
                if BACKEND.contains(&name) && line.tokens.len() == 3 && is_number(line.word(2)) {
                    if index == 0 {
                        let _ = writeln!(fields, "    {name} = {};", line.word(2));
                    }
                } else if name == ".probe" {
                    let probe =
                        if line.body.is_some() { Some(line) } else { self.program.named("probe", line.word(2)) };
                    if let Some(probe) = probe {
                        let text = self.probe(probe);
                        if index == 0 {
                            fields.push_str(&text);
                        }
                    }
                } else if !matches!(name, ".host" | ".port" | ".path" | ".host_header") {
                    self.draft.leave(&line.said, UNKNOWN, true);
                }
            }
        }
        self.draft.template(&format!(
            "{{% for server in servers %}}\nbackend {{{{ server.name }}}} {{\n    .host = \"{{{{ server.host }}}}\";\n    \
             .port = \"{{{{ server.port }}}}\";\n{fields}}}\n{{% endfor %}}"
        ));
    }

    /// Writes a probe that counts 401 as alive, since a probe can expect only one status.
    fn probe(&mut self, probe: &Statement) -> String {
        let mut text = String::from("    .probe = {\n");
        for line in probe.body() {
            let (name, value) = (line.word(0), line.tokens.get(2));
            if !PROBE.contains(&name) || line.tokens.len() != 3 {
                self.draft.leave(
                    &line.said,
                    "a probe sends the run's servers a request, and counts 401 as alive",
                    !matches!(name, ".expected_response" | ".initial"),
                );
            } else if let Some(value) = value.and_then(written) {
                let _ = writeln!(text, "        {name} = {};", literal(&value));
            }
        }
        self.draft.change(&probe.said, Some(".expected_response = 401"), ALIVE, false);
        // Servers are up when the run begins, and not only after the first probe.
        let threshold = field(probe, ".threshold").map_or("3", |line| line.word(2));
        let initial = threshold.parse::<u8>().unwrap_or(3);
        let _ = write!(text, "        .initial = {initial};\n        .expected_response = 401;\n    }}\n");
        text
    }

    fn director(&mut self) {
        let policy = self.farm.policy();
        let known = DIRECTORS.iter().find(|(name, _)| *name == policy);
        let weighted = matches!(policy, "directors.random" | "directors.hash");
        if let Some(director) = self.farm.director.filter(|_| known.is_none()) {
            self.draft.change(
                &director.said,
                Some("new farm = directors.round_robin()"),
                "this director is unknown",
                true,
            );
        }
        let name = known.map_or("directors.round_robin", |(name, _)| *name);
        let is_sticky = known.is_some_and(|(_, argument)| !argument.is_empty())
            && self.farm.director.is_some_and(|director| director.tokens.iter().any(|token| token.is("true")));
        let argument = if is_sticky { "sticky = true" } else { "" };
        let additions = self.farm.additions(self.program);
        let weights: Vec<String> = additions
            .iter()
            .map(|addition| addition.word(4))
            .map(|weight| if is_decimal(weight) { weight } else { "1.0" }.to_owned())
            .collect();
        let weight = match (weighted, weights.is_empty()) {
            (false, _) => String::new(),
            (true, true) => ", 1.0".into(),
            (true, false) => format!(", {{{{ [{}][loop.index0 % {}] }}}}", weights.join(", "), weights.len()),
        };
        self.draft.template(&format!(
            "sub vcl_init {{\n    new farm = {name}({argument});\n{{% for server in servers %}}\n    \
             farm.add_backend({{{{ server.name }}}}{weight});\n{{% endfor %}}\n}}"
        ));
    }

    /// Writes the statements of a subroutine that stay.
    fn sub(&mut self, sub: &str, message: &str) {
        self.draft.text(&format!("sub {sub} {{"));
        if sub == "vcl_recv" {
            let key = self.farm.key();
            let is_key = self.farm.policy() == "directors.hash";
            let key = match (is_key, &*key) {
                (false, _) => String::new(),
                (true, "client.identity" | "client.ip" | "req.url") => key,
                (true, key) if key.starts_with("req.http.") && is_name(key) => key.to_owned(),
                (true, _) => "client.identity".into(),
            };
            self.draft.text(&format!("    set req.backend_hint = farm.backend({key});"));
        }
        for statement in self.program.statements(sub) {
            if sub == "vcl_recv" && statement.answers_without_servers() {
                self.draft.text("    if (!std.healthy(req.backend_hint)) { return (synth(503)); }");
                continue;
            }
            match kept(statement, message) {
                Some(text) => self.draft.text(&format!("    {text};")),
                None if statement.word(1) == "req.backend_hint" => {
                    self.draft.change(
                        &statement.said,
                        Some("set req.backend_hint = farm.backend()"),
                        "every request goes to the judged farm",
                        false,
                    );
                }
                None if statement.is_code() => self.draft.leave(&statement.said, EXECUTES, true),
                None => {
                    let is_condition = statement.body.is_some();
                    let why = if is_condition { "it is decided for each request" } else { UNKNOWN };
                    self.draft.leave(&statement.said, why, true);
                    self.leave_all(statement, false);
                }
            }
        }
        self.draft.text("}");
    }
}

/// Returns a statement as it is written in the copy; `None` if it must not be there.
fn kept(statement: &Statement, message: &str) -> Option<String> {
    if statement.body.is_some() {
        return None;
    }
    let words: Vec<&str> = statement.tokens.iter().map(|token| &*token.text).collect();
    let prefix = format!("{message}.http.");
    match &words[..] {
        ["return", "(", what @ ("pass" | "pipe" | "hash" | "fetch"), ")"] => Some(format!("return ({what})")),
        ["unset", field] if field.starts_with(&prefix) && is_name(field) => Some(format!("unset {field}")),
        ["set", field, "=", ..] if field.starts_with(&prefix) && is_name(field) => {
            let value: Option<Vec<String>> = statement.tokens[3..].iter().map(value).collect();
            Some(format!("set {field} = {}", value?.join(" ")))
        }
        _ => None,
    }
}

/// Returns a part of a value: a plain text, a plus sign, or a property of a request.
fn value(token: &Token) -> Option<String> {
    let is_variable = |name: &str| {
        let plain = [
            "client.ip",
            "client.identity",
            "server.ip",
            "req.url",
            "req.method",
            "req.proto",
            "bereq.url",
            "bereq.method",
        ];
        plain.contains(&name) || ((name.starts_with("req.http.") || name.starts_with("bereq.http.")) && is_name(name))
    };
    match token.kind {
        Kind::Text => written(token),
        Kind::Word if token.text == "+" || is_variable(&token.text) => Some(token.text.clone()),
        Kind::Word | Kind::Code => None,
    }
}

/// Returns a text or a number as it is written; `None` if it cannot be written in one line without special characters.
fn written(token: &Token) -> Option<String> {
    match token.kind {
        Kind::Text if !token.text.contains(|c: char| c == '"' || c.is_control()) => Some(format!("\"{}\"", token.text)),
        Kind::Word if is_number(&token.text) => Some(token.text.clone()),
        _ => None,
    }
}

/// Returns whether it is a number, with or without a unit.
fn is_number(text: &str) -> bool {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    is_decimal(&text[..digits]) && matches!(&text[digits..], "" | "ms" | "s" | "m" | "h" | "d" | "w" | "y")
}

/// Returns whether it is a number that a template also accepts as one.
fn is_decimal(text: &str) -> bool {
    let is_digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    is_digits(whole) && is_digits(part)
}

fn is_name(text: &str) -> bool {
    !text.ends_with('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}
