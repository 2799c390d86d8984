//! Converts the lines of a site into values of a profile.
//!
//! The source of all of it is <https://caddyserver.com/docs/caddyfile/directives/reverse_proxy>. Where 2.6 differs from
//! later versions, the source is modules/caddyhttp/reverseproxy of Caddy 2.6.2.

use super::parse::Directive;
use super::site::{Proxy, options};
use crate::Site;
use crate::draft::COOKIES;
use crate::value::{milliseconds, quoted, rewritten};

/// The header fields on which authentication on a connection depends.
const SENSITIVE: [&str; 6] =
    ["authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate", "connection", "keep-alive"];

/// The number of bytes that Go's server reads of a request beyond the configured limit (net/http, server.go:
/// `initialReadLimitSize`).
const HEAD_SLOP: u64 = 4_096;

/// Reads a site.
pub(super) fn site(blocks: &[Directive], proxy: &Proxy<'_>) -> Site {
    let mut reader = Reader { options: options(blocks), proxy, site: Site::new(proxy.name(), "caddy") };
    reader.site.servers = proxy.upstreams().len();
    reader.mechanism();
    reader.selection();
    reader.checks();
    reader.failures();
    reader.transport();
    reader.listener();
    reader.unread();
    reader.site.finished()
}

struct Reader<'a> {
    options: Option<&'a Directive>,
    proxy: &'a Proxy<'a>,
    site: Site,
}

impl Reader<'_> {
    /// Determines the shipped profile that the site resembles, by who may use a server's idle connection.
    fn mechanism(&mut self) {
        let transport = self.proxy.setting("transport");
        if let Some(line) = transport.filter(|line| line.argument(0) == "http_ntlm") {
            self.site.base = "caddy-ntlm";
            let is = "each client's address and port have their own connections, which requires a third-party module of Caddy";
            return self.site.reason(&line.said, is);
        }
        if let Some(line) = transport.filter(|line| line.argument(0) != "http") {
            self.site.cannot_read(&line.said, "this transport is not simulated");
        }
        match self.proxy.transport("keepalive") {
            Some(line) if line.argument(0) == "off" => {
                self.site.base = "caddy-no-keepalive";
                let is = "each request has its own connection to the server, so that nobody can log on";
                self.site.reason(&line.said, is);
            }
            Some(line) => {
                if let Some(time) = rewritten(line.argument(0)) {
                    self.site.fact(&line.said, "pool.idle", quoted(&time));
                }
                self.site
                    .reason(&line.said, "until then, an idle connection to a server may serve any client's request");
            }
            None => self
                .site
                .default_reason("keepalive 2m", "an idle connection to a server may serve any client's request"),
        }
    }

    /// Reads `lb_policy`.
    fn selection(&mut self) {
        let Some(line) = self.proxy.setting("lb_policy") else {
            return self.site.default_reason("lb_policy random", "the server is drawn for each request");
        };
        let (said, policy, argument) = (&line.said, line.argument(0), line.argument(1));
        let mut facts: Vec<(&'static str, String)> = Vec::new();
        let is = match policy {
            "random" => "the server is drawn for each request",
            "random_choose" => {
                facts.push(("select.draws", argument.parse::<u8>().unwrap_or(2).to_string()));
                "the least busy of several servers drawn at random serves"
            }
            "least_conn" => {
                facts.push(("select.algorithm", quoted("least-connections")));
                "the server with the fewest requests serves"
            }
            "round_robin" => {
                facts.push(("select.algorithm", quoted("round-robin")));
                "servers take turns"
            }
            "ip_hash" | "client_ip_hash" => {
                facts.push(("select.algorithm", quoted("consistent-hash")));
                facts.push(("select.key", quoted("source")));
                "a client's address decides which server serves"
            }
            "uri_hash" => {
                facts.push(("select.algorithm", quoted("consistent-hash")));
                facts.push(("select.key", quoted("uri-and-query")));
                "the URI decides which server serves"
            }
            "header" => {
                facts.push(("select.algorithm", quoted("consistent-hash")));
                facts.push(("select.key", quoted("header")));
                facts.push(("select.header", quoted(argument)));
                self.site.cannot_read(
                    said,
                    "the file does not show whether requests have this field; those of the run do not",
                );
                "a header field decides which server serves"
            }
            "cookie" => {
                let name = if argument.is_empty() { "lb" } else { argument };
                facts.push(("persist.by", quoted("cookie")));
                facts.push(("persist.cookie", quoted(name)));
                facts.push(("persist.on_401", "true".into()));
                self.site.cannot_read(said, COOKIES);
                "a cookie brings a client back to its server"
            }
            "first" => {
                self.site
                    .cannot_read(said, "the first server that is up serves all clients, but the simulation draws one");
                "the first server that is up serves"
            }
            _ => return self.site.cannot_read(said, "this policy is not simulated; the simulation draws a server"),
        };
        for (key, toml) in facts {
            self.site.fact(said, key, toml);
        }
        self.site.reason(said, is);
    }

    /// Reads the active health checks. In 2.6, one answer suffices.
    fn checks(&mut self) {
        let Some(line) = self.proxy.setting("health_uri").or_else(|| self.proxy.setting("health_path")) else { return };
        let limit = |name: &str, otherwise: u64| {
            let line = self.proxy.setting(name);
            line.and_then(|line| milliseconds(line.argument(0))).unwrap_or(otherwise)
        };
        let interval = limit("health_interval", 30_000);
        let timeout = limit("health_timeout", 5_000).min(interval);
        let written = |length: u64| quoted(&crate::value::time(length).unwrap_or_default());
        let number = |name: &str| {
            let line = self.proxy.setting(name);
            line.map_or("1", |line| line.argument(0)).parse::<u32>().unwrap_or(1).max(1).to_string()
        };
        let status = self.proxy.setting("health_status");
        let statuses = match status.map(|line| line.argument(0)) {
            None => (200, 399),
            Some(status) => match (status.strip_suffix("xx").map(str::parse::<u16>), status.parse::<u16>()) {
                (Some(Ok(class @ 1..=5)), _) => (class * 100, class * 100 + 99),
                (_, Ok(status @ 100..=999)) => (status, status),
                _ => (200, 399),
            },
        };
        let facts = [
            ("check.probe", quoted("http")),
            ("check.uri", quoted(line.argument(0))),
            ("check.interval", written(interval)),
            ("check.timeout", written(timeout)),
            ("check.rise", number("health_passes")),
            ("check.fall", number("health_fails")),
        ];
        for (key, toml) in facts {
            self.site.fact(&line.said, key, toml);
        }
        self.site.alive(status.map_or(&line.said, |line| &line.said), &[statuses]);
        if let Some(body) = self.proxy.setting("health_body") {
            self.site.cannot_read(&body.said, "an answer's body has to match it, which is not simulated");
        }
    }

    /// Reads the passive checks, and attempts at other servers.
    fn failures(&mut self) {
        let setting = |name: &str| self.proxy.setting(name);
        if let Some((line, time)) = setting("fail_duration").and_then(|line| Some((line, rewritten(line.argument(0))?)))
        {
            let fails = setting("max_fails").map_or("1", |line| line.argument(0)).parse::<u32>().unwrap_or(1).max(1);
            self.site.fact(&line.said, "passive.fails", fails.to_string());
            self.site.fact(&line.said, "passive.within", quoted(&time));
            self.site.fact(&line.said, "passive.out_for", quoted(&time));
        }
        for name in ["lb_try_duration", "lb_retries"] {
            if let Some(line) = setting(name).filter(|line| !matches!(line.argument(0), "0" | "0s")) {
                self.site.fact(&line.said, "retry.connect", quoted("other"));
            }
        }
        for name in ["unhealthy_status", "unhealthy_latency", "unhealthy_request_count"] {
            if let Some(line) = setting(name) {
                self.site.cannot_read(&line.said, "it takes servers out for what they answer, which is not simulated");
            }
        }
    }

    /// Reads `transport http`.
    fn transport(&mut self) {
        let has_pool = self.site.base != "caddy-no-keepalive";
        let number = |name: &str| {
            let line = self.proxy.transport(name)?;
            Some((line, line.argument(0).parse::<u32>().ok().filter(|&count| count > 0)?))
        };
        let counts = [
            (number("keepalive_idle_conns"), "pool.in_all", true),
            (number("keepalive_idle_conns_per_host"), "pool.per_key", true),
            (number("max_conns_per_host"), "select.max_connections", false),
        ];
        for (found, key, of_pool) in counts {
            if let Some((line, count)) = found.filter(|_| has_pool || !of_pool) {
                self.site.fact(&line.said, key, count.to_string());
                if !of_pool {
                    // Requests wait in Go's transport, without a limit.
                    self.site.fact(&line.said, "queue.length", "100000");
                }
            }
        }
        if let Some((line, time)) =
            self.proxy.transport("response_header_timeout").and_then(|line| Some((line, rewritten(line.argument(0))?)))
        {
            self.site.fact(&line.said, "answer", quoted(&time));
        }
        let secured = self.proxy.transport("tls").or_else(|| self.proxy.transport("tls_insecure_skip_verify"));
        let upstreams = self.proxy.upstreams();
        let is_secured = |address: &&str| address.starts_with("https://") || address.ends_with(":443");
        self.site.tls.1 = secured.is_some() || upstreams.iter().any(is_secured);
        if let Some(line) = self.proxy.transport("versions") {
            let has = |version: &str| line.arguments.iter().any(|argument| argument == version);
            let how = match (has("h2c"), has("2")) {
                (true, _) => "http2",
                (false, true) => "alpn",
                (false, false) => "http1",
            };
            self.site.fact(&line.said, "upstream_http", quoted(how));
        } else if upstreams.iter().any(|address| address.starts_with("h2c://")) {
            self.site.fact(&self.proxy.directive.said, "upstream_http", quoted("http2"));
        } else if self.site.tls.1 {
            self.site.default_reason("versions 1.1 2", "requests go over HTTP/2 to a server that agrees to it");
        }
    }

    /// Reads TLS, and the limits of the client's connections.
    fn listener(&mut self) {
        let is_plain = |address: &str| {
            let port = address.rsplit(':').next().unwrap_or_default();
            let has_host = !address.trim_start_matches("https://").starts_with(':');
            let is_secured = address.starts_with("https://")
                || port == "443"
                || (has_host && !address.starts_with("http://") && port != "80");
            !is_secured
        };
        let own = self.proxy.site.inner("tls");
        self.site.tls.0 = own.is_some() || self.proxy.addresses().any(|address| !is_plain(address));
        let servers = self.options.and_then(|options| options.inner("servers"));
        let protocols = servers.and_then(|servers| servers.inner("protocols"));
        self.site.http2 = protocols.is_none_or(|line| line.arguments.iter().any(|protocol| protocol == "h2"));
        let idle = servers.and_then(|servers| servers.inner("timeouts")).and_then(|timeouts| timeouts.inner("idle"));
        if let Some((line, time)) = idle.and_then(|line| Some((line, rewritten(line.argument(0))?))) {
            self.site.fact(&line.said, "client_idle", quoted(&time));
        }
        let most = servers.and_then(|servers| servers.inner("max_header_size"));
        if let Some((line, most)) = most.and_then(|line| Some((line, bytes(line.argument(0))?))) {
            self.site.fact(&line.said, "head.whole", (most + HEAD_SLOP).to_string());
        }
    }

    /// Reports lines that change what authentication depends on, or that decide for each request.
    fn unread(&mut self) {
        for line in self.proxy.directive.body() {
            match &*line.name {
                "header_up" | "header_down" => self.field(line, line.argument(0), line.name == "header_up"),
                "dynamic" => {
                    self.site.cannot_read(&line.said, "Caddy asks others for the list of servers while it runs");
                }
                "handle_response" | "replace_status" | "intercept" => {
                    self.site.cannot_read(&line.said, "a server's answer, including a 401, may not reach the client");
                }
                "lb_retry_match" | "rewrite" | "method" => {
                    self.site.cannot_read(&line.said, "it changes which requests are sent, or sent again");
                }
                name if name.starts_with('@') => {}
                name if !super::directives::is_known_in_proxy(name) => {
                    self.site.cannot_read(&line.said, "this line is unknown");
                }
                _ => {}
            }
        }
        let blocks: Vec<&Directive> = self.proxy.blocks().collect();
        for line in blocks.iter().flat_map(|block| block.body()) {
            match &*line.name {
                "basicauth" | "basic_auth" | "forward_auth" | "authenticate" | "authorize" => {
                    self.site.cannot_read(&line.said, "clients are authenticated before their requests go to a server");
                }
                "request_header" | "header" => {
                    let field = line.after_matcher().first().map_or("", String::as_str);
                    self.field(line, field, line.name == "request_header");
                }
                "intercept" => self.site.cannot_read(&line.said, "a server's answer may not reach the client"),
                name if !super::directives::is_known(name) && !name.starts_with('@') => {
                    self.site.cannot_read(&line.said, "this directive is unknown");
                }
                _ => {}
            }
        }
        if self.proxy.is_conditional() {
            let why = "a matcher decides which requests go here; in the run all of them do";
            self.site.reasons.push((
                Some(self.proxy.directive.said.place.clone()),
                format!("{}: {why}", self.proxy.directive.said.text),
            ));
        }
    }

    /// Reports a line that changes a field.
    fn field(&mut self, line: &Directive, field: &str, of_request: bool) {
        let name = field.trim_start_matches(['+', '-', '?', '>']).to_ascii_lowercase();
        if !SENSITIVE.contains(&&*name) {
            return;
        }
        if of_request && field.eq_ignore_ascii_case("-authorization") && line.matcher().is_none() {
            self.site.fact(&line.said, "scrub", quoted("Authorization"));
        } else {
            self.site.cannot_read(&line.said, "it changes a field on which authentication depends");
        }
    }
}

/// Returns a size (`64KB`, `1MiB`) in bytes.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match &*text[digits..].trim().to_ascii_lowercase() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "kib" => 1_024,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_those_of_go() {
        for (text, time) in
            [("90s", Some(90_000)), ("1m30s", Some(90_000)), ("1.5s", Some(1_500)), ("0s", None), ("5", None)]
        {
            assert_eq!(milliseconds(text), time, "{text}");
        }
        for (text, size) in [("64KB", Some(64_000)), ("1MiB", Some(1 << 20)), ("10", Some(10)), ("x", None)] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
