//! Converts the lines of a site into values of a profile.
//!
//! The numbers of sections are those of HAProxy's configuration manual.

use super::parse::{File, Line, Section};
use super::settings::{
    CHECK_PAGE, Close, check_pages, close_mode, is_random_by_default, milliseconds, period, statuses, template_count,
};
use super::site::{Pair, is_server};
use crate::Site;
use crate::draft::Said;
use crate::value::{quoted, time};

/// The header fields on which authentication on a connection depends.
const SENSITIVE: [&str; 6] =
    ["authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate", "connection", "keep-alive"];

const PROXY_LINE: &str = "the PROXY line gives each client its own connection to a server, which is not simulated";

/// Reads a site. `version` is the version of the program that is to run it.
pub(super) fn site(file: &File, pair: Pair, version: Option<&str>) -> Site {
    let default_server = file.keyword(pair.back, "default-server");
    let mut reader = Reader { file, pair, default_server, site: Site::new(pair.name(file), "haproxy-safe") };
    reader.mechanism();
    reader.selection(version);
    reader.servers();
    reader.checks();
    reader.persistence();
    if reader.is_http() {
        reader.connections();
    }
    reader.listener();
    reader.unread();
    reader.site
}

struct Reader<'a> {
    file: &'a File,
    pair: Pair,
    /// The line that applies to servers of the farm unless they say otherwise.
    default_server: Option<&'a Line>,
    site: Site,
}

impl<'a> Reader<'a> {
    /// Determines which shipped profile the site resembles. The answer depends on the mode, and on who may use an idle
    /// connection to a server (section 4.2 `mode`, `http-reuse`, `option httpclose`, `option http-server-close`).
    fn mechanism(&mut self) {
        let mode = self.file.keyword(self.pair.back, "mode");
        if mode.is_none_or(|line| line.arguments().next() != Some("http")) {
            self.site.base = "haproxy-tcp";
            let is = "connections are passed on unread, so that each client has its own connection to a server";
            return self.reason(mode, "mode tcp", is);
        }
        self.reason(mode, "mode http", "requests are read one by one");
        if let Some((line, close)) = close_mode(self.file, self.pair) {
            let (base, is) = match close {
                Close::Both => {
                    ("haproxy-httpclose", "both connections close after each answer, so that nobody can log on")
                }
                Close::Server => (
                    "haproxy-server-close",
                    "the server's connection closes after each answer, so that nobody can log on",
                ),
            };
            self.site.base = base;
            return self.reason(Some(line), "", is);
        }
        if let Some(line) = self.file.keyword(self.pair.back, "max-session-srv-conns")
            && line.arguments().next() == Some("0")
        {
            self.site.base = "haproxy-server-close";
            return self.reason(
                Some(line),
                "",
                "no connection to a server is kept for a client, so that nobody can log on",
            );
        }
        if let Some(line) = self.file.body(self.pair.back).find(|line| line.keyword() == "dispatch") {
            self.site.base = "haproxy-never";
            return self.reason(Some(line), "", "a connection without a server stays with its client");
        }
        let reuse = self.file.keyword(self.pair.back, "http-reuse");
        let (base, is) = match reuse.and_then(|line| line.arguments().next()) {
            None | Some("safe") => {
                ("haproxy-safe", "an idle connection to a server may serve other clients, except their first request")
            }
            Some("aggressive") => {
                ("haproxy-aggressive", "an idle connection that was reused before may serve any client's request")
            }
            Some("never") => ("haproxy-never", "an idle connection to a server stays with its client"),
            Some(_) => ("haproxy-always", "an idle connection to a server may serve any client's request"),
        };
        self.site.base = base;
        self.reason(reuse, "http-reuse safe", is);
        self.pool();
    }

    /// Reads `pool-max-conn` and `pool-purge-delay` (section 5.2), which decide whether idle connections are kept for
    /// others at all.
    fn pool(&mut self) {
        let servers: Vec<&Line> = self.file.body(self.pair.back).filter(|line| is_server(line)).collect();
        let none = |line: &&Line| {
            self.argument(line, "pool-max-conn") == Some("0")
                || self.argument(line, "pool-purge-delay").and_then(milliseconds) == Some(0)
        };
        let closing: Vec<&Line> = servers.iter().copied().filter(none).collect();
        let Some(first) = closing.first().copied() else { return };
        if closing.len() < servers.len() {
            return self.cannot_read(first, "servers differ in whether idle connections to them are kept");
        }
        if self.base_has_shared_pool() {
            self.site.without.push("pool");
            let default = self.default_server;
            let says = first.arguments().any(|word| word.starts_with("pool-"));
            let line = if says { first } else { default.unwrap_or(first) };
            self.reason(
                Some(line),
                "",
                "an idle connection without a client closes at once, so that no client gets another client's connection",
            );
        }
    }

    /// Reads `balance` and `hash-type` (section 4.2).
    fn selection(&mut self, version: Option<&str>) {
        let Some(line) = self.file.keyword(self.pair.back, "balance") else {
            if is_random_by_default(version) {
                let first = &self.file.lines[self.file.sections[self.pair.back].first];
                let said = Said { text: "(no `balance`)".into(), ..self.file.said(first) };
                self.site.cannot_read(&said, "from 3.3 on the default is `random`; the simulation takes turns");
            }
            return self.reason(None, "balance roundrobin", "servers take turns");
        };
        let consistent = self.file.keyword(self.pair.back, "hash-type");
        let consistent = consistent.is_some_and(|line| line.arguments().next() == Some("consistent"));
        let hash = if consistent { "consistent-hash" } else { "hash" };
        let words: Vec<&str> = line.arguments().collect();
        let algorithm = words.first().copied().unwrap_or_default();
        let (name, argument) = algorithm.split_once('(').unwrap_or((algorithm, ""));
        let argument = argument.trim_end_matches(')');
        let (known, is) = match name {
            "roundrobin" => (vec![("select.algorithm", quoted("round-robin"))], "servers take turns"),
            "static-rr" => (vec![("select.algorithm", quoted("weighted-round-robin"))], "servers take turns by weight"),
            "leastconn" => (
                vec![("select.algorithm", quoted("least-connections"))],
                "the server with the fewest connections serves",
            ),
            "random" => {
                let draws = argument.parse::<u8>().unwrap_or(2);
                let draws = ("select.draws", draws.to_string());
                (
                    vec![("select.algorithm", quoted("random")), draws],
                    "the least busy of several servers drawn at random serves",
                )
            }
            "source" => (
                vec![("select.algorithm", quoted(hash)), ("select.key", quoted("source"))],
                "a client's address decides which server serves",
            ),
            "uri" if !words.iter().any(|word| matches!(*word, "len" | "depth" | "path-only")) => {
                let key = if words.contains(&"whole") { "uri-and-query" } else { "uri" };
                (
                    vec![("select.algorithm", quoted(hash)), ("select.key", quoted(key))],
                    "the URI decides which server serves",
                )
            }
            "hdr" => (
                vec![
                    ("select.algorithm", quoted(hash)),
                    ("select.key", quoted("header")),
                    ("select.header", quoted(argument)),
                ],
                "a header field decides which server serves",
            ),
            "url_param" | "rdp-cookie" => {
                // Without the parameter, servers take turns, and no hash prefers the last server (src/backend.c, assign_server;
                // measured over HAProxy 2.6.12).
                self.fact(line, "prefer_last", quoted("never"));
                let why = "the file does not show which requests have this parameter; those of the simulation have none, and servers take turns";
                return self.cannot_read(line, why);
            }
            _ => {
                let why = "this way of choosing a server is not simulated; the simulation takes turns";
                return self.cannot_read(line, why);
            }
        };
        if known.len() > 1 || name != "roundrobin" {
            self.site.without.push("select");
        }
        for (key, value) in known {
            self.fact(line, key, value);
        }
        self.reason(Some(line), "", is);
    }

    /// Reads the settings of the servers themselves (section 5.2).
    fn servers(&mut self) {
        let lines: Vec<&Line> = self.file.body(self.pair.back).filter(|line| is_server(line)).collect();
        let count = |line: &&Line| match line.keyword() {
            "server-template" => template_count(line),
            "dispatch" => 0,
            _ => 1,
        };
        self.site.servers = lines.iter().map(count).sum();
        let weights: Vec<Option<u16>> =
            lines.iter().map(|line| self.argument(line, "weight").and_then(|weight| weight.parse().ok())).collect();
        if let (Some(line), true) = (lines.first(), weights.iter().any(Option::is_some)) {
            let weights: Vec<String> = weights.iter().map(|weight| weight.unwrap_or(1).to_string()).collect();
            self.fact(line, "select.weights", format!("[{}]", weights.join(", ")));
        }
        let most: Vec<Option<u32>> = lines
            .iter()
            .map(|line| self.argument(line, "maxconn").and_then(|most| most.parse().ok()).filter(|&most| most > 0))
            .collect();
        if let Some((line, most)) = lines.iter().zip(&most).find_map(|(line, most)| Some((line, (*most)?))) {
            self.fact(line, "select.max_connections", most.to_string());
            if self.is_http() {
                // `maxqueue` is unlimited by default.
                self.fact(line, "queue.length", "100000".into());
            }
        }
        for line in &lines {
            for (word, why) in [
                ("backup", "a server that serves only if all others are down is not simulated"),
                ("disabled", "a server that is disabled is not simulated"),
                ("send-proxy", PROXY_LINE),
                ("send-proxy-v2", PROXY_LINE),
                ("usesrc", "each client's address has its own connections, which is not simulated"),
                ("observe", "failures of live traffic count; in the simulation only checks decide"),
            ] {
                if line.arguments().skip(2).any(|argument| argument == word) {
                    self.cannot_read(line, why);
                }
            }
            if line.keyword() == "dispatch" {
                self.cannot_read(
                    line,
                    "whether one server is behind the address of `dispatch`, or another balancer, is not known",
                );
            }
        }
        if let Some((line, delay)) =
            lines.iter().find_map(|line| Some((line, period(self.argument(line, "pool-purge-delay")?)?)))
            && self.base_has_shared_pool()
            && !self.site.without.contains(&"pool")
        {
            self.fact(line, "pool.idle", quoted(&delay));
        }
        let secured = |line: &&Line| self.has_argument(line, "ssl");
        self.site.tls.1 = lines.iter().any(secured);
        let http2 = lines.iter().find(|line| {
            self.argument(line, "proto") == Some("h2")
                || self.argument(line, "alpn").is_some_and(|protocols| protocols.contains("h2"))
        });
        if let Some(line) = http2 {
            let how = if self.argument(line, "proto") == Some("h2") { "http2" } else { "alpn" };
            if self.is_http() {
                self.fact(line, "upstream_http", quoted(how));
            }
        }
    }

    /// Reads `option httpchk` and `http-check expect` (section 4.2), and `check`, `inter`, `rise` and `fall` (section
    /// 5.2).
    fn checks(&mut self) {
        let Some((back, line)) = self.checked() else {
            self.site.without.push("check");
            return self.reason(None, "(no `check`)", "the servers are not checked");
        };
        self.site.without.push("check");
        let http = self.file.option(back, "httpchk");
        let interval = self.argument(line, "inter").and_then(milliseconds).filter(|&time| time > 0).unwrap_or(2_000);
        let timeout = self.file.timeout(back, "check").and_then(|(_, value)| milliseconds(value));
        let timeout = timeout.filter(|&timeout| timeout > 0 && timeout <= interval).unwrap_or(interval);
        let number = |name: &str, otherwise: &str| self.argument(line, name).unwrap_or(otherwise).to_owned();
        let (rise, fall) = (number("rise", "2"), number("fall", "3"));
        for (key, value) in [("check.interval", interval), ("check.timeout", timeout)] {
            if let Some(value) = time(value) {
                self.fact(line, key, quoted(&value));
            }
        }
        self.fact(line, "check.rise", rise);
        self.fact(line, "check.fall", fall);
        match http {
            None => self.fact(line, "check.probe", quoted("tcp")),
            Some(option) => {
                self.fact(option, "check.probe", quoted("http"));
                let expected = self
                    .file
                    .setting(back, &|line| line.keyword() == "http-check" && line.arguments().next() == Some("expect"));
                let statuses = expected.map_or(Some("[\"200-399\"]".to_owned()), statuses);
                match (statuses, expected) {
                    (Some(statuses), expected) => self.fact(expected.unwrap_or(option), "check.statuses", statuses),
                    (None, Some(expected)) => {
                        self.fact(option, "check.statuses", "[\"200-399\", 401]".into());
                        self.cannot_read(
                            expected,
                            "this expectation is not simulated; the simulation takes 2xx, 3xx and 401",
                        );
                    }
                    (None, None) => {}
                }
                let pages = check_pages(self.file, back);
                let is_page = |line: &Line| pages.iter().any(|page| page.line == line.number && page.word.is_some());
                let uri = option.arguments().skip(1).find(|word| word.starts_with('/'));
                let uri = if is_page(option) { Some(CHECK_PAGE) } else { uri };
                let sent = self
                    .file
                    .setting(back, &|line| line.keyword() == "http-check" && line.arguments().next() == Some("send"));
                let sent = sent.and_then(|line| {
                    let uri = line.arguments().skip_while(|word| *word != "uri").nth(1);
                    if is_page(line) { Some(CHECK_PAGE) } else { uri }
                });
                if let Some(uri) = sent.or(uri) {
                    self.fact(option, "check.uri", quoted(uri));
                }
            }
        }
    }

    /// Returns the first server that is checked, with its farm. It is one of the site's servers, or one that they
    /// track.
    fn checked(&self) -> Option<(usize, &'a Line)> {
        let file = self.file;
        let own = |section: usize| file.body(section).filter(|line| is_server(line));
        if let Some(line) = own(self.pair.back).find(|line| self.has_argument(line, "check")) {
            return Some((self.pair.back, line));
        }
        let tracked = own(self.pair.back).find_map(|line| self.argument(line, "track"))?;
        let (farm, server) = tracked.split_once('/').unwrap_or(("", tracked));
        let is_it = |section: &Section| matches!(&*section.kind, "backend" | "listen") && section.name == farm;
        let back = if farm.is_empty() { self.pair.back } else { file.sections.iter().position(is_it)? };
        own(back).find(|line| line.word(1) == server).map(|line| (back, line))
    }

    /// Reads `cookie`, `stick on`, `stick-table`, `persist` and `source` (section 4.2).
    fn persistence(&mut self) {
        for (keyword, why) in [
            ("persist", "an RDP cookie decides which server serves, which is not simulated"),
            ("source", "each client's address may have its own connections, which is not simulated"),
        ] {
            let line = self.file.keyword(self.pair.back, keyword);
            if let Some(line) = line.filter(|line| keyword != "source" || line.arguments().any(|word| word == "usesrc"))
            {
                self.cannot_read(line, why);
            }
        }
        let cookie = self.file.keyword(self.pair.back, "cookie");
        let cookie = cookie.filter(|line| !line.is_negated() && self.is_http());
        if let Some(line) = cookie {
            let words: Vec<&str> = line.arguments().collect();
            let name = words.first().copied().unwrap_or_default();
            if !words.contains(&"insert") || words.contains(&"preserve") {
                return self.cannot_read(line, "only a cookie that the balancer inserts has a model here");
            }
            self.site.without.push("persist");
            self.fact(line, "persist.by", quoted("cookie"));
            self.fact(line, "persist.cookie", quoted(name));
            self.fact(line, "persist.indirect", words.contains(&"indirect").to_string());
            if let Some(life) = words
                .iter()
                .position(|word| *word == "maxlife")
                .and_then(|at| words.get(at + 1))
                .and_then(|life| period(life))
            {
                self.fact(line, "persist.life", quoted(&life));
            }
            return self.reason(Some(line), "", "a cookie brings a client back to its server");
        }
        let stick = self.file.body(self.pair.back).find(|line| line.keyword() == "stick");
        let Some(stick) = stick else { return };
        let by_source = stick.arguments().nth(1) == Some("src");
        let table = self.file.keyword(self.pair.back, "stick-table");
        let (Some(table), true) = (table, by_source && stick.arguments().next() == Some("on")) else {
            return self.cannot_read(stick, "only `stick on src` with a table of this backend has a model here");
        };
        let words: Vec<&str> = table.arguments().collect();
        let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
        // Without `expire`, entries stay until the table is full, which takes longer than any run.
        let timeout = after("expire").and_then(period).unwrap_or_else(|| "24h".into());
        self.site.without.push("persist");
        self.fact(stick, "persist.by", quoted("source"));
        self.fact(table, "persist.timeout", quoted(&timeout));
        self.reason(Some(stick), "", "a table of addresses brings a client back to its server");
    }

    /// Reads timeouts, retries and header fields.
    fn connections(&mut self) {
        if let Some((line, value)) = self.file.timeout(self.pair.back, "server")
            && let Some(time) = period(value)
        {
            self.fact(line, "answer", quoted(&time));
        }
        let idle = self
            .file
            .timeout(self.pair.front, "http-keep-alive")
            .or_else(|| self.file.timeout(self.pair.front, "client"));
        if let Some((line, value)) = idle
            && let Some(time) = period(value)
        {
            self.fact(line, "client_idle", quoted(&time));
        }
        if let Some(line) = self.file.keyword(self.pair.back, "retries")
            && let Some(count) = line.arguments().next().filter(|count| count.parse::<u8>().is_ok())
        {
            self.fact(line, "retry.retries", count.to_owned());
        }
        if let Some(line) = self.file.keyword(self.pair.back, "retry-on")
            && line.arguments().any(|word| !matches!(word, "none" | "conn-failure"))
        {
            self.cannot_read(
                line,
                "requests are sent again after more than a failure to connect, which is not simulated",
            );
        }
        if let Some(line) = self.pair.sections().find_map(|section| self.file.option(section, "forwardfor")) {
            self.fact(line, "forwarded_for", "true".into());
        }
    }

    /// Reads TLS, and the versions of HTTP that clients may speak (section 5.1).
    fn listener(&mut self) {
        let binds: Vec<&Line> = self.file.body(self.pair.front).filter(|line| line.keyword() == "bind").collect();
        let secured = binds.iter().find(|line| line.arguments().any(|word| word == "ssl"));
        self.site.tls.0 = self.is_http() && secured.is_some();
        let alpn = secured.and_then(|line| line.arguments().skip_while(|word| *word != "alpn").nth(1));
        self.site.http2 = alpn.is_some_and(|protocols| protocols.contains("h2"));
    }

    /// Reports rules that change what authentication depends on, or that cannot be read.
    fn unread(&mut self) {
        let mut sections: Vec<usize> = self.pair.sections().collect();
        let mut defaults: Vec<usize> =
            sections.iter().filter_map(|&section| self.file.sections[section].defaults).collect();
        defaults.dedup();
        sections.extend(defaults);
        for section in sections {
            for line in self.file.body_and_conditions(section) {
                if line.is_preprocessed() {
                    self.condition(line);
                    continue;
                }
                let rule = line.arguments().next().unwrap_or_default();
                let field = line.arguments().nth(1).unwrap_or_default().to_ascii_lowercase();
                match line.keyword() {
                    "http-request" | "http-response" | "http-after-response" if rule.starts_with("lua.") => {
                        self.cannot_read(line, "a program decides what happens here");
                    }
                    "http-request" | "http-response" | "http-after-response" if SENSITIVE.contains(&&*field) => {
                        if (line.keyword(), rule, &*field) == ("http-request", "del-header", "authorization")
                            && line.words.len() == 3
                        {
                            self.fact(line, "scrub", quoted("Authorization"));
                        } else {
                            self.cannot_read(line, "it changes a field on which authentication depends");
                        }
                    }
                    "http-send-name-header" | "use-server" | "force-persist" | "ignore-persist" => {
                        self.cannot_read(line, "which server serves may depend on it");
                    }
                    "filter" if !matches!(rule, "compression" | "trace" | "cache") => {
                        self.cannot_read(line, "this filter is not simulated");
                    }
                    "option" if matches!(rule, "transparent" | "http_proxy" | "allbackups") && !line.is_negated() => {
                        self.cannot_read(line, "which server serves may depend on it");
                    }
                    keyword if !super::directives::is_known(keyword) => {
                        self.cannot_read(line, "this directive is unknown");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Reports a condition whose value is not known, or depends on this environment.
    fn condition(&mut self, line: &Line) {
        if !matches!(line.word(0), ".if" | ".elif") {
            return;
        }
        let of_environment = ["defined(", "$"].iter().any(|what| line.text.contains(what));
        if self.file.lines.get(line.number).is_some_and(|next| !next.is_known) {
            self.cannot_read(line, "it is not known whether this is true; it is assumed to be true");
        } else if of_environment {
            self.cannot_read(line, "this depends on the environment; the value is that of this machine");
        }
    }

    fn is_http(&self) -> bool {
        self.site.base != "haproxy-tcp"
    }

    fn base_has_shared_pool(&self) -> bool {
        matches!(self.site.base, "haproxy-safe" | "haproxy-aggressive" | "haproxy-always")
    }

    /// Returns the value of an argument of a server, or of `default-server` in its place.
    fn argument(&self, line: &'a Line, name: &str) -> Option<&'a str> {
        let value = |line: &'a Line| line.arguments().skip_while(|word| *word != name).nth(1);
        value(line).or_else(|| self.default_server.and_then(value))
    }

    /// Returns whether a server has an argument without a value.
    fn has_argument(&self, line: &Line, name: &str) -> bool {
        let no = format!("no-{name}");
        if line.arguments().any(|word| word == no) {
            return false;
        }
        let default = self.default_server;
        [Some(line), default].into_iter().flatten().any(|line| line.arguments().any(|word| word == name))
    }

    fn fact(&mut self, line: &Line, key: &'static str, toml: String) {
        self.site.fact(&self.file.said(line), key, toml);
    }

    fn cannot_read(&mut self, line: &Line, why: &str) {
        self.site.cannot_read(&self.file.said(line), why);
    }

    /// Adds a reason for the choice of the mechanism; `default` applies if there is no line.
    fn reason(&mut self, line: Option<&Line>, default: &str, is: &str) {
        match line {
            Some(line) => self.site.reason(&self.file.said(line), is),
            None => self.site.default_reason(default, is),
        }
    }
}
