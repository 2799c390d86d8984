//! Creates a copy of the file for a run: one listener, one filter that passes everything on to one cluster, and nothing
//! else.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::fields::{self, CONTACTS, Rule, UNKNOWN, is_plain};
use super::site::{Kind, Way};
use super::yaml::{Node, Value, Yaml, snake};
use crate::Sandbox;
use crate::draft::{ALIVE, Draft};
use crate::template::literal;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// Creates the copy for one path through the configuration. `tls` says whether the copy keeps TLS between the clients
/// and Envoy, and between Envoy and the servers; `http2` says whether HTTP/2 is offered to clients.
pub(super) fn sandbox(yaml: &Yaml, way: &Way<'_>, tls: (bool, bool), http2: bool) -> Sandbox {
    let mut writer = Writer { yaml, way, draft: Draft::default() };
    for (key, value) in yaml.root.fields() {
        writer.left(key, value, fields::bootstrap(&snake(key.text())));
    }
    writer.others();
    writer.draft.template(
        "node: { id: stickler, cluster: stickler }\n\
         admin: { address: { pipe: { path: \"{{ folder }}/admin.sock\" } } }\n\
         static_resources:\n  listeners:\n  - address: { socket_address: { address: {{ host }}, port_value: {{ port }} } }\n    \
         filter_chains:\n    - filters:",
    );
    writer.listener();
    match way.kind {
        Kind::Http => writer.http(),
        Kind::Tcp => writer.tcp(),
    }
    if tls.0 {
        let protocols = if http2 { "h2, http/1.1" } else { "http/1.1" };
        writer.draft.template(&format!(
            "      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n          \
             \"@type\": {TYPES}.transport_sockets.tls.v3.DownstreamTlsContext\n          common_tls_context:\n            \
             alpn_protocols: [{protocols}]\n            tls_certificates:\n            - certificate_chain: {{ filename: \"{{{{ folder }}}}/site.pem\" }}\n              \
             private_key: {{ filename: \"{{{{ folder }}}}/site.pem\" }}"
        ));
    }
    writer.cluster(tls.1);
    writer.endpoints();
    writer.draft.changes.sort_by(|one, other| one.place.cmp(&other.place));
    writer.draft.finished()
}

struct Writer<'a> {
    yaml: &'a Yaml,
    way: &'a Way<'a>,
    draft: Draft,
}

impl Writer<'_> {
    /// Records a field that is left out, and each item of it. A field that the run has itself is recorded elsewhere.
    fn left(&mut self, key: &Node, value: &Node, rule: Rule) {
        let (why, matters) = match rule {
            Rule::Keep | Rule::Own => return,
            Rule::Leave(why) => (why, false),
            Rule::LeaveMatters(why) => (why, true),
        };
        self.leave(key, why, matters);
        value.items().iter().for_each(|item| self.leave(item, why, false));
    }

    fn leave(&mut self, node: &Node, why: &str, matters: bool) {
        let said = self.yaml.said(node);
        self.draft.leave(&said, why, matters);
    }

    /// Leaves out the listeners and clusters that the run does not need.
    fn others(&mut self) {
        let list =
            |name: &str| self.yaml.root.path(&["static_resources", name]).map_or(&[][..], |(_, list)| list.items());
        for listener in list("listeners").iter().filter(|listener| !std::ptr::eq(*listener, self.way.listener)) {
            self.leave(listener, "it is another site", false);
        }
        for cluster in list("clusters").iter().filter(|cluster| !std::ptr::eq(*cluster, self.way.cluster)) {
            self.leave(cluster, "it is another farm", false);
            self.names(cluster);
        }
        self.names(self.way.cluster);
        for (key, value) in self.yaml.root.get("static_resources").map_or(&[][..], Node::fields) {
            if !matches!(&*snake(key.text()), "listeners" | "clusters") {
                self.left(key, value, Rule::Leave(UNKNOWN));
            }
        }
    }

    /// Handles a cluster whose servers have names.
    fn names(&mut self, cluster: &Node) {
        if let Some((key, _)) = cluster.field("type").filter(|(_, kind)| kind.text() != "STATIC") {
            self.leave(key, CONTACTS, false);
        }
    }

    fn listener(&mut self) {
        for (key, value) in self.way.listener.fields() {
            self.left(key, value, fields::listener(&snake(key.text())));
        }
        if let Some((key, _)) = self.way.listener.field("address") {
            let said = self.yaml.said(key);
            self.draft.change(&said, Some("address: (an address of the run)"), "the run has its own listeners", false);
        }
        for (key, value) in self.way.chain.fields() {
            match &*snake(key.text()) {
                "filters" => {
                    let is_own = |filter: &&Node| {
                        filter.get("typed_config").is_some_and(|own| std::ptr::eq(own, self.way.filter))
                    };
                    let others: Vec<&Node> = value.items().iter().filter(|filter| !is_own(filter)).collect();
                    for filter in others {
                        self.leave(filter, UNKNOWN, true);
                    }
                }
                "transport_socket" => {
                    let said = self.yaml.said(key);
                    self.draft.change(
                        &said,
                        Some("transport_socket: (of the run)"),
                        "the run has its own certificates",
                        false,
                    );
                }
                "filter_chain_match" => {
                    self.left(key, value, Rule::Leave("every connection is for the judged farm"));
                }
                "name" => {}
                _ => self.left(key, value, Rule::Leave(UNKNOWN)),
            }
        }
    }

    /// Writes the fields of a message that stay, each in a line.
    fn kept(&mut self, holder: &Node, rule: fn(&str) -> Rule, indent: &str) {
        let mut known = BTreeSet::new();
        for (key, value) in holder.fields() {
            let name = snake(key.text());
            match rule(&name) {
                // The field has two spellings there.
                _ if !known.insert(name.clone()) => self.left(key, value, Rule::LeaveMatters(UNKNOWN)),
                Rule::Keep if is_plain(value) => {
                    self.draft.text(&format!("{indent}{name}: {}", json(value)));
                }
                Rule::Keep => self.left(key, value, Rule::LeaveMatters(UNKNOWN)),
                rule => self.left(key, value, rule),
            }
        }
    }

    fn http(&mut self) {
        self.draft.template(&format!(
            "      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n          \
             \"@type\": {TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: site"
        ));
        self.kept(self.way.filter, fields::http, "          ");
        self.draft.template("          route_config:");
        if let Some(routes) = self.way.filter.get("route_config") {
            self.kept(routes, fields::route, "            ");
        }
        self.draft.template("            virtual_hosts:\n            - name: site\n              domains: [\"*\"]");
        if let Some((host, route)) = self.way.route {
            self.kept(host, fields::route, "              ");
            self.draft.template("              routes:\n              - match: { prefix: \"/\" }");
            let said = self.yaml.said(route);
            self.draft.change(&said, Some("match: { prefix: \"/\" }"), "every request goes to the judged farm", false);
            self.kept(route, fields::route, "                ");
        }
        self.draft.template("                route:\n                  cluster: farm");
        if let Some(action) = self.way.action() {
            self.kept(action, fields::action, "                  ");
        }
        self.http_filters();
    }

    fn http_filters(&mut self) {
        self.draft.template("          http_filters:");
        for filter in self.way.filter.get("http_filters").map_or(&[][..], Node::items) {
            let config = filter.get("typed_config");
            let kind = config.and_then(|config| config.get("@type")).map_or("", Node::text);
            if fields::is_type(kind, "filters.http.router.v3.Router") {
                continue;
            }
            if let Some(config) = config.filter(|config| fields::is_safe_filter(kind) && is_known(config)) {
                let name = filter.get("name").map_or("", Node::text);
                self.draft.text(&format!(
                    "          - name: {}\n            typed_config: {}",
                    string(name),
                    json(config)
                ));
            } else {
                let executes = ["lua", "wasm", "golang", "ext_proc"].iter().any(|code| kind.contains(code));
                self.leave(filter, if executes { fields::EXECUTES } else { UNKNOWN }, true);
            }
        }
        self.draft.template(&format!(
            "          - name: envoy.filters.http.router\n            \
             typed_config: {{ \"@type\": {TYPES}.filters.http.router.v3.Router }}"
        ));
    }

    fn tcp(&mut self) {
        self.draft.template(&format!(
            "      - name: envoy.filters.network.tcp_proxy\n        typed_config:\n          \
             \"@type\": {TYPES}.filters.network.tcp_proxy.v3.TcpProxy\n          stat_prefix: site\n          cluster: farm"
        ));
        self.kept(self.way.filter, fields::tcp, "          ");
    }

    fn cluster(&mut self, tls: bool) {
        self.draft.template(
            "  clusters:\n  - name: farm\n    type: EDS\n    \
             eds_cluster_config: { eds_config: { path_config_source: { path: \"{{ folder }}/farm.yaml\" } } }",
        );
        self.kept(self.way.cluster, fields::cluster, "    ");
        self.checks();
        if let Some(http) = self.way.http() {
            self.draft.template(&format!(
                "    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \
                 \"@type\": {TYPES}.upstreams.http.v3.HttpProtocolOptions"
            ));
            self.kept(http, options, "        ");
        }
        let (key, alpn) = match Way::tls(self.way.cluster) {
            Some(context) => (
                self.way.cluster.field("transport_socket").map(|(key, _)| key),
                context.path(&["common_tls_context", "alpn_protocols"]).map(|(_, protocols)| protocols),
            ),
            None => (self.way.cluster.field("transport_socket").map(|(key, _)| key), None),
        };
        if let Some(key) = key {
            let said = self.yaml.said(key);
            let after = if tls { Some("transport_socket: (without certificates)") } else { None };
            self.draft.change(&said, after, "the run has its own certificates", false);
        }
        if tls {
            let alpn = alpn.filter(|protocols| is_plain(protocols));
            let alpn = alpn
                .map_or_else(String::new, |alpn| format!("common_tls_context: {{ alpn_protocols: {} }}", json(alpn)));
            self.draft.template(&format!(
                "    transport_socket:\n      name: envoy.transport_sockets.tls\n      typed_config:\n        \
                 \"@type\": {TYPES}.transport_sockets.tls.v3.UpstreamTlsContext\n        {}",
                literal(&alpn)
            ));
        }
    }

    /// Writes the checks. Since Stickler's servers answer 401 to anybody who has not logged on, that counts as alive.
    fn checks(&mut self) {
        let checks = self.way.cluster.get("health_checks").map_or(&[][..], Node::items);
        if checks.is_empty() {
            return;
        }
        self.draft.template("    health_checks:");
        for check in checks {
            let mut fields: Vec<String> = Vec::new();
            let mut known = BTreeSet::new();
            for (key, value) in check.fields() {
                let name = snake(key.text());
                match fields::check(&name) {
                    _ if !known.insert(name.clone()) => self.left(key, value, Rule::LeaveMatters(UNKNOWN)),
                    Rule::Keep if is_plain(value) => fields.push(format!("{name}: {}", json(value))),
                    Rule::Own => {
                        let path = value.get("path").map_or("/", Node::text);
                        let statuses = value.get("expected_statuses").filter(|statuses| is_plain(statuses));
                        let mut statuses: Vec<String> =
                            statuses.map_or(&[][..], Node::items).iter().map(json).collect();
                        if statuses.is_empty() {
                            statuses.push("{\"start\": 200, \"end\": 201}".into());
                        }
                        statuses.push("{\"start\": 401, \"end\": 402}".into());
                        fields.push(format!(
                            "http_health_check: {{path: {}, expected_statuses: [{}]}}",
                            string(path),
                            statuses.join(", ")
                        ));
                        let said = self.yaml.said(key);
                        self.draft.change(&said, Some("http_health_check: (401 is alive as well)"), ALIVE, false);
                    }
                    Rule::Keep => self.left(key, value, Rule::LeaveMatters(UNKNOWN)),
                    rule => self.left(key, value, rule),
                }
            }
            self.draft.text(&format!("    - {{{}}}", fields.join(", ")));
        }
    }

    /// Writes the file of the endpoints, one in each line, as draining requires it.
    fn endpoints(&mut self) {
        let endpoints = self.way.endpoints();
        let mut weights: Vec<u64> = Vec::new();
        for (_, endpoint) in &endpoints {
            let said = self.yaml.said(endpoint);
            self.draft.change(&said, Some("(a server of the run)"), "the run has Stickler's servers", false);
            let weight = endpoint.get("load_balancing_weight").and_then(|weight| weight.text().parse().ok());
            weights.push(weight.unwrap_or(1));
        }
        for (group, _) in &endpoints {
            for (key, value) in group.fields().iter().filter(|(key, _)| snake(key.text()) != "lb_endpoints") {
                let matters = value.text() != "0";
                self.leave(key, "the run's servers are in one group", matters);
            }
        }
        let weight = if weights.iter().any(|&weight| weight != 1) {
            let all: Vec<String> = weights.iter().map(ToString::to_string).collect();
            format!("load_balancing_weight: {{{{ [{}][loop.index0 % {}] }}}}, ", all.join(", "), all.len())
        } else {
            String::new()
        };
        let farm = format!(
            "resources:\n- \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\n  \
             cluster_name: farm\n  endpoints:\n  - lb_endpoints:\n{{% for server in servers %}}\n    \
             - {{ {weight}health_status: HEALTHY, endpoint: {{ address: {{ socket_address: {{ address: {{{{ server.host }}}}, port_value: {{{{ server.port }}}} }} }} }} }}\n\
             {{% endfor %}}"
        );
        self.draft.file("farm.yaml", &farm);
    }
}

/// Returns the rule for a field of `HttpProtocolOptions`.
fn options(name: &str) -> Rule {
    match name {
        "common_http_protocol_options" | "explicit_http_config" | "use_downstream_protocol_config" | "auto_config" => {
            Rule::Keep
        }
        "@type" => Rule::Own,
        "upstream_http_protocol_options" => Rule::Leave("the run has its own names of servers"),
        _ => Rule::LeaveMatters(UNKNOWN),
    }
}

/// The extension that keeps the state of a session in a cookie.
const SESSION: &str = "http.stateful_session.cookie.v3.CookieBasedSessionState";

/// Returns whether the extensions in a filter's configuration are known, which are those of a session in a cookie.
fn is_known(config: &Node) -> bool {
    config.fields().iter().all(|(key, value)| match &*snake(key.text()) {
        "@type" => true,
        "session_state" | "typed_config" => {
            let kind = value.get("@type").map_or("", Node::text);
            (kind.is_empty() || fields::is_type(kind, SESSION)) && is_known(value)
        }
        _ => is_plain(value),
    })
}

/// Returns a value as JSON in one line.
fn json(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, is_plain } => {
            let is_literal = *is_plain
                && (matches!(&**text, "true" | "false" | "null") || text.parse::<f64>().is_ok_and(f64::is_finite));
            if is_literal {
                text.clone()
            } else if *is_plain && text.is_empty() {
                "null".into()
            } else {
                string(text)
            }
        }
        Value::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", ")),
        Value::Map(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{}: {}", string(key.text()), json(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns a text in double quotes, in the notation that JSON and YAML share.
fn string(text: &str) -> String {
    let mut result = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                result.push('\\');
                result.push(c);
            }
            c if (c as u32) < 0x20 || matches!(c, '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(result, "\\u{:04x}", c as u32);
            }
            c => result.push(c),
        }
    }
    result.push('"');
    result
}
