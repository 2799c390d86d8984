//! Finds the filters of listeners, and the clusters to which they lead.

use std::collections::{BTreeSet, HashMap};

use super::yaml::Node;

/// A filter that accepts requests or connections, and a cluster to which it passes them on.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) listener: &'a Node,
    pub(super) chain: &'a Node,
    /// The `typed_config` of the filter.
    pub(super) filter: &'a Node,
    pub(super) kind: Kind,
    /// The virtual host of the route, and the route itself with its match.
    pub(super) route: Option<(&'a Node, &'a Node)>,
    pub(super) cluster: &'a Node,
}

/// The kind of traffic that a filter passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests: `http_connection_manager`.
    Http,
    /// Connections: `tcp_proxy`.
    Tcp,
}

/// Finds the paths in the order of the file, but only the first one to each cluster.
pub(super) fn ways(root: &Node) -> Vec<Way<'_>> {
    let mut ways: Vec<Way<'_>> = Vec::new();
    let all = root.path(&["static_resources", "clusters"]).map_or(&[][..], |(_, clusters)| clusters.items());
    // The first one with a name counts.
    let mut clusters: HashMap<&str, &Node> = HashMap::new();
    for cluster in all {
        clusters.entry(cluster.get("name").map_or("", Node::text)).or_insert(cluster);
    }
    let mut known = BTreeSet::new();
    let listeners = root.path(&["static_resources", "listeners"]).map_or(&[][..], |(_, listeners)| listeners.items());
    for listener in listeners {
        let chains = listener.get("filter_chains").map_or(&[][..], Node::items);
        for chain in chains.iter().chain(listener.get("default_filter_chain")) {
            for filter in chain.get("filters").map_or(&[][..], Node::items) {
                let Some(config) = filter.get("typed_config") else { continue };
                for (route, name, kind) in targets(config) {
                    if let Some(cluster) = clusters.get(name).copied().filter(|_| known.insert(name)) {
                        ways.push(Way { listener, chain, filter: config, kind, route, cluster });
                    }
                }
            }
        }
    }
    ways
}

/// Returns the names of the clusters to which a filter passes on, each with its route.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
fn targets(filter: &Node) -> Vec<(Option<(&Node, &Node)>, &str, Kind)> {
    let kind = filter.get("@type").map_or("", Node::text);
    let mut found = Vec::new();
    if kind.ends_with(".HttpConnectionManager") {
        let hosts = filter.path(&["route_config", "virtual_hosts"]).map_or(&[][..], |(_, hosts)| hosts.items());
        for host in hosts {
            for route in host.get("routes").map_or(&[][..], Node::items) {
                let Some(action) = route.get("route") else { continue };
                found.extend(clusters(action).into_iter().map(|cluster| (Some((host, route)), cluster, Kind::Http)));
            }
        }
    } else if kind.ends_with(".TcpProxy") {
        found.extend(clusters(filter).into_iter().map(|cluster| (None, cluster, Kind::Tcp)));
    }
    found
}

/// Returns the clusters that an action names.
fn clusters(action: &Node) -> Vec<&str> {
    let own = action.get("cluster").map(Node::text);
    let weighted = action.path(&["weighted_clusters", "clusters"]).map_or(&[][..], |(_, clusters)| clusters.items());
    own.into_iter().chain(weighted.iter().filter_map(|cluster| cluster.get("name")).map(Node::text)).collect()
}

impl<'a> Way<'a> {
    /// Returns the name of the site.
    pub(super) fn name(&self) -> String {
        let cluster = self.cluster.get("name").map_or("", Node::text);
        let listener = self.listener.get("name").map_or("", Node::text);
        let behind = if listener.is_empty() { String::new() } else { format!(", behind listener {listener}") };
        format!("cluster {cluster}{behind}")
    }

    /// Returns the action of the route.
    pub(super) fn action(&self) -> Option<&'a Node> {
        self.route.and_then(|(_, route)| route.get("route"))
    }

    /// Returns the endpoints, each with its group.
    pub(super) fn endpoints(&self) -> Vec<(&'a Node, &'a Node)> {
        let groups = self.cluster.path(&["load_assignment", "endpoints"]).map_or(&[][..], |(_, groups)| groups.items());
        let endpoints = |group: &'a Node| group.get("lb_endpoints").map_or(&[][..], Node::items).iter();
        groups.iter().flat_map(|group| endpoints(group).map(move |endpoint| (group, endpoint))).collect()
    }

    /// Returns the options of HTTP towards the servers.
    pub(super) fn http(&self) -> Option<&'a Node> {
        let options = self.cluster.get("typed_extension_protocol_options")?;
        let is_it = |key: &Node| key.text() == "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        options.fields().iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    }

    /// Returns the TLS context of a filter chain or a cluster, if its transport is TLS.
    pub(super) fn tls(of: &'a Node) -> Option<&'a Node> {
        let config = of.path(&["transport_socket", "typed_config"])?.1;
        config.get("@type").map_or("", Node::text).ends_with("TlsContext").then_some(config)
    }

    /// Returns the fields that decide what the hash is computed over.
    pub(super) fn hash_policies(&self) -> &'a [Node] {
        let holder = if self.kind == Kind::Tcp { Some(self.filter) } else { self.action() };
        holder.and_then(|holder| holder.get("hash_policy")).map_or(&[], Node::items)
    }
}
