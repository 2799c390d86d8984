//! Finds the sites of a configuration: a server with the location that passes requests on, and the upstream to which
//! they go.

use super::tree::{Directive, named};

/// The place of a site in the tree.
#[derive(Debug, Clone)]
pub(super) struct Found<'t> {
    /// The block `http` or `stream`.
    pub(super) part: &'t Directive,
    pub(super) server: &'t Directive,
    /// The location with `proxy_pass`, and those that contain it, the outermost first; empty if the server itself has
    /// it.
    pub(super) locations: Vec<&'t Directive>,
    pub(super) pass: &'t Directive,
    pub(super) upstream: Option<&'t Directive>,
    /// The name of the upstream, if a variable has chosen it.
    pub(super) chosen: Option<&'t str>,
}

/// Returns the destination of requests or connections: `http://farm/x` is `("http", "farm", "/x")`.
pub(super) fn target(pass: &str) -> (&str, &str, &str) {
    let (scheme, rest) = pass.split_once("://").unwrap_or(("", pass));
    let end = rest.find('/').filter(|_| !rest.starts_with("unix:")).unwrap_or(rest.len());
    (scheme, &rest[..end], &rest[end..])
}

/// Finds the sites, in the order of servers and locations. If several locations go to the same upstream, only one
/// counts: `/`, or else the first.
pub(super) fn all(tree: &[Directive]) -> Vec<Found<'_>> {
    let mut sites: Vec<Found<'_>> = Vec::new();
    for part in tree.iter().filter(|directive| matches!(&*directive.name, "http" | "stream")) {
        for server in part.named("server") {
            let mut passes = Vec::new();
            find(server, &mut Vec::new(), &mut passes);
            // `/` represents the others.
            passes.sort_by_key(|(locations, _)| !is_root(locations));
            for (locations, pass) in passes {
                let (_, host, _) = target(pass.argument(0));
                let is_known =
                    |known: &Found<'_>, name: &str| std::ptr::eq(known.server, server) && known.host() == name;
                let candidates = chosen(part, server, &locations, host);
                for name in candidates.iter().copied().chain(candidates.is_empty().then_some(host)) {
                    let upstream = part.named("upstream").find(|upstream| upstream.argument(0) == name);
                    if !sites.iter().any(|known| is_known(known, name)) && !is_own(tree, name) {
                        let chosen = candidates.contains(&name).then_some(name);
                        sites.push(Found { part, server, locations: locations.clone(), pass, upstream, chosen });
                    }
                }
            }
        }
    }
    sites
}

/// Returns the upstreams that a variable may name: the values of a `map`, a `geo` or a `split_clients`, and the values
/// that `set` gives it. There are none if the target is not just a variable, or has other values.
fn chosen<'t>(part: &'t Directive, server: &'t Directive, locations: &[&'t Directive], host: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    let levels: Vec<&'t Directive> = locations.iter().copied().chain([server]).collect();
    values(part, &levels, host, 0, &mut found);
    found.retain(|name| part.named("upstream").any(|upstream| upstream.argument(0) == *name));
    found
}

/// The maximum number of times that a variable's value may be another variable.
const INDIRECTIONS: usize = 4;

/// Collects the values that a variable may have.
fn values<'t>(part: &'t Directive, levels: &[&'t Directive], host: &str, depth: usize, into: &mut Vec<&'t str>) {
    let Some(variable) = host.strip_prefix('$').filter(|_| depth < INDIRECTIONS) else { return };
    let is_it = |block: &&Directive| {
        matches!(&*block.name, "map" | "geo" | "split_clients")
            && block.arguments.last().and_then(|word| word.text.strip_prefix('$')) == Some(variable)
    };
    let blocks = part.inner().iter().filter(is_it).flat_map(Directive::inner).map(|line| line.argument(0));
    let sets = levels.iter().flat_map(|level| level.inner()).filter(|line| line.name == "set");
    let sets = sets.filter(|line| line.argument(0).strip_prefix('$') == Some(variable)).map(|line| line.argument(1));
    for value in blocks.chain(sets) {
        if value.starts_with('$') {
            values(part, levels, value, depth + 1, into);
        } else if !into.contains(&value) {
            into.push(value);
        }
    }
}

/// Collects the directives that pass requests on in a server, with the locations that contain them.
fn find<'t>(
    block: &'t Directive,
    within: &mut Vec<&'t Directive>,
    into: &mut Vec<(Vec<&'t Directive>, &'t Directive)>,
) {
    for directive in block.inner() {
        match &*directive.name {
            "proxy_pass" => into.push((within.clone(), directive)),
            // Clients cannot request it directly (ngx_http_core_module, `internal`).
            "location" if directive.named("internal").next().is_some() => {}
            "location" => {
                within.push(directive);
                find(directive, within, into);
                within.pop();
            }
            _ => {}
        }
    }
}

/// Returns whether there is no location, or only the one for all requests.
pub(super) fn is_root(locations: &[&Directive]) -> bool {
    match locations {
        [] => true,
        [location] => matches!(location.texts().collect::<Vec<_>>()[..], ["/"] | ["^~", "/"]),
        _ => false,
    }
}

/// Returns whether a server of the same configuration listens on an address.
fn is_own(tree: &[Directive], host: &str) -> bool {
    let servers = named(tree, "http").flat_map(|http| http.named("server"));
    let mut listens = servers.flat_map(|server| server.named("listen"));
    host.contains(':') && listens.any(|listen| listen.argument(0) == host)
}

impl<'t> Found<'t> {
    /// Returns the destination of requests: the name of an upstream, or an address.
    pub(super) fn host(&self) -> &'t str {
        self.chosen.unwrap_or_else(|| target(self.pass.argument(0)).1)
    }

    /// Returns the name of the site.
    pub(super) fn name(&self) -> String {
        let farm = match self.upstream {
            Some(upstream) => upstream.says(),
            None => self.pass.says(),
        };
        let listen = self.server.named("listen").next().map_or("80", |listen| listen.argument(0));
        let name = self.server.named("server_name").next().map(|name| name.argument(0)).filter(|name| !name.is_empty());
        let location = self.locations.last().map(|location| location.texts().collect::<Vec<_>>().join(" "));
        let location = location.map_or_else(String::new, |path| format!(" location {path}"));
        match name {
            Some(name) => format!("{farm}, behind {name} on {listen}{location}"),
            None => format!("{farm}, behind the server on {listen}{location}"),
        }
    }

    /// Returns the blocks whose settings apply, the innermost first.
    pub(super) fn levels(&self) -> Vec<&'t Directive> {
        self.locations.iter().rev().copied().chain([self.server, self.part]).collect()
    }

    /// Returns the directive that sets something: the last one of the innermost level that has one.
    pub(super) fn setting(&self, name: &str) -> Option<&'t Directive> {
        self.levels().into_iter().find_map(|level| level.inner().iter().rev().find(|directive| directive.name == name))
    }

    /// Returns all directives with a name at the innermost level that has any, because a level that sets one header
    /// field inherits none.
    pub(super) fn settings(&self, name: &str) -> Vec<&'t Directive> {
        let at =
            |level: &'t Directive| level.inner().iter().filter(|directive| directive.name == name).collect::<Vec<_>>();
        self.levels().into_iter().map(at).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Returns the lines that name servers.
    pub(super) fn servers(&self) -> Vec<&'t Directive> {
        self.upstream
            .map(|upstream| upstream.inner().iter().filter(|line| line.name == "server").collect())
            .unwrap_or_default()
    }
}
