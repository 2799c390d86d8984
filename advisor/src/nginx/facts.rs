//! Converts the directives of a site into values of a profile.
//!
//! The names are those of nginx's reference: <https://nginx.org/en/docs/dirindex.html>.

use super::site::{Found, is_root, target};
use super::tree::{Directive, named};
use crate::Site;
use crate::value::{quoted, time};

/// Reads a site. `version` is the version of the program that is to run it.
pub(super) fn site(tree: &[Directive], found: &Found<'_>, version: Option<&str>) -> Site {
    let mut reader = Reader {
        tree,
        found,
        keeps_by_default: keeps_by_default(version),
        site: Site::new(found.name(), "nginx-1.22"),
    };
    reader.site.servers = found.servers().len().max(1);
    reader.upstream_target();
    if found.part.name == "stream" {
        reader.site.base = "nginx-stream";
        reader.reason(
            Some(found.part),
            "connections are passed on unread, so that each client has its own connection to a server",
        );
    } else {
        reader.reuse();
        reader.connections();
        reader.fields();
        reader.unread();
    }
    reader.selection();
    reader.servers();
    reader.workers();
    reader.listener();
    reader.site
}

struct Reader<'t, 'a> {
    tree: &'t [Directive],
    found: &'a Found<'t>,
    /// Whether this version keeps connections to an upstream unless it is configured not to, as versions from 1.29.7 on
    /// do.
    keeps_by_default: bool,
    site: Site,
}

/// What happens to the connection to a server after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// The connection closes.
    Closes,
    /// The connection is kept with HTTP/1.1.
    Kept,
    /// The connection is kept with HTTP/1.0 as well.
    Asked,
}

impl Reader<'_, '_> {
    /// Determines where requests go, as far as the file says.
    fn upstream_target(&mut self) {
        let pass = self.found.pass;
        let (scheme, host, _) = target(pass.argument(0));
        self.site.tls.1 = scheme == "https";
        if host.contains('$') && self.found.chosen.is_some() {
            self.cannot_read(pass, "a variable decides where requests go, and this is one of the destinations");
        } else if host.contains('$') {
            self.cannot_read(pass, "a variable decides where requests go");
        }
    }

    /// Determines whether a connection to a server is kept, and for whom.
    fn reuse(&mut self) {
        let Some(upstream) = self.found.upstream else {
            return self.reason(
                Some(self.found.pass),
                "without an `upstream {}`, the server's connection closes after each answer, so that nobody can log on",
            );
        };
        if let Some(ntlm) = upstream.named("ntlm").next() {
            self.site.base = "nginx-plus-ntlm";
            let is = "a client's connection gets its own connection to a server once it sends `Authorization: NTLM` or `Negotiate`";
            self.reason(Some(ntlm), is);
            return self.cannot_read(ntlm, "only nginx Plus, or a third-party module, has this directive");
        }
        let keepalive = upstream.named("keepalive").next_back();
        let slots = keepalive.map_or(if self.keeps_by_default { "32" } else { "0" }, |line| line.argument(0));
        if slots == "0" {
            let is = "the server's connection closes after each answer, so that nobody can log on";
            return self.reason(keepalive.or(Some(upstream)), is);
        }
        let method = upstream.inner().iter().rposition(is_method);
        let place = upstream.inner().iter().rposition(|line| line.name == "keepalive");
        if let (Some(method), Some(place)) = (method, place)
            && place < method
        {
            let is = "it replaces the `keepalive` above it, so that the server's connection closes after each answer";
            return self.reason(Some(&upstream.inner()[method]), is);
        }
        let version = self.found.setting("proxy_http_version");
        let is_http11 = version.map_or(self.keeps_by_default, |line| line.argument(0) != "1.0");
        let header = self.connection_header();
        if let (Some(line), Connection::Closes) = (&header.0, &header.1) {
            return self
                .reason(Some(line), "the server closes its connection after each answer, so that nobody can log on");
        }
        if header.0.is_none() && !self.keeps_by_default {
            let own = self.found.settings("proxy_set_header");
            let keepalive = own.first().copied().filter(|line| self.hides_connection(line)).or(keepalive);
            let is = "without `proxy_set_header Connection \"\"` each request has `Connection: close`, so that nobody can log on";
            return self.reason(keepalive, is);
        }
        if !is_http11 && header.1 != Connection::Asked {
            let is = "requests use HTTP/1.0, after which the server closes its connection, so that nobody can log on";
            return self.reason(version.or(keepalive), is);
        }
        self.site.base = if self.keeps_by_default && keepalive.is_none() { "nginx-1.29.7" } else { "nginx-keepalive" };
        self.reason(keepalive.or(Some(upstream)), "an idle connection to a server may serve any client's request");
        if let Some(line) = keepalive {
            self.fact(line, "pool.in_all", line.argument(0).to_owned());
        }
        for (name, key) in [("keepalive_timeout", "pool.idle"), ("keepalive_time", "pool.life")] {
            if let Some(line) = upstream.named(name).next_back()
                && let Some(time) = milliseconds(line.argument(0))
            {
                self.fact(line, key, quoted(&time));
            }
        }
        if let Some(line) = upstream.named("keepalive_requests").next_back()
            && line.argument(0).parse::<u32>().is_ok_and(|count| count > 0)
        {
            self.fact(line, "pool.requests", line.argument(0).to_owned());
        }
    }

    /// Determines the `Connection` field towards a server, and where it is set.
    fn connection_header(&mut self) -> (Option<Directive>, Connection) {
        let headers = self.found.settings("proxy_set_header");
        let line = headers.into_iter().rev().find(|line| line.argument(0).eq_ignore_ascii_case("connection"));
        let Some(line) = line else { return (None, Connection::Kept) };
        let value = line.argument(1);
        let value = match value.strip_prefix('$') {
            None => value.to_owned(),
            Some("http_connection") => "keep-alive".to_owned(),
            Some(variable) => {
                if let Some(value) = self.mapped(variable) {
                    value
                } else {
                    self.cannot_read(
                        line,
                        "a variable decides whether the server's connection is kept; it is assumed to be kept",
                    );
                    String::new()
                }
            }
        };
        let value = value.to_ascii_lowercase();
        let says = |what: &str| value.split(',').any(|word| word.trim() == what);
        let connection = match (says("close"), says("keep-alive")) {
            (true, _) => Connection::Closes,
            (false, true) => Connection::Asked,
            (false, false) => Connection::Kept,
        };
        (Some(line.clone()), connection)
    }

    /// Returns whether the header fields of a level hide a `Connection` field of an outer level, since a level that
    /// sets any field inherits none.
    fn hides_connection(&self, line: &Directive) -> bool {
        let sets = |level: &&Directive| {
            level.named("proxy_set_header").any(|line| line.argument(0).eq_ignore_ascii_case("connection"))
        };
        let is_own = |level: &&Directive| level.inner().iter().any(|one| std::ptr::eq(one, line));
        self.found.levels().iter().skip_while(|level| !is_own(level)).skip(1).any(sets)
    }

    /// Returns the value of a `map` for a request without an upgrade: the value for an empty string, or the default.
    fn mapped(&self, variable: &str) -> Option<String> {
        let is_it = |map: &&Directive| map.argument(1).strip_prefix('$') == Some(variable);
        let map = self.found.part.named("map").find(is_it)?;
        let value = |name: &str| map.named(name).next_back().map(|line| line.argument(0).to_owned());
        if map.argument(0) != "$http_upgrade" {
            return None;
        }
        Some(value("").or_else(|| value("default")).unwrap_or_default())
    }

    /// Reads timeouts, limits and retries.
    fn connections(&mut self) {
        if let Some(line) = self.found.setting("keepalive_timeout") {
            match milliseconds(line.argument(0)) {
                Some(time) => self.fact(line, "client_idle", quoted(&time)),
                None => self.fact(line, "client_requests", "1".into()),
            }
        }
        if let Some(line) = self.found.setting("keepalive_requests")
            && line.argument(0).parse::<u32>().is_ok_and(|count| count > 0)
        {
            self.fact(line, "client_requests", line.argument(0).to_owned());
        }
        if let Some(line) = self.found.setting("proxy_read_timeout")
            && let Some(time) = milliseconds(line.argument(0))
        {
            self.fact(line, "answer", quoted(&time));
        }
        if let Some(line) = self.found.setting("proxy_next_upstream") {
            let words: Vec<&str> = line.texts().collect();
            let has = |word: &str| words.contains(&word);
            if has("off") {
                self.fact(line, "retry.connect", quoted("fail"));
                self.fact(line, "retry.lost", quoted("never"));
                self.site.without.push("retry.lost_elsewhere");
                self.site.without.push("retry.carries_authenticate");
            } else if has("non_idempotent") {
                self.fact(line, "retry.lost", quoted("any"));
            }
            if words.iter().any(|word| word.starts_with("http_") || *word == "invalid_header") {
                self.cannot_read(
                    line,
                    "a request that was answered may be sent to another server, which is not simulated",
                );
            }
        }
    }

    /// Reads the header fields on which authentication depends.
    fn fields(&mut self) {
        for line in self.found.settings("proxy_set_header") {
            match (&*line.argument(0).to_ascii_lowercase(), line.argument(1)) {
                ("authorization", "") => self.fact(line, "scrub", quoted("Authorization")),
                ("authorization", value) if value != "$http_authorization" => {
                    self.cannot_read(line, "it changes the field with which users log on");
                }
                ("x-forwarded-for", value) if value.contains("remote_addr") || value.contains("x_forwarded_for") => {
                    self.fact(line, "forwarded_for", "true".into());
                }
                _ => {}
            }
        }
        for line in self.found.settings("proxy_hide_header") {
            if line.argument(0).eq_ignore_ascii_case("www-authenticate") {
                self.cannot_read(line, "clients do not see the challenge, so that they cannot log on");
            }
        }
    }

    /// Reports directives that may matter and are not modelled.
    fn unread(&mut self) {
        for (name, why) in [
            ("proxy_cache", "answers come from a cache, for any client"),
            ("auth_request", "another server decides which users get in"),
            ("auth_basic", "nginx itself asks for a password in `Authorization`"),
            ("proxy_pass_request_headers", "`Authorization` may not be passed on"),
            ("proxy_method", "requests have another method"),
            ("proxy_bind", "each client's address may have its own connections to servers"),
            ("mirror", "requests are sent a second time"),
            ("sticky", "only nginx Plus, or 1.29.6 and later, has this directive"),
            ("access_by_lua_file", "a program decides what happens here"),
            ("js_access", "a program decides what happens here"),
        ] {
            let line = self.found.setting(name).or_else(|| self.found.upstream?.named(name).next());
            if let Some(line) = line.filter(|line| line.argument(0) != "off") {
                self.cannot_read(line, why);
            }
        }
        for level in self.found.levels() {
            for line in level.inner() {
                if matches!(&*line.name, "if" | "limit_except") {
                    self.cannot_read(line, "parts that depend on a condition are not evaluated");
                } else if line.name.contains("_by_lua") || !super::directives::is_known(&line.name) {
                    self.cannot_read(line, "this directive is unknown");
                }
            }
        }
        if let Some(upstream) = self.found.upstream {
            for line in upstream.inner().iter().filter(|line| !super::directives::is_known(&line.name)) {
                self.cannot_read(line, "this directive is unknown");
            }
        }
        if !is_root(&self.found.locations)
            && let Some(location) = self.found.locations.last()
            && location.arguments.len() > 1
        {
            self.cannot_read(location, "a pattern decides for which requests this is; in the run it is for all");
        }
    }

    /// Determines how a server is chosen.
    fn selection(&mut self) {
        let method = self.found.upstream.and_then(|upstream| upstream.inner().iter().rfind(|line| is_method(line)));
        let Some(line) = method else {
            if let Some(upstream) = self.found.upstream {
                self.reason(Some(upstream), "servers take turns");
            }
            return;
        };
        let words: Vec<&str> = line.texts().collect();
        let consistent = words.contains(&"consistent");
        let hash = if consistent { "consistent-hash" } else { "hash" };
        let is_http = self.found.part.name == "http";
        let values: Vec<(&'static str, String)> = match (&*line.name, words.first().copied().unwrap_or_default()) {
            ("ip_hash", _) => vec![
                ("select.algorithm", quoted("hash")),
                ("select.key", quoted("source")),
                ("select.mask", "[24, 128]".into()),
            ],
            ("least_conn", _) => vec![("select.algorithm", quoted("least-connections"))],
            ("random", "two") => vec![("select.algorithm", quoted("random")), ("select.draws", "2".into())],
            ("random", _) => vec![("select.algorithm", quoted("random"))],
            ("hash", "$remote_addr" | "$binary_remote_addr") => {
                vec![("select.algorithm", quoted(hash)), ("select.key", quoted("source"))]
            }
            ("hash", "$request_uri") if is_http => {
                vec![("select.algorithm", quoted(hash)), ("select.key", quoted("uri-and-query"))]
            }
            ("hash", "$uri") if is_http => vec![("select.algorithm", quoted(hash)), ("select.key", quoted("uri"))],
            _ => {
                return self
                    .cannot_read(line, "this way of choosing a server is not simulated; the simulation takes turns");
            }
        };
        self.site.without.push("select");
        for (key, value) in values {
            self.fact(line, key, value);
        }
        self.reason(Some(line), "it decides which server serves");
    }

    /// Reads the settings of the servers themselves.
    fn servers(&mut self) {
        let servers = self.found.servers();
        let parameter = |line: &Directive, name: &str| {
            let found = line.texts().skip(1).find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned)
        };
        let weights: Vec<Option<u16>> =
            servers.iter().map(|line| parameter(line, "weight").and_then(|weight| weight.parse().ok())).collect();
        if weights.iter().any(Option::is_some)
            && let Some(first) = servers.first()
        {
            let weights: Vec<String> = weights.iter().map(|weight| weight.unwrap_or(1).to_string()).collect();
            self.fact(first, "select.weights", format!("[{}]", weights.join(", ")));
        }
        for line in &servers {
            for word in line.texts().skip(1) {
                if matches!(word, "backup" | "down" | "resolve")
                    || word.starts_with("slow_start")
                    || word.starts_with("route")
                {
                    self.cannot_read(line, "this parameter of a server is not simulated");
                }
            }
            if line.argument(0).starts_with("unix:") {
                self.cannot_read(line, "a server behind a Unix socket is another program of this host");
            }
        }
        let Some(first) = servers.first().copied() else { return };
        match parameter(first, "max_fails") {
            Some(count) if count == "0" => self.site.without.push("passive"),
            Some(count) if count.parse::<u32>().is_ok() => self.fact(first, "passive.fails", count),
            _ => {}
        }
        let given = parameter(first, "fail_timeout").and_then(|time| milliseconds(&time));
        if let Some(time) = given.filter(|_| !self.site.without.contains(&"passive")) {
            self.fact(first, "passive.within", quoted(&time));
            self.fact(first, "passive.out_for", quoted(&time));
        }
        if let Some(most) = parameter(first, "max_conns").filter(|most| most.parse::<u32>().is_ok_and(|most| most > 0))
        {
            self.fact(first, "select.max_connections", most);
        }
    }

    /// Determines the number of processes, each of which has its own pool.
    fn workers(&mut self) {
        let Some(line) = named(self.tree, "worker_processes").next_back() else { return };
        // There are as many as this machine has cores; two of them show the behaviour of several.
        let count = line.argument(0).parse::<u16>().unwrap_or(2);
        if count > 1 && self.found.part.name == "http" {
            let shared = self.found.upstream.is_some_and(|upstream| upstream.named("zone").next().is_some());
            self.fact(line, "workers.count", count.min(16).to_string());
            self.fact(line, "workers.landing", quoted("random"));
            self.fact(line, "workers.turns", quoted(if shared { "shared" } else { "own" }));
        }
    }

    fn listener(&mut self) {
        let listens: Vec<&Directive> = self.found.server.named("listen").collect();
        let is_secured = |line: &&&Directive| line.texts().any(|word| word == "ssl");
        let secured = listens.iter().find(is_secured);
        self.site.tls.0 = secured.is_some() && self.found.part.name == "http";
        let http2 = self.found.setting("http2").is_some_and(|line| line.argument(0) == "on");
        self.site.http2 = http2 || secured.is_some_and(|line| line.texts().any(|word| word == "http2"));
    }

    fn fact(&mut self, line: &Directive, key: &'static str, toml: String) {
        self.site.fact(&line.said(), key, toml);
    }

    fn cannot_read(&mut self, line: &Directive, why: &str) {
        self.site.cannot_read(&line.said(), why);
    }

    /// Adds a reason for the choice of the mechanism: a line, or the product's default.
    fn reason(&mut self, line: Option<&Directive>, is: &str) {
        match line {
            Some(line) => self.site.reason(&line.said(), is),
            None => self.site.default_reason("keepalive 32", is),
        }
    }
}

/// Returns whether a directive of an upstream chooses its servers.
pub(super) fn is_method(line: &Directive) -> bool {
    matches!(&*line.name, "ip_hash" | "least_conn" | "hash" | "random" | "least_time")
}

/// Returns a time in nginx's notation (<https://nginx.org/en/docs/syntax.html>) in that of profiles; `None` for zero,
/// and for a text that is not a time.
fn milliseconds(text: &str) -> Option<String> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units: [(&str, u64); 8] = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 604_800_000),
            ("M", 2_592_000_000),
            ("y", 31_536_000_000),
        ];
        let (unit, factor) = match units.iter().find(|(unit, _)| rest.starts_with(unit)) {
            Some(&(unit, factor)) => (unit, factor),
            None if rest.is_empty() => ("", 1_000),
            None => return None,
        };
        rest = rest[unit.len()..].trim_start();
        total = total.checked_add(number.checked_mul(factor)?)?;
    }
    time(total)
}

/// Returns whether a version keeps connections to servers by default: <https://nginx.org/en/CHANGES>, 1.29.7.
fn keeps_by_default(version: Option<&str>) -> bool {
    let mut numbers = version.unwrap_or_default().split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next(), next()) >= (1, 29, 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_nginx() {
        for (text, time) in [
            ("60", Some("1m")),
            ("75s", Some("75s")),
            ("1h 30m", Some("90m")),
            ("1m30s", Some("90s")),
            ("100ms", Some("100ms")),
            ("0", None),
            ("10x", None),
            ("", None),
        ] {
            assert_eq!(milliseconds(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn the_default_changed_with_1_29_7() {
        for (version, keeps) in [
            (None, false),
            (Some("1.22.1"), false),
            (Some("1.29.6"), false),
            (Some("1.29.7"), true),
            (Some("1.31.5"), true),
        ] {
            assert_eq!(keeps_by_default(version), keeps, "{version:?}");
        }
    }
}
