//! Finds the directives that lead to farms, and the settings that apply to the requests that they lead there.

use std::collections::{BTreeSet, HashMap};

use super::parse::{Configuration, Directive};
use crate::Place;
use crate::draft::Said;

/// A directive that passes requests on to servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route<'a> {
    /// The virtual host that contains it, if there is one.
    pub(super) host: Option<&'a Directive>,
    /// The `<Location>` that contains it, if there is one.
    pub(super) location: Option<&'a Directive>,
    pub(super) directive: &'a Directive,
    /// The requests that it passes on: a path, or an expression.
    pub(super) path: &'a str,
    /// The destination: a server, or a balancer.
    pub(super) target: &'a str,
    pub(super) kind: Kind,
}

/// The way in which a directive passes requests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ProxyPass`, or `ProxyPassMatch` without back references in the address, which has its own worker.
    Worker,
    /// `ProxyPassMatch` with back references, which has had its own worker since 2.4.47; that worker reuses no connections
    /// by default.
    Matching,
    /// `RewriteRule ... [P]`, which uses the worker whose address it begins with, or else the default worker, which
    /// reuses no connections.
    Rewrite,
}

/// A server of a farm.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) url: &'a str,
    pub(super) parameters: Vec<Parameter<'a>>,
    pub(super) said: &'a Said,
}

/// A parameter `key=value`, with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) said: &'a Said,
}

/// The servers to which a route leads.
#[derive(Debug)]
pub(super) struct Farm<'a> {
    /// The balancer, `balancer://name`; `None` for a single server.
    pub(super) balancer: Option<&'a str>,
    pub(super) members: Vec<Member<'a>>,
    /// The parameters of the balancer.
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// Finds the routes in the order of the configuration. Those of the main server come last, because they apply if a
/// virtual host has none.
pub(super) fn routes(configuration: &Configuration) -> Vec<Route<'_>> {
    let mut routes = Vec::new();
    for host in configuration.directives.iter().filter(|directive| is_host(directive)) {
        add(Some(host), None, host.body(), &mut routes);
    }
    add(None, None, &configuration.directives, &mut routes);
    let mut known: BTreeSet<(Option<&Place>, Option<&str>, &str)> = BTreeSet::new();
    routes.retain(|route| {
        let host = route.host.map(|host| &host.said);
        known.insert((host.map(|said| &said.place), host.map(|said| &*said.text), route.target.trim_end_matches('/')))
    });
    routes
}

/// Returns the number of directives that must be examined for the settings of all routes.
pub(super) fn work(configuration: &Configuration, routes: &[Route<'_>]) -> usize {
    let whole = |directives: &[Directive]| -> usize { directives.iter().map(|inner| 1 + inner.body().len()).sum() };
    let main = whole(&configuration.directives);
    routes.iter().map(|route| main + route.host.map_or(0, |host| whole(host.body()))).sum()
}

fn add<'a>(
    host: Option<&'a Directive>,
    location: Option<&'a Directive>,
    directives: &'a [Directive],
    routes: &mut Vec<Route<'a>>,
) {
    for directive in directives {
        if is_location(directive) {
            add(host, Some(directive), directive.body(), routes);
            continue;
        }
        let is_within = location.is_some();
        let (path, target) = if is_within {
            (location.map_or("", path_of), directive.argument(0))
        } else {
            (directive.argument(0), directive.argument(1))
        };
        let kind = if directive.is("ProxyPass") {
            Kind::Worker
        } else if directive.is("ProxyPassMatch") {
            if target.contains('$') { Kind::Matching } else { Kind::Worker }
        } else if directive.is("RewriteRule") && is_proxied(directive.argument(2)) {
            Kind::Rewrite
        } else {
            continue;
        };
        let (path, target) =
            if kind == Kind::Rewrite { (directive.argument(0), directive.argument(1)) } else { (path, target) };
        let scheme = target.split("://").next().unwrap_or_default().to_ascii_lowercase();
        if target.contains("://") && matches!(&*scheme, "http" | "https" | "h2" | "h2c" | "balancer") {
            routes.push(Route { host, location, directive, path, target, kind });
        }
    }
}

pub(super) fn is_host(directive: &Directive) -> bool {
    directive.is("VirtualHost") && directive.body.is_some()
}

pub(super) fn is_location(directive: &Directive) -> bool {
    (directive.is("Location") || directive.is("LocationMatch")) && directive.body.is_some()
}

/// Returns the path of a `<Location>`.
pub(super) fn path_of(location: &Directive) -> &str {
    location.arguments.iter().find(|argument| *argument != "~").map_or("/", String::as_str)
}

/// Returns whether the flags of a `RewriteRule` pass the request on: `[P,L]`.
fn is_proxied(flags: &str) -> bool {
    let flags = flags.trim_start_matches('[').trim_end_matches(']');
    flags.split(',').any(|flag| matches!(&*flag.trim().to_ascii_lowercase(), "p" | "proxy"))
}

impl<'a> Route<'a> {
    /// Returns the name of the site.
    pub(super) fn name(&self) -> String {
        let target = self.shown_target();
        match self.host {
            None => target.to_owned(),
            Some(host) => {
                let name = host.body().iter().rfind(|directive| directive.is("ServerName"));
                let name = name.map_or_else(|| host.argument(0), |directive| directive.argument(0));
                format!("{target}, for {name}")
            }
        }
    }

    fn shown_target(&self) -> &'a str {
        match self.kind {
            // The rest after the address belongs to an expression.
            Kind::Rewrite => {
                let host = self.target.find("://").map_or(0, |at| at + 3);
                let slash = self.target[host..].find('/').map_or(self.target.len(), |at| host + at + 1);
                &self.target[..slash]
            }
            _ if is_balancer(self.target) => self.target.trim_end_matches('/'),
            _ => self.target,
        }
    }

    /// Returns the directives that apply to its requests, in order of precedence: those of its location, of its virtual
    /// host, and of the main server.
    pub(super) fn scopes(&self, configuration: &'a Configuration) -> Vec<&'a [Directive]> {
        let mut scopes: Vec<&'a [Directive]> = Vec::new();
        let outer = [self.host.map(Directive::body), Some(&configuration.directives[..])];
        scopes.extend(self.location.map(Directive::body));
        for directives in outer.into_iter().flatten() {
            scopes.extend(self.covering(directives).map(Directive::body));
        }
        scopes.extend(outer.into_iter().flatten());
        scopes
    }

    /// Returns the locations among directives to which its requests belong, apart from the one that contains it.
    pub(super) fn covering(&self, directives: &'a [Directive]) -> impl Iterator<Item = &'a Directive> {
        let (path, own) = (self.path, self.location);
        directives.iter().filter(move |directive| {
            let is_own = own.is_some_and(|own| std::ptr::eq(own, *directive));
            is_location(directive) && directive.is("Location") && !is_own && covers(path_of(directive), path)
        })
    }

    /// Returns the directive with this name that takes precedence.
    pub(super) fn setting(&self, configuration: &'a Configuration, name: &str) -> Option<&'a Directive> {
        self.scopes(configuration).into_iter().find_map(|scope| scope.iter().rfind(|directive| directive.is(name)))
    }

    /// Returns all directives with this name that apply, in order of precedence.
    pub(super) fn all(&self, configuration: &'a Configuration, name: &'static str) -> Vec<&'a Directive> {
        let scopes = self.scopes(configuration).into_iter();
        scopes.flat_map(|scope| scope.iter().filter(move |directive| directive.is(name))).collect()
    }

    /// Returns the servers.
    pub(super) fn farm(&self, configuration: &'a Configuration) -> Farm<'a> {
        let words = &self.directive.arguments;
        let skip = words.iter().position(|word| word == self.target).map_or(words.len(), |at| at + 1);
        let own =
            if self.kind == Kind::Rewrite { Vec::new() } else { parameters(&words[skip..], &self.directive.said) };
        let scopes = [Some(&configuration.directives[..]), self.host.map(Directive::body)];
        let directives = || scopes.into_iter().flatten().flatten();
        let sections = section_parameters(directives());
        if !is_balancer(self.target) {
            let mut parameters = sections.get(&address(self.target)).cloned().unwrap_or_default();
            parameters.extend(own);
            let member = Member { url: self.target, parameters, said: &self.directive.said };
            return Farm { balancer: None, members: vec![member], parameters: Vec::new() };
        }
        let name = balancer(self.target);
        let mut farm = Farm { balancer: Some(name), members: Vec::new(), parameters: Vec::new() };
        for directive in directives() {
            let is_section = directive.is("Proxy") && same(balancer(directive.argument(0)), name);
            let within = if is_section { directive.body() } else { &[] };
            for inner in within {
                if inner.is("BalancerMember") {
                    farm.members.extend(member(&inner.arguments, &inner.said));
                } else if inner.is("ProxySet") {
                    farm.parameters.extend(parameters(&inner.arguments, &inner.said));
                }
            }
            let is_ours = same(balancer(directive.argument(0)), name) && directive.argument(0).contains("://");
            if directive.is("BalancerMember") && is_ours {
                farm.members.extend(member(&directive.arguments[1..], &directive.said));
            } else if directive.is("ProxySet") && is_ours {
                farm.parameters.extend(parameters(&directive.arguments[1..], &directive.said));
            }
        }
        farm.parameters.extend(own);
        for member in &mut farm.members {
            let mut all = sections.get(&address(member.url)).cloned().unwrap_or_default();
            all.append(&mut member.parameters);
            member.parameters = all;
        }
        farm
    }
}

impl<'a> Farm<'a> {
    /// Returns a parameter of the balancer.
    pub(super) fn parameter(&self, key: &str) -> Option<Parameter<'a>> {
        last(&self.parameters, key)
    }
}

impl<'a> Member<'a> {
    /// Returns a parameter of the server.
    pub(super) fn parameter(&self, key: &str) -> Option<Parameter<'a>> {
        last(&self.parameters, key)
    }
}

fn last<'a>(parameters: &[Parameter<'a>], key: &str) -> Option<Parameter<'a>> {
    parameters.iter().rfind(|parameter| parameter.key.eq_ignore_ascii_case(key)).copied()
}

fn member<'a>(words: &'a [String], said: &'a Said) -> Option<Member<'a>> {
    let (url, rest) = words.split_first()?;
    Some(Member { url, parameters: parameters(rest, said), said })
}

fn parameters<'a>(words: &'a [String], said: &'a Said) -> Vec<Parameter<'a>> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| Parameter { key, value, said }).collect()
}

/// Returns the parameters that `<Proxy URL>` and `ProxySet URL` set for servers, by their addresses.
fn section_parameters<'a>(directives: impl Iterator<Item = &'a Directive>) -> HashMap<String, Vec<Parameter<'a>>> {
    let mut found: HashMap<String, Vec<Parameter<'a>>> = HashMap::new();
    for directive in directives {
        let more: Vec<Parameter<'a>> = if directive.is("Proxy") {
            let sets = directive.body().iter().filter(|inner| inner.is("ProxySet"));
            sets.flat_map(|inner| parameters(&inner.arguments, &inner.said)).collect()
        } else if directive.is("ProxySet") {
            parameters(directive.arguments.get(1..).unwrap_or_default(), &directive.said)
        } else {
            continue;
        };
        found.entry(address(directive.argument(0))).or_default().extend(more);
    }
    found
}

/// Returns an address in the form in which it is compared with others.
fn address(url: &str) -> String {
    url.trim_end_matches('/').to_ascii_lowercase()
}

pub(super) fn is_balancer(target: &str) -> bool {
    target.len() >= 11 && target.is_char_boundary(11) && target[..11].eq_ignore_ascii_case("balancer://")
}

/// Returns `balancer://name` without the path after it.
fn balancer(target: &str) -> &str {
    let Some(at) = target.find("://") else { return target };
    let name = at + 3;
    target[name..].find('/').map_or(target, |slash| &target[..name + slash])
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Returns whether a path is below another one.
fn covers(outer: &str, path: &str) -> bool {
    let outer = outer.trim_end_matches('/');
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
