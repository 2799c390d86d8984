//! Creates a copy of the configuration for a run, in one file, with Stickler's servers in place of the farm's,
//! addresses of the run in place of the listeners', and nothing that is not known to be safe.

use super::directives::{self, CERTIFICATES, Rule};
use super::site::{Found, is_root, target};
use super::tree::Directive;
use super::words::{inner, written};
use crate::Sandbox;
use crate::draft::Draft;
use crate::template::literal;

/// The directives that the copy adds outside of blocks.
const OWN: &str = "pid {{ folder }}/nginx.pid;\nerror_log {{ folder }}/error.log;";

/// The directives that the copy adds in `http {}`.
const OWN_HTTP: &str = "    access_log off;
    client_body_temp_path {{ folder }}/body;
    proxy_temp_path {{ folder }}/proxy;
    fastcgi_temp_path {{ folder }}/fastcgi;
    uwsgi_temp_path {{ folder }}/uwsgi;
    scgi_temp_path {{ folder }}/scgi;";

/// Creates the copy for a site. `tls` says whether the copy keeps TLS between the clients and nginx, and between nginx
/// and the servers. `stream` is the file of the module for `stream {}`, if nginx must load it.
pub(super) fn sandbox(tree: &[Directive], found: &Found<'_>, tls: (bool, bool), stream: Option<&str>) -> Sandbox {
    let mut writer = Writer { found, tls, draft: Draft::default(), sockets: 0, files: 0 };
    let has = |name: &str| tree.iter().any(|directive| directive.name == name);
    if let Some(module) = stream.filter(|_| has("stream")) {
        writer.draft.text(&format!("load_module {module};"));
    }
    writer.draft.template(OWN);
    if !has("events") {
        writer.draft.text("events {}");
    }
    for directive in tree {
        writer.directive(directive, &[]);
    }
    writer.draft.finished()
}

struct Writer<'a, 't> {
    found: &'a Found<'t>,
    tls: (bool, bool),
    draft: Draft,
    /// The number of Unix sockets so far.
    sockets: usize,
    /// The number of files and folders that were moved so far.
    files: usize,
}

impl Writer<'_, '_> {
    /// Writes a directive that is contained in these blocks, the outermost first.
    fn directive(&mut self, directive: &Directive, within: &[&Directive]) {
        // These blocks contain values, not directives.
        let is_value =
            within.last().is_some_and(|block| matches!(&*block.name, "types" | "map" | "geo" | "split_clients"));
        let rule = if is_value { Rule::Keep } else { directives::rule(&directive.name) };
        match rule {
            Rule::Leave(why) => self.leave(directive, why, false),
            Rule::LeaveMatters(why) => {
                self.leave(directive, why, true);
                self.define(directive, within);
            }
            Rule::Moved => self.moved(directive, within),
            Rule::Keep if is_value => self.plain(directive, within),
            Rule::Keep => self.kept(directive, within),
        }
    }

    /// Sets a variable to an empty value in place of the program that would set it. Other directives may name the
    /// variable, and nginx refuses the name of a variable that nothing sets.
    fn define(&mut self, directive: &Directive, within: &[&Directive]) {
        let name = directive.argument(0);
        let sets =
            directive.name.ends_with("_set") || directive.name.starts_with("set_by_") || directive.name == "js_var";
        if sets && is_variable(name) && within.len() == 1 {
            self.line(within, &literal(&format!("map \"\" {name} {{ default \"\"; }}")));
        } else if sets && is_variable(name) {
            self.line(within, &literal(&format!("set {name} \"\";")));
        }
    }

    fn kept(&mut self, directive: &Directive, within: &[&Directive]) {
        let parent = within.last().map_or("", |block| &*block.name);
        match (&*directive.name, parent) {
            ("listen", "server") => self.listener(directive, within),
            ("server", "upstream") => self.server(directive, within),
            ("proxy_pass", _) => self.pass(directive, within),
            // In the run these would go to the farm itself, with the credentials of each request.
            ("mirror" | "auth_request", _) if directive.argument(0) != "off" => {
                self.leave(directive, "it sends requests to a server that the run does not have", true);
            }
            ("ntlm" | "sticky" | "queue" | "least_time", "upstream") => {
                self.leave(directive, "only nginx Plus, or a later version, has it", true);
            }
            ("location", _) => self.location(directive, within),
            ("server", "http" | "stream") => self.virtual_server(directive, within),
            _ if directive.block.is_some() => self.block(directive, within, &directive.afresh()),
            _ => self.plain(directive, within),
        }
    }

    fn plain(&mut self, directive: &Directive, within: &[&Directive]) {
        if directive.block.is_some() {
            return self.block(directive, within, &directive.afresh());
        }
        self.line(within, &literal(&format!("{};", directive.afresh())));
    }

    fn block(&mut self, directive: &Directive, within: &[&Directive], head: &str) {
        self.line(within, &literal(&format!("{head} {{")));
        if directive.name == "http" {
            self.draft.template(OWN_HTTP);
        }
        let within: Vec<&Directive> = within.iter().copied().chain([directive]).collect();
        for inner in directive.inner() {
            self.directive(inner, &within);
        }
        self.line(&within[..within.len() - 1], "}");
    }

    fn virtual_server(&mut self, server: &Directive, within: &[&Directive]) {
        let is_main = std::ptr::eq(server, self.found.server);
        self.line(within, "server {");
        let inside: Vec<&Directive> = within.iter().copied().chain([server]).collect();
        if server.named("listen").next().is_none() {
            let address = if is_main { "{{ address }}".to_owned() } else { self.socket() };
            self.line(&inside, &format!("listen {address};"));
        }
        if is_main && self.tls.0 {
            self.line(&inside, "ssl_certificate {{ folder }}/site.pem;");
            self.line(&inside, "ssl_certificate_key {{ folder }}/site.pem;");
        }
        for inner in server.inner() {
            self.directive(inner, &inside);
        }
        self.line(within, "}");
    }

    /// Writes a listener: for the site's first listener, that of the run, with TLS if the copy keeps it; for any other,
    /// a Unix socket.
    fn listener(&mut self, listen: &Directive, within: &[&Directive]) {
        let is_secured = |listen: &Directive| listen.texts().any(|word| word == "ssl");
        let main = self.found.server.named("listen").find(|listen| is_secured(listen) || !self.tls.0);
        let is_main = main.is_some_and(|main| std::ptr::eq(main, listen));
        if listen.texts().any(|word| word == "quic") {
            return self.leave(listen, "the run has no QUIC", false);
        }
        let address = if is_main { "{{ address }}".to_owned() } else { self.socket() };
        let mut text = format!("listen {address}");
        for word in listen.texts().filter(|word| matches!(*word, "ssl" | "http2")) {
            if is_main && self.tls.0 {
                text.push(' ');
                text.push_str(word);
            }
        }
        text.push(';');
        self.line(within, &text);
        self.changed(listen, Some(&text), "the run has its own listeners", false);
    }

    /// Writes a server: one of the run's servers, if the run has that many. The last server of an upstream is followed
    /// by the additional servers of the run.
    fn server(&mut self, server: &Directive, within: &[&Directive]) {
        let Some(upstream) = within.last() else { return };
        let servers: Vec<&Directive> = upstream.named("server").collect();
        let index = servers.iter().position(|one| std::ptr::eq(*one, server)).unwrap_or_default();
        let known = |word: &&str| {
            let (name, value) = word.split_once('=').unwrap_or((word, "1"));
            let is_value = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric());
            is_value && matches!(name, "weight" | "max_fails" | "fail_timeout" | "max_conns" | "backup" | "down")
        };
        let mut parameters = String::new();
        for word in server.texts().skip(1).filter(known) {
            parameters.push(' ');
            parameters.push_str(word);
        }
        let parameters = literal(&parameters);
        let line = format!("server {{{{ servers[{index}].address }}}}{parameters};");
        self.draft.template(&format!("{{% if servers|length > {index} %}}"));
        self.line(within, &line);
        self.draft.template("{% endif %}");
        if index + 1 == servers.len() {
            self.draft.template(&format!("{{% for server in servers[{}:] %}}", index + 1));
            self.line(within, &format!("server {{{{ server.address }}}}{parameters};"));
            self.draft.template("{% endfor %}");
        }
        self.changed(server, Some(&line), "the run has Stickler's servers", false);
    }

    /// Writes the destination to which requests are passed on.
    fn pass(&mut self, pass: &Directive, within: &[&Directive]) {
        let (scheme, host, rest) = target(pass.argument(0));
        let is_ours = std::ptr::eq(pass, self.found.pass);
        let host = self.found.chosen.filter(|_| is_ours).unwrap_or(host);
        let part = within.first().copied();
        let is_upstream = part.is_some_and(|part| part.named("upstream").any(|upstream| upstream.argument(0) == host));
        // A page below a location that contains all paths is requested unchanged.
        let rest = if is_ours && !is_root(&self.found.locations) { "" } else { rest };
        let scheme = match (scheme, self.tls.1) {
            ("https", true) => "https://",
            ("", _) => "",
            _ => "http://",
        };
        let (host, matters) = if is_upstream {
            (literal(&inner(host)), false)
        } else {
            ("{{ servers[0].address }}".to_owned(), host.contains('$'))
        };
        let text = format!("proxy_pass \"{scheme}{host}{}\";", literal(&inner(rest)));
        if scheme == "https://" {
            self.line(within, "proxy_ssl_verify off;");
        }
        self.line(within, &text);
        let is_same = is_upstream && rest == target(pass.argument(0)).2 && pass.argument(0).starts_with(scheme);
        if !is_same {
            let why = if matters {
                "a variable decides where requests go; in the run they go to its first server"
            } else {
                "the run has Stickler's servers"
            };
            self.changed(pass, Some(&text), why, matters);
        }
    }

    /// Writes a location. The site's own location becomes `/`, because Stickler's clients send requests for paths below
    /// it.
    fn location(&mut self, location: &Directive, within: &[&Directive]) {
        let is_ours = self.found.locations.last().is_some_and(|last| std::ptr::eq(*last, location));
        let is_root_already = is_root(&self.found.locations);
        let is_of_main = within.iter().any(|block| std::ptr::eq(*block, self.found.server));
        if is_ours && !is_root_already {
            self.changed(location, Some("location /"), "the pages of the run are below `/`", false);
            return self.block(location, within, "location /");
        }
        if is_of_main && !is_root_already && is_root(&[location]) {
            return self.leave(location, "it is represented by the judged location", false);
        }
        self.block(location, within, &location.afresh());
    }

    /// Moves a file that nginx writes to into the run's folder.
    fn moved(&mut self, directive: &Directive, within: &[&Directive]) {
        self.files += 1;
        let mut text = format!("{} {{{{ folder }}}}/moved-{}", directive.name, self.files);
        for word in directive.arguments.iter().skip(1) {
            text.push(' ');
            text.push_str(&literal(&written(&word.text)));
        }
        text.push(';');
        self.line(within, &text);
        self.changed(directive, Some(&text), "the run writes only into its own folder", false);
    }

    fn socket(&mut self) -> String {
        self.sockets += 1;
        format!("unix:{{{{ folder }}}}/listener-{}.sock", self.sockets)
    }

    fn line(&mut self, within: &[&Directive], text: &str) {
        self.draft.template(&format!("{}{text}", "    ".repeat(within.len())));
    }

    fn leave(&mut self, directive: &Directive, why: &str, matters: bool) {
        // A module that the run loads itself, and the run's own TLS, make no difference.
        let ours = (directive.name == "load_module" && directive.argument(0).contains("stream")) || why == CERTIFICATES;
        let is_of_site =
            self.found.levels().iter().any(|level| level.inner().iter().any(|one| std::ptr::eq(one, directive)));
        let is_of_upstream =
            self.found.upstream.is_some_and(|upstream| upstream.inner().iter().any(|one| std::ptr::eq(one, directive)));
        let matters = matters && !ours && (is_of_site || is_of_upstream);
        self.changed(directive, None, why, matters);
    }

    fn changed(&mut self, directive: &Directive, after: Option<&str>, why: &str, matters: bool) {
        let after = after.map(|text| text.trim_end_matches(';').replace("{{ '{' }}", "{"));
        self.draft.change(&directive.said(), after.as_deref(), why, matters);
    }
}

/// Returns whether this is a variable and nothing else.
fn is_variable(text: &str) -> bool {
    text.strip_prefix('$')
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}
