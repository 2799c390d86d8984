//! Converts the statements of a site into values of a profile.
//!
//! The sources are, for backends and probes: <https://varnish-cache.org/docs/7.1/reference/vcl-backend.html> and
//! `vcl-probe.html`; for directors: <https://varnish-cache.org/docs/7.1/reference/vmod_directors.html>; for requests
//! without a statement: <https://varnish-cache.org/docs/7.1/users-guide/vcl-built-in-code.html>.

use super::parse::{Program, Statement};
use super::site::{Farm, field};
use crate::Site;
use crate::value::{milliseconds, quoted, rewritten};

/// The header fields on which authentication on a connection depends.
const SENSITIVE: [&str; 6] =
    ["authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate", "connection", "keep-alive"];

/// The names under which a VCL has Varnish's own modules.
pub(super) const OWN_MODULES: [&str; 8] = ["directors", "std", "cookie", "blob", "proxy", "purge", "unix", "vtc"];

/// Reads a site.
pub(super) fn site(program: &Program, farm: &Farm<'_>) -> Site {
    let mut reader = Reader { program, farm, site: Site::new(farm.title(), "varnish") };
    reader.site.servers = farm.backends(program).len();
    reader.mechanism();
    reader.selection();
    reader.servers();
    reader.unread();
    reader.site.finished()
}

struct Reader<'a> {
    program: &'a Program,
    farm: &'a Farm<'a>,
    site: Site,
}

/// Returns the statement that pipes every request, if there is one.
pub(super) fn pipe(program: &Program) -> Option<&Statement> {
    let first = program.statements("vcl_recv").into_iter().find(|statement| statement.word(0) == "return");
    first.filter(|statement| statement.word(2) == "pipe")
}

/// Returns the statement because of which a pipe is not closed after its first answer.
pub(super) fn kept_pipe(program: &Program) -> Option<&Statement> {
    program
        .statements("vcl_pipe")
        .into_iter()
        .find(|statement| statement.word(0) == "unset" && is_field(statement, "bereq", "connection"))
}

/// Returns whether a statement is about this field of a message.
fn is_field(statement: &Statement, message: &str, name: &str) -> bool {
    statement.word(1).to_ascii_lowercase() == format!("{message}.http.{name}")
}

impl Reader<'_> {
    /// Determines the shipped profile that the site resembles, by who may use a server's idle connection.
    fn mechanism(&mut self) {
        if let Some(pipe) = pipe(self.program) {
            if let Some(kept) = kept_pipe(self.program) {
                self.site.base = "varnish-pipe";
                let is = "a client's connection is passed on unread from its first request on, over its own connection";
                return self.site.reason(&kept.said, is);
            }
            self.site.base = "varnish-pipe-close";
            let is = "a pipe closes after its first answer, because vcl_pipe does not remove `bereq.http.connection`, so that nobody can log on";
            return self.site.reason(&pipe.said, is);
        }
        let closes = self.program.statements("vcl_backend_fetch").into_iter().find(|statement| {
            statement.word(0) == "set"
                && is_field(statement, "bereq", "connection")
                && statement.word(3).eq_ignore_ascii_case("close")
        });
        if let Some(closes) = closes {
            self.site.without.push("pool");
            let is = "each request has its own connection to the server, so that nobody can log on";
            return self.site.reason(&closes.said, is);
        }
        self.site
            .default_reason("return (pass) or a miss", "an idle connection to a server may serve any client's request");
    }

    /// Reads the directors.
    fn selection(&mut self) {
        let Some(director) = self.farm.director else {
            return self.site.default_reason("(one backend)", "there is nothing to choose from");
        };
        let said = &director.said;
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        let key = self.farm.key();
        let is = match self.farm.policy().strip_prefix("directors.").unwrap_or_default() {
            "round_robin" => "servers take turns",
            "random" => {
                facts.push(("select.algorithm", quoted("random")));
                "the server is drawn for each request"
            }
            "hash" if matches!(&*key, "client.identity" | "client.ip") => {
                facts.push(("select.algorithm", quoted("hash")));
                facts.push(("select.key", quoted("source")));
                "a client's address decides which server serves"
            }
            "hash" if key == "req.url" => {
                facts.push(("select.algorithm", quoted("hash")));
                facts.push(("select.key", quoted("uri-and-query")));
                "the URL decides which server serves"
            }
            "hash" if key.starts_with("req.http.") && !key.contains(' ') => {
                let name = key.trim_start_matches("req.http.");
                facts.push(("select.algorithm", quoted("hash")));
                facts.push(("select.key", quoted("header")));
                facts.push(("select.header", quoted(name)));
                self.site.cannot_read(said, "the file does not show whether requests have this field");
                "a header field decides which server serves"
            }
            "fallback" => {
                self.site.cannot_read(
                    said,
                    "the first server that is up serves all clients, but in the simulation servers take turns",
                );
                "the first server that is up serves"
            }
            _ => {
                self.site
                    .cannot_read(said, "this way of choosing a server is not simulated; the simulation takes turns");
                "the way of choosing a server is unknown"
            }
        };
        for (key, toml) in facts {
            self.site.fact(said, key, toml);
        }
        let additions = self.farm.additions(self.program);
        let weights: Vec<f64> = additions.iter().map(|addition| addition.word(4).parse().unwrap_or(1.0)).collect();
        if let (Some(first), true) =
            (additions.first(), weights.iter().any(|weight| (weight - 1.0).abs() > f64::EPSILON))
        {
            if weights.iter().all(|weight| weight.fract() == 0.0 && (0.0..=256.0).contains(weight)) {
                let weights: Vec<String> = weights.iter().map(|weight| format!("{weight:.0}")).collect();
                self.site.fact(&first.said, "select.weights", format!("[{}]", weights.join(", ")));
            } else {
                self.site.cannot_read(&first.said, "only whole weights are simulated");
            }
        }
        self.site.reason(said, is);
    }

    /// Reads the backends and their probes.
    fn servers(&mut self) {
        let backends = self.farm.backends(self.program);
        let find = |name: &str| backends.iter().find_map(|backend| field(backend, name));
        if let Some((line, time)) = find(".first_byte_timeout").and_then(|line| Some((line, rewritten(line.word(2))?)))
        {
            self.site.fact(&line.said, "answer", quoted(&time));
        }
        if let Some((line, most)) =
            find(".max_connections").and_then(|line| Some((line, line.word(2).parse::<u32>().ok()?)))
        {
            self.site.fact(&line.said, "select.max_connections", most.to_string());
        }
        if let Some(line) = find(".proxy_header") {
            self.site.cannot_read(&line.said, "IIS does not read the PROXY protocol");
        }
        let Some(line) = find(".probe") else { return };
        let probe = if line.body.is_some() { Some(line) } else { self.program.named("probe", line.word(2)) };
        let Some(probe) = probe else { return };
        let value = |name: &str| field(probe, name).map(|statement| statement.word(2));
        let milliseconds = |name: &str, otherwise: u64| value(name).and_then(milliseconds).unwrap_or(otherwise);
        let interval = milliseconds(".interval", 5_000);
        let timeout = milliseconds(".timeout", 2_000).min(interval);
        let number =
            |name: &str, otherwise: u32| value(name).and_then(|value| value.parse::<u32>().ok()).unwrap_or(otherwise);
        // At least `threshold` of the last `window` answers have to be good.
        let (window, threshold) = (number(".window", 8), number(".threshold", 3).max(1));
        let fall = (window + 1).saturating_sub(threshold).max(1);
        let written = |length: u64| quoted(&crate::value::time(length).unwrap_or_default());
        for (key, toml) in [
            ("check.probe", quoted("http")),
            ("check.uri", quoted(value(".url").unwrap_or("/"))),
            ("check.interval", written(interval)),
            ("check.timeout", written(timeout)),
            ("check.rise", threshold.to_string()),
            ("check.fall", fall.to_string()),
        ] {
            self.site.fact(&probe.said, key, toml);
        }
        let status = u16::try_from(number(".expected_response", 200)).unwrap_or(200);
        self.site.alive(&probe.said, &[(status, status)]);
    }

    /// Reports the parts that conditions, other code and modules decide.
    fn unread(&mut self) {
        if self.farm.is_conditional
            && let Some(hint) = self.farm.hint
        {
            self.site.cannot_read(&hint.said, "a condition decides which requests go here; in the run all of them do");
        }
        for sub in [
            "vcl_recv",
            "vcl_pipe",
            "vcl_pass",
            "vcl_hash",
            "vcl_backend_fetch",
            "vcl_backend_response",
            "vcl_backend_error",
            "vcl_deliver",
        ] {
            for statement in self.program.statements(sub) {
                self.statement(sub, statement);
            }
        }
        for declaration in &self.program.declarations {
            let is_foreign = declaration.word(0) == "import" && !OWN_MODULES.contains(&declaration.word(1));
            if is_foreign || declaration.is_code() {
                self.site.cannot_read(&declaration.said, "the effect of this code is unknown");
            }
        }
    }

    fn statement(&mut self, sub: &str, statement: &Statement) {
        let said = &statement.said;
        match statement.word(0) {
            "if" if statement.answers_without_servers() => {}
            "if" | "else" | "elseif" | "elsif" | "elif" => {
                self.site.cannot_read(said, "it is decided for each request");
            }
            "set" | "unset" => {
                let field = statement.word(1).to_ascii_lowercase();
                let Some((message, name)) = field.split_once(".http.") else { return };
                if !SENSITIVE.contains(&name) {
                    return;
                }
                let is_known = matches!((sub, name), ("vcl_pipe" | "vcl_backend_fetch", "connection"));
                if (statement.word(0), sub, message, name) == ("unset", "vcl_recv", "req", "authorization") {
                    self.site.fact(said, "scrub", quoted("Authorization"));
                } else if !is_known {
                    self.site.cannot_read(said, "it changes a field on which authentication depends");
                }
            }
            "return" if matches!(statement.word(2), "synth" | "restart" | "retry" | "fail" | "vcl" | "purge") => {
                self.site
                    .cannot_read(said, "requests are answered or sent again in a way that differs from the simulation");
            }
            _ if statement.is_code() => self.site.cannot_read(said, "the effect of this code is unknown"),
            "call" => self.site.cannot_read(said, "other subroutines are not read"),
            _ => {}
        }
    }
}
