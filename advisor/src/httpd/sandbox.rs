//! Creates a copy of the configuration for a run: one virtual host, which passes every request on to one farm.
//!
//! The copy is written from the directives that apply to the site and are known to be safe; includes, conditions and
//! macros have been expanded. With MPMs that have threads there is only one process. Every process has its own pool, so
//! with one process all clients share a pool, as clients of a busy process do.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::directives::{self, BALANCER, CHECK, EXECUTES, MEMBER, MODULES, Rule, UNKNOWN};
use super::lines::written;
use super::parse::{Configuration, Directive};
use super::route::{Farm, Kind, Member, Parameter, Route, is_host, is_location, path_of};
use crate::Sandbox;
use crate::draft::Draft;
use crate::template::literal;

/// The directives of every run that replace the file's own.
const HEAD: &str = "\
ServerRoot {{ folder }}
ServerName localhost
DefaultRuntimeDir {{ folder }}
PidFile {{ folder }}/httpd.pid
ErrorLog {{ folder }}/error.log
User #65534
Group #65534
Listen {{ address }}";

/// The directives for one process, for MPMs whose processes have threads.
const ONE_PROCESS: &str = "\
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64";

/// The name of the farm in the copy of a file that names one server without a balancer, if the run has several servers.
const FARM: &str = "balancer://stickler";

/// Creates the copy for a route. `tls` says whether the copy keeps TLS between the clients and httpd, and between httpd
/// and the servers.
pub(super) fn sandbox(configuration: &Configuration, route: &Route<'_>, tls: (bool, bool)) -> Sandbox {
    let farm = route.farm(configuration);
    let mut writer =
        Writer { configuration, route, farm, templates: templates(configuration), tls, draft: Draft::default() };
    writer.draft.template(HEAD);
    writer.modules();
    writer.scope(&configuration.directives, "");
    // Members refer to templates of checks, which must come before them.
    writer.farm();
    writer.draft.template("<VirtualHost _default_:*>");
    if let Some(host) = route.host {
        writer.draft.change(
            &host.said,
            Some("<VirtualHost _default_:*>"),
            "in the run every request is for this site",
            false,
        );
        writer.scope(host.body(), "    ");
    }
    writer.certificates();
    writer.pass();
    writer.draft.template("</VirtualHost>");
    writer.draft.changes.sort_by(|one, other| one.place.cmp(&other.place));
    writer.draft.finished()
}

struct Writer<'a> {
    configuration: &'a Configuration,
    route: &'a Route<'a>,
    farm: Farm<'a>,
    /// The templates of checks, and whether each makes requests.
    templates: HashMap<&'a str, bool>,
    tls: (bool, bool),
    draft: Draft,
}

impl<'a> Writer<'a> {
    /// Writes the modules of the file that are httpd's own and known, from Debian's folder.
    fn modules(&mut self) {
        let mut loaded: Vec<&str> = Vec::new();
        let mut mpm = None;
        for directive in self.configuration.directives.iter().filter(|directive| directive.is("LoadModule")) {
            let (identifier, path) = (directive.argument(0), directive.argument(1));
            let name = identifier.strip_suffix("_module").unwrap_or_default();
            let file = format!("{MODULES}/mod_{name}.so");
            if !directives::is_safe_module(identifier) || !path.ends_with(&format!("/mod_{name}.so")) {
                let matters = !matches!(name, "status" | "autoindex" | "cgi" | "cgid" | "macro" | "unique_id" | "info");
                self.draft.leave(&directive.said, EXECUTES, matters);
                continue;
            }
            if loaded.contains(&identifier) {
                continue;
            }
            if path != file {
                let why = "modules are those of Debian's httpd";
                self.draft.change(&directive.said, Some(&format!("LoadModule {identifier} {file}")), why, false);
            }
            if name.starts_with("mpm_") {
                mpm = Some(name);
            }
            loaded.push(identifier);
        }
        // Without it httpd starts no balancer with any method (AH02432 of proxy_util.c; its own check does not report this).
        let default = "lbmethod_byrequests_module";
        if loaded.contains(&"proxy_balancer_module") && !loaded.contains(&default) {
            loaded.push(default);
        }
        let mut lines: Vec<String> = loaded.iter().map(|identifier| load(identifier)).collect();
        if mpm.is_none() {
            lines.push(load("mpm_event_module"));
        }
        if mpm != Some("mpm_prefork") {
            lines.push(ONE_PROCESS.to_owned());
        }
        for line in lines {
            self.draft.template(&line);
        }
        // One server of the file may correspond to several servers of the run.
        if self.farm.balancer.is_none() {
            let needed = ["slotmem_shm_module", "proxy_balancer_module", "lbmethod_byrequests_module"];
            let missing: Vec<String> =
                needed.iter().filter(|needed| !loaded.contains(*needed)).map(|needed| load(needed)).collect();
            if !missing.is_empty() {
                self.draft.template(&several(&missing.join("\n")));
            }
        }
    }

    /// Writes the farm, with the run's servers in place of the file's.
    fn farm(&mut self) {
        let members = std::mem::take(&mut self.farm.members);
        let mut section = format!("<Proxy {}>\n", self.farm_name());
        for (index, member) in members.iter().enumerate() {
            let kept = self.parameters(member, true) + self.single_use(member);
            let scheme = self.scheme(member);
            let line = format!("    BalancerMember {scheme}://{{{{ servers[{index}].address }}}}{kept}");
            if self.farm.balancer.is_some() {
                let after = format!("BalancerMember {scheme}://(a server of the run){kept}");
                self.draft.change(member.said, Some(&after), "the run has Stickler's servers", false);
                let _ = writeln!(section, "{{% if servers|length > {index} %}}\n{line}\n{{% endif %}}");
            } else {
                let _ = writeln!(section, "{line}");
            }
        }
        if let Some(last) = members.last() {
            let (scheme, count) = (self.scheme(last), members.len());
            let mut kept = self.parameters(last, false) + self.single_use(last);
            // Each server has its own route.
            if last.parameter("route").is_some() {
                kept.push_str(" route=stickler{{ loop.index }}");
            }
            let _ = write!(
                section,
                "{{% for server in servers[{count}:] %}}\n    BalancerMember {scheme}://{{{{ server.address }}}}{kept}\n{{% endfor %}}\n"
            );
        }
        let mut set = String::new();
        for parameter in &self.farm.parameters {
            let key = parameter.key.to_ascii_lowercase();
            if BALANCER.contains(&&*key) && is_plain(parameter.value) {
                set.push_str(&literal(&format!(" {key}={}", parameter.value)));
            } else {
                self.draft.leave(parameter.said, &format!("`{key}`: {UNKNOWN}"), false);
            }
        }
        if !set.is_empty() {
            let _ = writeln!(section, "    ProxySet{set}");
        }
        section.push_str("</Proxy>");
        if members.iter().any(|member| self.is_checked(member)) {
            // A status of 401 counts as alive, whatever the file specifies.
            self.draft.text("ProxyHCExpr stickler {%{REQUEST_STATUS} =~ /^[234]/}");
        }
        if self.farm.balancer.is_some() {
            self.draft.template(&section);
        } else {
            self.draft.template(&several(&section));
        }
        self.farm.members = members;
    }

    /// Returns whether checks by HTTP decide that a server is alive. The run itself then sets which answers count.
    fn is_checked(&self, member: &Member<'_>) -> bool {
        let of_template = member.parameter("hctemplate").and_then(|named| self.templates.get(named.value).copied());
        member.parameter("hcmethod").map_or_else(|| of_template.unwrap_or(false), |method| is_http(method.value))
    }

    /// Returns the parameters with which a balancer's member closes its connections after each request, as httpd does
    /// for a server whose address is an expression.
    fn single_use(&self, member: &Member<'_>) -> &'static str {
        let reused =
            member.parameter("enablereuse").is_some_and(|parameter| parameter.value.eq_ignore_ascii_case("on"));
        if self.farm.balancer.is_some() || self.route.kind == Kind::Worker || reused { "" } else { " disablereuse=on" }
    }

    /// Returns a name for the balancer that cannot be anything but a name.
    fn farm_name(&self) -> String {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = self.farm.balancer.and_then(|name| name.split_once("://")).map_or("", |(_, name)| name);
        if !name.is_empty() && name.chars().all(is_name) { format!("balancer://{name}") } else { FARM.to_owned() }
    }

    fn scheme(&self, member: &Member<'_>) -> &'static str {
        let is_http2 = ["h2://", "h2c://"].iter().any(|scheme| member.url.starts_with(scheme));
        match (self.tls.1, is_http2) {
            (true, true) => "h2",
            (true, false) => "https",
            (false, true) => "h2c",
            (false, false) => "http",
        }
    }

    /// Returns the parameters of a server that stay, each with a space before it.
    fn parameters(&mut self, member: &Member<'_>, with_route: bool) -> String {
        let mut kept = String::new();
        let mut last: Vec<Parameter<'_>> = Vec::new();
        for parameter in &member.parameters {
            last.retain(|earlier| !earlier.key.eq_ignore_ascii_case(parameter.key));
            last.push(*parameter);
        }
        if self.is_checked(member) {
            kept.push_str(" hcexpr=stickler");
            last.retain(|parameter| !parameter.key.eq_ignore_ascii_case("hcexpr"));
        }
        for parameter in last {
            let key = parameter.key.to_ascii_lowercase();
            if key == "route" && !with_route {
                continue;
            }
            if MEMBER.contains(&&*key) && is_plain(parameter.value) {
                kept.push_str(&literal(&format!(" {key}={}", parameter.value)));
            } else if with_route {
                self.draft.leave(parameter.said, &format!("`{key}`: {UNKNOWN}"), false);
            }
        }
        kept
    }

    /// Writes the directives of the main server, or of the virtual host.
    fn scope(&mut self, directives: &'a [Directive], indent: &str) {
        for directive in directives {
            if directive.body.is_some() {
                self.section(directive, indent);
            } else {
                self.directive(directive, indent);
            }
        }
    }

    fn section(&mut self, section: &'a Directive, indent: &str) {
        let is_own = |other: Option<&Directive>| other.is_some_and(|other| std::ptr::eq(other, section));
        if is_host(section) {
            if !is_own(self.route.host) {
                self.draft.leave(&section.said, "it is another site", false);
            }
        } else if is_location(section) {
            let covering = self.route.covering(std::slice::from_ref(section)).next().is_some();
            if is_own(self.route.location) || covering {
                if path_of(section) != "/" {
                    self.draft.change(
                        &section.said,
                        Some("<Location />"),
                        "in the run every request is for this site",
                        false,
                    );
                }
                self.draft.text(&format!("{indent}<Location />"));
                self.scope(section.body(), &format!("{indent}    "));
                self.draft.text(&format!("{indent}</Location>"));
            } else {
                self.draft.leave(
                    &section.said,
                    "it is for other requests than the site's",
                    section.is("LocationMatch"),
                );
            }
        } else if section.is("Proxy") || section.is("ProxyMatch") {
            // Members and parameters are in the farm.
            if section.argument(0) == "*" {
                self.draft.text(&format!("{indent}<Proxy *>"));
                self.scope(section.body(), &format!("{indent}    "));
                self.draft.text(&format!("{indent}</Proxy>"));
            }
        } else if matches!(&*section.name.to_ascii_lowercase(), "directory" | "directorymatch" | "files" | "filesmatch")
        {
            self.draft.leave(&section.said, "the run serves no files, and passes requests on", false);
        } else if matches!(&*section.name.to_ascii_lowercase(), "if" | "elseif" | "else" | "limit" | "limitexcept") {
            self.draft.leave(&section.said, "it is decided for each request", true);
        } else if matches!(&*section.name.to_ascii_lowercase(), "requireall" | "requireany" | "requirenone") {
            self.draft.leave(&section.said, "it may not admit the run's clients", false);
        } else {
            self.draft.leave(&section.said, UNKNOWN, true);
        }
    }

    fn directive(&mut self, directive: &Directive, indent: &str) {
        let name = directive.name.to_ascii_lowercase();
        let said = &directive.said;
        if name == "loadmodule" {
            return;
        }
        let keep = match directives::rule(&name, &directive.arguments) {
            Rule::Keep => Ok(()),
            Rule::KeepWithTls if self.tls.0 => Ok(()),
            Rule::KeepWithServersTls if self.tls.1 => Ok(()),
            Rule::KeepWithTls | Rule::KeepWithServersTls => Err(("the run has no TLS here", false)),
            Rule::Leave(why) => Err((why, false)),
            Rule::LeaveMatters(why) => Err((why, true)),
            Rule::Routing => return self.routing(directive, &name),
        };
        match keep {
            Ok(()) => match copy(directive, &name) {
                Some(line) => {
                    if name == "proxyhctemplate" && directive.arguments.len() + 1 > line.split(' ').count() {
                        self.draft.change(said, Some(&line), "the run decides which answers count as alive", false);
                    }
                    self.draft.text(&format!("{indent}{line}"));
                }
                None => {
                    self.draft.leave(
                        said,
                        "one of its words has a variable without a value, or a control character",
                        true,
                    );
                }
            },
            Err((why, matters)) => self.draft.leave(said, why, matters),
        }
    }

    /// Leaves out a directive that decides where requests go, since one directive does so for the run.
    fn routing(&mut self, directive: &Directive, name: &str) {
        let said = &directive.said;
        let is_own = std::ptr::eq(directive, self.route.directive);
        match name {
            "proxypass" | "proxypassmatch" if !is_own => {
                self.draft.leave(said, "every request goes to the judged farm", false);
            }
            "rewriterule" | "rewritecond" if !is_own => {
                let is_redirect = directive.argument(2).to_ascii_uppercase().contains('R');
                let matters = name == "rewriterule" && !is_redirect;
                self.draft.leave(said, "every request goes to the judged farm", matters);
            }
            "proxypassreverse" | "proxypassreversecookiedomain" | "proxypassreversecookiepath" => {
                self.draft.leave(said, "it names addresses of the file", false);
            }
            "rewritemap" => self.draft.leave(said, "it names one of the operator's files", false),
            _ => {}
        }
    }

    fn certificates(&mut self) {
        if self.tls.0 {
            self.draft.template("    SSLEngine on\n    SSLCertificateFile {{ folder }}/site.pem");
        }
        if self.tls.1 {
            self.draft.template(
                "    SSLProxyEngine on\n    SSLProxyVerify none\n    SSLProxyCheckPeerName off\n    SSLProxyCheckPeerExpire off",
            );
        }
    }

    /// Writes the directive that passes requests on.
    fn pass(&mut self) {
        let said = &self.route.directive.said;
        let name = self.farm_name();
        let to_farm = match self.route.kind {
            Kind::Worker => format!("    ProxyPass / {name}/"),
            Kind::Matching => format!("    ProxyPassMatch ^/(.*)$ {name}/$1"),
            Kind::Rewrite => format!("    RewriteEngine On\n    RewriteRule ^/(.*)$ {name}/$1 [P,L]"),
        };
        if self.farm.balancer.is_some() {
            self.draft.template(&to_farm);
            return self.draft.change(said, Some(to_farm.trim()), "every request goes to the judged farm", false);
        }
        let Some(member) = self.farm.members.first().cloned() else { return };
        let (scheme, kept) = (self.scheme(&member), self.parameters(&member, false));
        let server = format!("{scheme}://{{{{ servers[0].address }}}}");
        let alone = match self.route.kind {
            Kind::Worker => format!("    ProxyPass / {server}/{kept}"),
            Kind::Matching => format!("    ProxyPassMatch ^/(.*)$ {server}/$1{kept}"),
            Kind::Rewrite => format!("    RewriteEngine On\n    RewriteRule ^/(.*)$ {server}/$1 [P,L]"),
        };
        let to_farm = format!("    ProxyPass / {name}/");
        self.draft.template(&format!("{{% if servers|length > 1 %}}\n{to_farm}\n{{% else %}}\n{alone}\n{{% endif %}}"));
        let after = alone.trim().replace("{{ servers[0].address }}", "(the server of the run)");
        self.draft.change(said, Some(&after), "the run has Stickler's server", false);
    }
}

/// Returns a directive that stays, written from its words. None of them can begin another directive, whatever httpd
/// reads in the text of the file.
fn copy(directive: &Directive, name: &str) -> Option<String> {
    let words = match name {
        // Its words are not quoted words: quotes would become part of them.
        "require" => return Some("Require all granted".into()),
        "proxyhctemplate" => {
            let (template, parameters) = directive.arguments.split_first()?;
            let is_kept = |word: &&String| {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                CHECK.contains(&&*key.to_ascii_lowercase()) && is_plain(value)
            };
            if !is_plain(template) {
                return None;
            }
            std::iter::once(template).chain(parameters.iter().filter(is_kept)).collect()
        }
        _ => directive.arguments.iter().collect::<Vec<_>>(),
    };
    let words: Option<Vec<String>> = words.into_iter().map(|word| written(word)).collect();
    let line = format!("{} {}", directive.name, words?.join(" "));
    Some(line.trim_end().to_owned())
}

/// Returns whether a method of checks is a request.
fn is_http(method: &str) -> bool {
    !matches!(&*method.to_ascii_lowercase(), "none" | "tcp")
}

/// Returns the templates of checks that have a method, by name, and whether the method is a request. The last template
/// with a name counts.
fn templates(configuration: &Configuration) -> HashMap<&str, bool> {
    let all = configuration.directives.iter().filter(|directive| directive.is("ProxyHCTemplate"));
    let method = |template: &Directive| {
        template.arguments.iter().find_map(|word| word.to_ascii_lowercase().strip_prefix("hcmethod=").map(is_http))
    };
    all.map(|template| (template.argument(0), method(template).unwrap_or(false))).collect()
}

/// Returns lines for runs with several servers.
fn several(lines: &str) -> String {
    format!("{{% if servers|length > 1 %}}\n{lines}\n{{% endif %}}")
}

fn load(identifier: &str) -> String {
    format!("LoadModule {identifier} {MODULES}/mod_{}.so", identifier.trim_end_matches("_module"))
}

/// Returns whether a value is one word without quotes.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/|:;,%$".contains(c))
        && !value.contains("${")
}
