//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! `connection_pool_per_downstream_connection` gives each client its own connections to the servers, and does not
//! change the choice of a server: <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto>.
//! With several servers, all requests of a client must go to one of them, which a hash of the client's address ensures
//! (<https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-routeaction-hashpolicy>).

use super::site::{Kind, Way};
use super::yaml::{Node, Yaml};
use crate::{Remedy, Rewritten, Site};

/// Returns the remedies for a site, the best first.
pub(super) fn remedies(yaml: &Yaml, way: &Way<'_>, site: &Site) -> Vec<Remedy> {
    if way.kind == Kind::Tcp {
        return Vec::new();
    }
    let mut edit = Edit { lines: yaml.text.lines().map(|line| vec![line.to_owned()]).collect(), done: Vec::new() };
    let mut remedies = Vec::new();
    if edit.all(way, site.servers > 1) && !edit.done.is_empty() {
        let (before, path) = (yaml.text.clone(), yaml.path.to_string());
        let file = Rewritten { path, after: edit.text(&before), before };
        remedies.push(Remedy::Edit { title: edit.done.join(", and "), files: vec![file] });
    } else if !edit.done.is_empty() || way.cluster.is_flow {
        let what = "`connection_pool_per_downstream_connection: true` in the cluster, and with several servers `lb_policy: RING_HASH` \
                    with `hash_policy: [{ connection_properties: { source_ip: true } }]` in the route; the file is written in a way that \
                    is not edited here";
        remedies.push(Remedy::Choice(what.into()));
    }
    let http2 = site.facts.iter().any(|fact| fact.key == "upstream_http");
    if http2 {
        let what = "HTTP/1.1 to the servers (`explicit_http_config: { http_protocol_options: {} }`): IIS does not let users log on by \
                    HTTP/2 with NTLM or Negotiate";
        remedies.push(Remedy::Choice(what.into()));
    }
    let what = "`envoy.filters.network.tcp_proxy` in place of the HTTP connection manager: connections are passed on whole, so that nobody's \
                is shared; nothing that reads requests works there then";
    remedies.push(Remedy::Choice(what.into()));
    remedies
}

/// The lines of a file, each with the text that replaces it.
struct Edit {
    lines: Vec<Vec<String>>,
    done: Vec<String>,
}

impl Edit {
    /// Makes all changes. Returns `false` if the file is written in such a way that one of them cannot be made.
    fn all(&mut self, way: &Way<'_>, with_affinity: bool) -> bool {
        let own = self.set(
            way.cluster,
            "connection_pool_per_downstream_connection",
            "true",
            "a client's connection has its own connections to the servers",
        );
        let kept = self.keeps_connections(way);
        let affine = !with_affinity || has_source_hash(way) || self.hash_by_source(way);
        own && kept && affine
    }

    /// Removes a limit of one request for each connection.
    fn keeps_connections(&mut self, way: &Way<'_>) -> bool {
        let http = way.http().and_then(|http| http.get("common_http_protocol_options"));
        for holder in [Some(way.cluster), http].into_iter().flatten() {
            let Some((key, value)) = holder.field("max_requests_per_connection") else { continue };
            if value.text() != "1" {
                continue;
            }
            if holder.is_flow {
                return false;
            }
            let line = &mut self.lines[key.line - 1];
            // Zero means no limit. A message without fields may have no braces.
            let indent: String = line[0].chars().take(key.column).collect();
            *line = vec![format!("{indent}max_requests_per_connection: 0")];
            self.done.push("a server's connection carries more than one request".into());
        }
        true
    }

    fn hash_by_source(&mut self, way: &Way<'_>) -> bool {
        let Some(action) = way.action() else { return false };
        if action.field("hash_policy").is_some() || way.cluster.field("load_balancing_policy").is_some() {
            return false;
        }
        if !matches!(way.cluster.get("lb_policy").map_or("", Node::text), "RING_HASH" | "MAGLEV")
            && !self.set(way.cluster, "lb_policy", "RING_HASH", "a client's address decides which server serves")
        {
            return false;
        }
        let Some((last, _)) = action.fields().first().filter(|_| !action.is_flow) else { return false };
        let indent = " ".repeat(last.column);
        self.lines[last.line - 1]
            .push(format!("{indent}hash_policy:\n{indent}- connection_properties: {{ source_ip: true }}"));
        true
    }

    /// Sets a field of a message in block style.
    fn set(&mut self, holder: &Node, name: &str, to: &str, what: &str) -> bool {
        if let Some((key, value)) = holder.field(name) {
            if value.text() == to {
                return true;
            }
            // The value has to end its line.
            let line = &mut self.lines[key.line - 1];
            if holder.is_flow || value.line != key.line {
                return false;
            }
            let before: String = line[0].chars().take(value.column).collect();
            let rest: String = line[0].chars().skip(value.column).collect();
            let comment = rest.find(" #").map_or("", |at| &rest[at..]);
            line[0] = format!("{before}{to}{comment}");
        } else {
            let Some((first, value)) = holder.fields().first().filter(|_| !holder.is_flow) else { return false };
            if value.line != first.line || value.fields().len() + value.items().len() > 0 {
                return false;
            }
            let indent = " ".repeat(first.column);
            self.lines[first.line - 1].push(format!("{indent}{name}: {to}"));
        }
        self.done.push(format!("`{name}: {to}`: {what}"));
        true
    }

    /// Returns the text, with the kind of line ends that the file has.
    fn text(&self, original: &str) -> String {
        let end = if original.contains("\r\n") { "\r\n" } else { "\n" };
        let mut text = self.lines.iter().flatten().map(|line| line.replace('\n', end)).collect::<Vec<_>>().join(end);
        if original.ends_with('\n') {
            text.push_str(end);
        }
        text
    }
}

fn has_source_hash(way: &Way<'_>) -> bool {
    let is_hash = matches!(way.cluster.get("lb_policy").map_or("", Node::text), "RING_HASH" | "MAGLEV");
    let by_source =
        |policy: &Node| policy.path(&["connection_properties", "source_ip"]).is_some_and(|(_, value)| value.is_true());
    is_hash && way.hash_policies().first().is_some_and(by_source)
}
