//! Converts the fields of a site into values of a profile.
//!
//! The sources are, for clusters: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto>.
//! For routes: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.

use super::fields;
use super::site::{Kind, Way};
use super::yaml::{Node, Value, Yaml, snake};
use crate::Site;
use crate::draft::{COOKIES, Said};
use crate::value::quoted;

/// The header fields on which authentication on a connection depends.
const SENSITIVE: [&str; 6] =
    ["authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate", "connection", "keep-alive"];

/// Reads a site.
pub(super) fn site(yaml: &Yaml, way: &Way<'_>) -> Site {
    let base = if way.kind == Kind::Tcp { "haproxy-tcp" } else { "envoy" };
    let mut reader = Reader { yaml, way, site: Site::new(way.name(), base) };
    reader.site.servers = way.endpoints().len();
    reader.mechanism();
    reader.selection();
    reader.servers();
    reader.checks();
    reader.listener();
    if way.kind == Kind::Http {
        reader.requests();
        reader.upstream();
        reader.filters();
        reader.header_fields();
    }
    reader.unread();
    reader.site.finished()
}

struct Reader<'a> {
    yaml: &'a Yaml,
    way: &'a Way<'a>,
    site: Site,
}

impl<'a> Reader<'a> {
    /// Determines which shipped profile the site resembles. The answer depends on who may use an idle connection to a
    /// server.
    fn mechanism(&mut self) {
        if self.way.kind == Kind::Tcp {
            let said = self.yaml.said(self.way.filter);
            self.site.without.extend(["select", "check", "passive", "queue"]);
            return self.site.reason(
                &said,
                "connections are passed on unread, so that each client has its own connection to a server",
            );
        }
        let own = self.way.cluster.field("connection_pool_per_downstream_connection");
        if let Some((key, _)) = own.filter(|(_, value)| value.is_true()) {
            self.site.base = "envoy-per-downstream";
            let is = "each client's connection has its own connections to the servers";
            self.site.reason(&self.yaml.said(key), is);
        } else {
            let is = "an idle connection to a server may serve any client's request";
            self.site.default_reason("connection_pool_per_downstream_connection: false", is);
        }
        let own = self.way.cluster.field("max_requests_per_connection");
        let http = self
            .way
            .http()
            .and_then(|http| http.path(&["common_http_protocol_options", "max_requests_per_connection"]));
        if let Some((key, value)) = http.or(own)
            && let Some(count) = number(value).filter(|&count| count > 0)
        {
            let said = self.yaml.said(key);
            self.site.fact(&said, "pool.requests", count.to_string());
            if count == 1 {
                self.site.reason(&said, "each request has its own connection to the server, so that nobody can log on");
            }
        }
    }

    /// Reads `lb_policy` and `hash_policy`.
    fn selection(&mut self) {
        if let Some((key, _)) = self.way.cluster.field("load_balancing_policy") {
            let why = "this way of choosing a server is not simulated; the simulation takes turns";
            self.site.cannot_read(&self.yaml.said(key), why);
        }
        let Some((key, policy)) = self.way.cluster.field("lb_policy") else {
            if self.way.kind == Kind::Tcp {
                self.site.without.retain(|key| *key != "select");
            }
            return self.site.default_reason("lb_policy: ROUND_ROBIN", "servers take turns");
        };
        let said = self.yaml.said(key);
        let fact = |site: &mut Site, key: &'static str, value: &str| site.fact(&said, key, quoted(value));
        let is = match policy.text() {
            "ROUND_ROBIN" => {
                fact(&mut self.site, "select.algorithm", "round-robin");
                "servers take turns"
            }
            "RANDOM" => {
                fact(&mut self.site, "select.algorithm", "random");
                "the server is drawn for each request"
            }
            "LEAST_REQUEST" => {
                fact(&mut self.site, "select.algorithm", "random");
                let choices = self.way.cluster.path(&["least_request_lb_config", "choice_count"]);
                let draws = choices.and_then(|(_, count)| number(count)).unwrap_or(2).min(255);
                self.site.fact(&said, "select.draws", draws.to_string());
                "the least busy of several servers drawn at random serves"
            }
            "RING_HASH" | "MAGLEV" => return self.hash(&said, policy.text()),
            _ => {
                fact(&mut self.site, "select.algorithm", "round-robin");
                self.site
                    .cannot_read(&said, "this way of choosing a server is not simulated; the simulation takes turns");
                return;
            }
        };
        self.site.reason(&said, is);
    }

    /// Reads what the hash is computed over. Without a policy, Envoy chooses at random.
    fn hash(&mut self, said: &Said, policy: &str) {
        let policies = self.way.hash_policies();
        let Some(first) = policies.first() else {
            self.site.fact(said, "select.algorithm", quoted("random"));
            return self.site.reason(said, "without a `hash_policy` the server is drawn for each request");
        };
        let place = self.yaml.said(first);
        let source = first.path(&["connection_properties", "source_ip"]).is_some_and(|(_, value)| value.is_true())
            || first.field("source_ip").is_some();
        let header = first.path(&["header", "header_name"]).map(|(_, name)| name.text());
        let cookie = first.get("cookie");
        if source {
            self.site.fact(said, "select.algorithm", quoted("consistent-hash"));
            self.site.fact(&place, "select.key", quoted("source"));
            self.site.reason(said, "a client's address decides which server serves");
        } else if let Some(name) = header {
            self.site.fact(said, "select.algorithm", quoted("consistent-hash"));
            self.site.fact(&place, "select.key", quoted("header"));
            self.site.fact(&place, "select.header", quoted(name));
            self.site.cannot_read(
                &place,
                "the file does not show whether requests have this field; those of the run do not",
            );
            self.site.reason(said, "a header field decides which server serves");
        } else if let Some(cookie) = cookie.filter(|cookie| cookie.get("ttl").is_some()) {
            // With `ttl` Envoy sets the cookie where it is missing.
            self.site.fact(said, "select.algorithm", quoted("random"));
            self.persist(&place, cookie);
            self.site.reason(said, "a cookie brings a client back to its server");
        } else {
            self.site.fact(said, "select.algorithm", quoted("random"));
            self.site.cannot_read(
                &place,
                &format!("this policy for {policy} is not simulated; the simulation draws a server"),
            );
        }
        if policies.len() > 1 {
            self.site.cannot_read(&place, "only the first of several policies has a model here");
        }
    }

    fn persist(&mut self, said: &Said, cookie: &Node) {
        self.site.cannot_read(said, COOKIES);
        self.site.fact(said, "persist.by", quoted("cookie"));
        self.site.fact(said, "persist.cookie", quoted(cookie.get("name").map_or("", Node::text)));
        self.site.fact(said, "persist.on_401", "true");
        if let Some(life) = cookie.get("ttl").and_then(time) {
            self.site.fact(said, "persist.life", quoted(&life));
        }
    }

    /// Reads the endpoints, and the settings that take them out.
    fn servers(&mut self) {
        let endpoints = self.way.endpoints();
        for (group, endpoint) in &endpoints {
            if let Some((key, _)) = group.field("priority").filter(|(_, priority)| priority.text() != "0") {
                self.site
                    .cannot_read(&self.yaml.said(key), "servers that serve only if others are down are not simulated");
            }
            if let Some((key, _)) = endpoint.field("health_status") {
                self.site.cannot_read(&self.yaml.said(key), "a server's state in the file is not simulated");
            }
        }
        let weight =
            |endpoint: &Node| endpoint.get("load_balancing_weight").and_then(number).filter(|&weight| weight <= 256);
        let first = endpoints.iter().find_map(|(_, endpoint)| endpoint.field("load_balancing_weight"));
        if let Some((key, _)) = first {
            let weights: Vec<String> =
                endpoints.iter().map(|(_, endpoint)| weight(endpoint).unwrap_or(1).to_string()).collect();
            let said = self.yaml.said(key);
            self.site.fact(&said, "select.weights", format!("[{}]", weights.join(", ")));
            if self.way.cluster.get("lb_policy").is_none_or(|policy| policy.text() == "ROUND_ROBIN") {
                self.site.fact(&said, "select.algorithm", quoted("weighted-round-robin"));
            }
        }
        if let Some((key, outliers)) =
            self.way.cluster.field("outlier_detection").filter(|_| self.way.kind == Kind::Http)
        {
            let said = self.yaml.said(key);
            // Consecutive failures count, even if they are far apart.
            let fails = outliers.get("consecutive_5xx").and_then(number).unwrap_or(5).max(1);
            let out = outliers.get("base_ejection_time").and_then(time).unwrap_or_else(|| "30s".into());
            self.site.fact(&said, "passive.fails", fails.to_string());
            self.site.fact(&said, "passive.within", quoted("1h"));
            self.site.fact(&said, "passive.out_for", quoted(&out));
        }
        let subsets = self.way.cluster.field("lb_subset_config");
        if let Some((key, _)) = subsets.or_else(|| self.way.action()?.field("weighted_clusters")) {
            self.site.cannot_read(&self.yaml.said(key), "which of several farms serves is not simulated");
        }
    }

    /// Reads the health checks: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/health_check.proto>
    fn checks(&mut self) {
        let Some(check) = self.way.cluster.get("health_checks").and_then(|checks| checks.items().first()) else {
            return self.site.default_reason("(no `health_checks`)", "the servers are not checked");
        };
        let said = self.yaml.said(check);
        let limit = |name: &str, otherwise: u64| check.get(name).and_then(milliseconds).unwrap_or(otherwise);
        let interval = limit("interval", 5_000);
        let timeout = limit("timeout", 1_000).min(interval);
        let written = |length: u64| quoted(&crate::value::time(length).unwrap_or_default());
        let count = |name: &str| check.get(name).and_then(number).unwrap_or(1).max(1).to_string();
        let mut facts = vec![
            ("check.interval", written(interval)),
            ("check.timeout", written(timeout)),
            ("check.rise", count("healthy_threshold")),
            ("check.fall", count("unhealthy_threshold")),
        ];
        if let Some(http) = check.get("http_health_check") {
            facts.push(("check.probe", quoted("http")));
            facts.push(("check.uri", quoted(http.get("path").map_or("/", Node::text))));
            // Ranges are half open; 200 alone by default.
            let ranges = http.get("expected_statuses").map_or(&[][..], Node::items).iter().filter_map(|range| {
                let (start, end) = (number(range.get("start")?)?, number(range.get("end")?)?);
                Some((u16::try_from(start).ok()?, u16::try_from(end.checked_sub(1)?).ok()?))
            });
            let ranges: Vec<(u16, u16)> = ranges.collect();
            self.site.alive(&said, if ranges.is_empty() { &[(200, 200)] } else { &ranges });
        } else if check.get("tcp_health_check").is_some() {
            facts.push(("check.probe", quoted("tcp")));
        } else {
            return self.site.cannot_read(&said, "this kind of check is not simulated");
        }
        for (key, toml) in facts {
            self.site.fact(&said, key, toml);
        }
    }

    /// Reads TLS, and the versions of HTTP that clients may speak.
    fn listener(&mut self) {
        let tls = Way::tls(self.way.chain);
        self.site.tls = (tls.is_some() && self.way.kind == Kind::Http, Way::tls(self.way.cluster).is_some());
        let protocols = tls.and_then(|tls| tls.path(&["common_tls_context", "alpn_protocols"]));
        self.site.http2 =
            protocols.is_some_and(|(_, protocols)| protocols.items().iter().any(|protocol| protocol.text() == "h2"));
        if self.way.chain.get("filter_chain_match").is_some() && self.way.kind == Kind::Http {
            let said = self.yaml.said(self.way.chain);
            self.site.reasons.push((
                Some(said.place),
                "a match decides which connections go here; in the run all of them do".into(),
            ));
        }
    }

    /// Reads the time limits and other limits of clients' connections and requests.
    fn requests(&mut self) {
        let filter = self.way.filter;
        if let Some((key, idle)) = filter.path(&["common_http_protocol_options", "idle_timeout"]) {
            match time(idle) {
                Some(time) => self.site.fact(&self.yaml.said(key), "client_idle", quoted(&time)),
                None => self.site.without.push("client_idle"),
            }
        }
        let most = filter.path(&["common_http_protocol_options", "max_requests_per_connection"]);
        if let Some((key, count)) = most.and_then(|(key, count)| Some((key, number(count).filter(|&count| count > 0)?)))
        {
            self.site.fact(&self.yaml.said(key), "client_requests", count.to_string());
        }
        if let Some((key, size)) =
            filter.field("max_request_headers_kb").and_then(|(key, size)| Some((key, number(size)?)))
        {
            self.site.fact(&self.yaml.said(key), "head.whole", (size * 1_024).to_string());
        }
        let fields = filter.path(&["common_http_protocol_options", "max_headers_count"]);
        if let Some((key, count)) = fields.and_then(|(key, count)| Some((key, number(count)?))) {
            self.site.fact(&self.yaml.said(key), "head.fields", count.to_string());
        }
        let Some(action) = self.way.action() else { return };
        if let Some((key, time)) = action.field("timeout") {
            // Zero: without a limit.
            let time = self::time(time).unwrap_or_else(|| "24h".into());
            self.site.fact(&self.yaml.said(key), "answer", quoted(&time));
        }
        let retry = action.field("retry_policy").or_else(|| self.way.route?.0.field("retry_policy"));
        if let Some((key, retry)) = retry {
            let said = self.yaml.said(key);
            let on: Vec<&str> = retry.get("retry_on").map_or("", Node::text).split(',').map(str::trim).collect();
            if on.iter().any(|on| matches!(*on, "connect-failure" | "5xx" | "gateway-error" | "reset")) {
                self.site.fact(&said, "retry.connect", quoted("other"));
            }
            if on.iter().any(|on| !matches!(*on, "" | "connect-failure" | "refused-stream")) {
                self.site.cannot_read(
                    &said,
                    "requests are sent again after more than a failure to connect, which is not simulated",
                );
            }
        }
    }

    /// Reads the version of HTTP towards the servers.
    fn upstream(&mut self) {
        let Some(http) = self.way.http() else {
            if let Some((key, _)) = self.way.cluster.field("http2_protocol_options") {
                self.site.fact(&self.yaml.said(key), "upstream_http", quoted("http2"));
            }
            return;
        };
        if let Some((key, _)) = http.path(&["explicit_http_config", "http2_protocol_options"]) {
            self.site.fact(&self.yaml.said(key), "upstream_http", quoted("http2"));
            self.site.reason(&self.yaml.said(key), "requests go to the servers over HTTP/2");
        }
        if let Some((key, _)) = http.field("auto_config") {
            self.site.fact(&self.yaml.said(key), "upstream_http", quoted("alpn"));
        }
        if let Some((key, _)) = http.field("use_downstream_protocol_config") {
            self.site.cannot_read(
                &self.yaml.said(key),
                "servers are addressed with the clients' version of HTTP, which is not simulated",
            );
        }
        if self.site.base == "envoy"
            && let Some((key, idle)) = http.path(&["common_http_protocol_options", "idle_timeout"])
            && let Some(time) = time(idle)
        {
            self.site.fact(&self.yaml.said(key), "pool.idle", quoted(&time));
        }
    }

    /// Reads the filters through which requests pass before the router.
    fn filters(&mut self) {
        for filter in self.way.filter.get("http_filters").map_or(&[][..], Node::items) {
            let said = self.yaml.said(filter);
            match filter.get("name").map_or("", Node::text) {
                "envoy.filters.http.router"
                | "envoy.filters.http.buffer"
                | "envoy.filters.http.compressor"
                | "envoy.filters.http.decompressor"
                | "envoy.filters.http.cors" => {}
                "envoy.filters.http.stateful_session" => {
                    let state = ["typed_config", "session_state", "typed_config", "cookie"];
                    match filter.path(&state) {
                        Some((_, cookie)) => {
                            self.persist(&said, cookie);
                            self.site.reason(&said, "a cookie brings a client back to its server");
                        }
                        None => self.site.cannot_read(&said, "only a session in a cookie has a model here"),
                    }
                }
                _ => self.site.cannot_read(&said, "this filter is not simulated"),
            }
        }
    }

    /// Reads the header fields that are added or removed.
    fn header_fields(&mut self) {
        let (host, route) = self.way.route.map_or((None, None), |(host, route)| (Some(host), Some(route)));
        let holders = [self.way.filter.get("route_config"), host, route, self.way.action()];
        for holder in holders.into_iter().flatten() {
            for (name, of_request) in [("request_headers_to_remove", true), ("response_headers_to_remove", false)] {
                for field in holder.get(name).map_or(&[][..], Node::items) {
                    let said = self.yaml.said(field);
                    if of_request && field.text().eq_ignore_ascii_case("authorization") {
                        self.site.fact(&said, "scrub", quoted("Authorization"));
                    } else if is_sensitive(field.text()) {
                        self.site.cannot_read(&said, "it changes a field on which authentication depends");
                    }
                }
            }
            for name in ["request_headers_to_add", "response_headers_to_add"] {
                for added in holder.get(name).map_or(&[][..], Node::items) {
                    if added.path(&["header", "key"]).is_some_and(|(_, key)| is_sensitive(key.text())) {
                        self.site
                            .cannot_read(&self.yaml.said(added), "it changes a field on which authentication depends");
                    }
                }
            }
        }
    }

    /// Reports the fields that are not known.
    fn unread(&mut self) {
        let mut holders: Vec<Holder<'a>> = vec![(self.way.cluster, fields::cluster)];
        match self.way.kind {
            Kind::Http => holders.push((self.way.filter, fields::http)),
            Kind::Tcp => holders.push((self.way.filter, fields::tcp)),
        }
        holders.extend(self.way.action().map(|action| (action, fields::action as fn(&str) -> fields::Rule)));
        for (holder, rule) in holders {
            for (key, value) in holder.fields() {
                let is_empty = matches!(&value.value, Value::List(items) if items.is_empty());
                if rule(&snake(key.text())) == fields::Rule::LeaveMatters(fields::UNKNOWN) && !is_empty {
                    self.site.cannot_read(&self.yaml.said(key), "this field is unknown");
                }
            }
        }
        for dynamic in ["rds", "scoped_routes"] {
            if let Some((key, _)) = self.way.filter.field(dynamic) {
                self.site.cannot_read(&self.yaml.said(key), "Envoy asks others for routes while it runs");
            }
        }
        if let Some((key, _)) = self.way.cluster.field("type").filter(|(_, kind)| kind.text() == "EDS") {
            self.site.cannot_read(&self.yaml.said(key), "Envoy asks others for the list of servers while it runs");
        }
    }
}

/// A message, and the rules for its fields.
type Holder<'a> = (&'a Node, fn(&str) -> fields::Rule);

fn is_sensitive(name: &str) -> bool {
    SENSITIVE.contains(&&*name.to_ascii_lowercase())
}

/// Returns a number, which may be wrapped as `{ value: 5 }`.
fn number(node: &Node) -> Option<u64> {
    node.get("value").unwrap_or(node).text().parse().ok()
}

/// Returns a duration (`0.5s`) in milliseconds; `None` for zero, and for a text that is not a duration.
fn milliseconds(node: &Node) -> Option<u64> {
    let seconds: f64 = node.text().strip_suffix('s')?.parse().ok()?;
    // Whole numbers of this size have no error.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within these bounds")]
    (0.001..1e12).contains(&seconds).then_some((seconds * 1_000.0).round() as u64)
}

/// Returns a duration in the notation of profiles.
fn time(node: &Node) -> Option<String> {
    crate::value::time(milliseconds(node)?)
}
