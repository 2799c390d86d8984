//! Converts the directives of a site into values of a profile.
//!
//! The sources are, for parameters of servers and balancers:
//! <https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxypass>. For variables:
//! <https://httpd.apache.org/docs/2.4/mod/mod_proxy_http.html#env>.

use super::parse::{Configuration, Directive};
use super::route::{Farm, Kind, Member, Parameter, Route};
use crate::Site;
use crate::draft::{COOKIES, Said};
use crate::value::quoted;

/// The header fields on which authentication on a connection depends.
const SENSITIVE: [&str; 6] =
    ["authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate", "connection", "keep-alive"];

/// Reads a site.
pub(super) fn site(configuration: &Configuration, route: &Route<'_>) -> Site {
    let farm = route.farm(configuration);
    let mut reader = Reader { configuration, route, farm, site: Site::new(route.name(), "httpd") };
    reader.mechanism();
    reader.selection();
    reader.persistence();
    reader.servers();
    reader.checks();
    reader.connections();
    reader.listener();
    reader.unread();
    reader.site.finished()
}

struct Reader<'a> {
    configuration: &'a Configuration,
    route: &'a Route<'a>,
    farm: Farm<'a>,
    site: Site,
}

/// A variable: whether it is set, for which requests, and where.
struct Flag<'a> {
    said: &'a Said,
    for_all: bool,
}

impl<'a> Reader<'a> {
    /// Determines the shipped profile that the site resembles, by who may use a server's idle connection.
    fn mechanism(&mut self) {
        self.site.servers = self.farm.members.len();
        let prefork = self
            .configuration
            .directives
            .iter()
            .find(|directive| directive.is("LoadModule") && directive.argument(0) == "mpm_prefork_module");
        if let Some(prefork) = prefork {
            self.site.base = "httpd-prefork";
            self.site.reason(
                &prefork.said,
                "a process serves one client at a time, and its next client uses the same connections",
            );
        }
        if let Some((said, is)) = self.never_reused() {
            self.site.base = "httpd-disablereuse";
            return self.site.reason(said, is);
        }
        if let Some(flag) = self.flag("proxy-initial-not-pooled") {
            if flag.for_all && prefork.is_none() {
                self.site.base = "httpd-initial-not-pooled";
                let is = "the first request of a client's connection opens a connection, and all later ones may take any client's connection";
                return self.site.reason(flag.said, is);
            }
            self.site.cannot_read(flag.said, "it does not apply to every request, or is not simulated with prefork");
        }
        self.site.default_reason("enablereuse=on", "an idle connection to a server may serve any client's request");
    }

    /// Returns the directive that prevents the reuse of every connection, if there is one.
    fn never_reused(&mut self) -> Option<(&'a Said, &'static str)> {
        const CLOSES: &str = "each request has its own connection to the server, so that nobody can log on";
        if let Some(flag) = self.flag("proxy-nokeepalive") {
            if flag.for_all {
                return Some((flag.said, CLOSES));
            }
            self.site.cannot_read(flag.said, "connections close after some requests, but the simulation keeps them");
        }
        let has = |member: &Member<'a>, key: &str, is: &str| {
            member.parameter(key).filter(|parameter| parameter.value.eq_ignore_ascii_case(is))
        };
        let disabled: Vec<Parameter<'a>> = self
            .farm
            .members
            .iter()
            .filter_map(|member| has(member, "disablereuse", "on").or_else(|| has(member, "enablereuse", "off")))
            .collect();
        if let Some(first) = disabled.first() {
            if disabled.len() < self.farm.members.len() {
                self.site
                    .cannot_read(first.said, "it applies only to some servers, but the simulation applies it to all");
            }
            return Some((first.said, CLOSES));
        }
        let own = self.farm.members.first().filter(|_| self.farm.balancer.is_none())?;
        let is_enabled = has(own, "enablereuse", "on").or_else(|| has(own, "disablereuse", "off")).is_some();
        let said = &self.route.directive.said;
        match self.route.kind {
            Kind::Worker => None,
            _ if is_enabled => None,
            Kind::Matching => {
                Some((said, "with a back reference, connections to a server are not reused, so that nobody can log on"))
            }
            // The worker of an address also serves rewritten requests.
            Kind::Rewrite if self.has_worker(self.route.target) => None,
            Kind::Rewrite => Some((said, "the default worker reuses no connection, so that nobody can log on")),
        }
    }

    /// Returns whether a `ProxyPass` or a `<Proxy>` has created a worker for the beginning of an address.
    fn has_worker(&self, target: &str) -> bool {
        let directives = self.route.scopes(self.configuration);
        let mut made = directives.into_iter().flatten().filter_map(|directive| {
            let url = if directive.is("ProxyPass") { directive.argument(1) } else { directive.argument(0) };
            let is = directive.is("ProxyPass")
                || (directive.is("Proxy") && directive.body().iter().any(|inner| inner.is("ProxySet")));
            (is && url.contains("://")).then_some(url)
        });
        made.any(|url| target.starts_with(url.trim_end_matches('/')))
    }

    /// Returns a variable that `SetEnv`, `SetEnvIf` or `BrowserMatch` sets.
    fn flag(&self, name: &str) -> Option<Flag<'a>> {
        let scopes = self.route.scopes(self.configuration);
        scopes.into_iter().flatten().find_map(|directive| {
            let has = |words: &[String]| {
                words.iter().any(|word| word.split('=').next().unwrap_or_default().eq_ignore_ascii_case(name))
            };
            let matches_all = |pattern: &str| matches!(pattern, "." | ".*" | "^" | "" | "^.*$" | "^.*" | ".+");
            if directive.is("SetEnv") && directive.argument(0).eq_ignore_ascii_case(name) {
                return Some(Flag { said: &directive.said, for_all: true });
            }
            let (skip, pattern) = match &*directive.name.to_ascii_lowercase() {
                "setenvif" | "setenvifnocase" => (2, directive.argument(1)),
                "browsermatch" | "browsermatchnocase" => (1, directive.argument(0)),
                _ => return None,
            };
            let sets = directive.arguments.get(skip..).is_some_and(has);
            sets.then(|| Flag { said: &directive.said, for_all: matches_all(pattern) })
        })
    }

    /// Reads `lbmethod` and `loadfactor`.
    fn selection(&mut self) {
        if self.farm.balancer.is_none() {
            return;
        }
        let method = self.farm.parameter("lbmethod");
        let value = method.map_or_else(String::new, |method| method.value.to_ascii_lowercase());
        match method.map(|method| (method, &*value)) {
            None => self.site.default_reason("lbmethod=byrequests", "servers take turns"),
            Some((method, "byrequests")) => self.site.reason(method.said, "servers take turns"),
            Some((method, "bybusyness")) => {
                self.site.fact(method.said, "select.algorithm", quoted("least-connections"));
                self.site.reason(method.said, "the server with the fewest requests serves");
            }
            Some((method, "bytraffic")) => {
                self.site.reason(method.said, "the server that carried the fewest bytes serves");
                self.site.cannot_read(method.said, "turns by bytes are not simulated; the simulation counts requests");
            }
            Some((method, _)) => {
                self.site.cannot_read(
                    method.said,
                    "this way of choosing a server is not simulated; the simulation takes turns",
                );
            }
        }
        let weight =
            |member: &Member<'_>| member.parameter("loadfactor").and_then(|factor| factor.value.parse::<f64>().ok());
        let first = self.farm.members.iter().find_map(|member| member.parameter("loadfactor"));
        if let Some(first) = first {
            // The value is from 1 to 100, with two decimals since 2.4.46; profiles have whole numbers.
            let weights: Vec<f64> = self.farm.members.iter().map(|member| weight(member).unwrap_or(1.0)).collect();
            if weights.iter().all(|weight| weight.fract() == 0.0 && (0.0..=100.0).contains(weight)) {
                let weights: Vec<String> = weights.iter().map(|weight| format!("{weight:.0}")).collect();
                self.site.fact(first.said, "select.weights", format!("[{}]", weights.join(", ")));
            } else {
                self.site.cannot_read(first.said, "only whole numbers have a model here");
            }
        }
    }

    /// Reads `stickysession`, and the field that sets the cookie.
    fn persistence(&mut self) {
        let Some(sticky) = self.farm.parameter("stickysession") else { return };
        let cookie = sticky.value.split('|').next().unwrap_or_default();
        let headers = self.route.all(self.configuration, "Header");
        let sets = headers.into_iter().find(|header| {
            let is_field = header.arguments.iter().any(|word| word.eq_ignore_ascii_case("Set-Cookie"));
            is_field && header.rest.contains(&format!("{cookie}=")) && header.rest.contains("BALANCER_WORKER_ROUTE")
        });
        let Some(sets) = sets else {
            let why = "the servers have to set this cookie with their route, which IIS does not do by itself";
            return self.site.cannot_read(sticky.said, why);
        };
        if self.farm.members.iter().any(|member| member.parameter("route").is_none()) {
            return self.site.cannot_read(sticky.said, "not every server has a `route`, by which the cookie names it");
        }
        self.site.fact(sticky.said, "persist.by", quoted("cookie"));
        self.site.fact(sticky.said, "persist.cookie", quoted(cookie));
        let always = sets.argument(0).eq_ignore_ascii_case("always");
        self.site.fact(&sets.said, "persist.on_401", always.to_string());
        self.site.cannot_read(sticky.said, COOKIES);
        self.site.reason(
            sticky.said,
            "a cookie brings a client back to its server, over connections that all clients share",
        );
    }

    /// Reads the settings of the servers themselves.
    fn servers(&mut self) {
        for member in &self.farm.members {
            let status = member
                .parameter("status")
                .filter(|status| status.value.contains(['H', 'R', 'D', 'S', 'h', 'r', 'd', 's']));
            let spare = status.or_else(|| member.parameter("lbset").filter(|set| set.value != "0"));
            if spare.is_some() {
                self.site.cannot_read(member.said, "a server that serves only if others are down is not simulated");
            }
        }
        let parameter = |key: &str| {
            let own = self.farm.members.iter().find_map(|member| member.parameter(key));
            own.or_else(|| self.farm.parameter(key))
        };
        let has_pool = self.site.base != "httpd-disablereuse";
        let mut facts: Vec<(&Said, &'static str, String)> = Vec::new();
        if let Some((ttl, time)) = parameter("ttl").and_then(|ttl| Some((ttl, time(ttl.value)?)))
            && has_pool
        {
            facts.push((ttl.said, "pool.idle", quoted(&time)));
        }
        if let Some((most, count)) = parameter("max").and_then(|most| Some((most, most.value.parse::<u32>().ok()?)))
            && has_pool
            && self.site.base != "httpd-prefork"
            && count > 0
        {
            facts.push((most.said, "pool.per_key", count.to_string()));
            facts.push((most.said, "select.max_connections", count.to_string()));
        }
        if let Some((limit, time)) = parameter("timeout").and_then(|limit| Some((limit, time(limit.value)?))) {
            facts.push((limit.said, "answer", quoted(&time)));
        }
        match parameter("retry") {
            Some(retry) if retry.value == "0" => self.site.without.push("passive"),
            Some(retry) => {
                if let Some(time) = time(retry.value) {
                    facts.push((retry.said, "passive.within", quoted(&time)));
                    facts.push((retry.said, "passive.out_for", quoted(&time)));
                }
            }
            None => {}
        }
        for (said, key, toml) in facts {
            self.site.fact(said, key, toml);
        }
        for key in ["failonstatus", "failontimeout", "nofailover", "forcerecovery"] {
            if let Some(parameter) = self.farm.parameter(key)
                && !matches!(&*parameter.value.to_ascii_lowercase(), "off" | "0")
            {
                self.site.cannot_read(
                    parameter.said,
                    &format!("`{key}` decides when a server is left out, and is not simulated"),
                );
            }
        }
    }

    /// Reads the checks of mod_proxy_hcheck: <https://httpd.apache.org/docs/2.4/mod/mod_proxy_hcheck.html>.
    fn checks(&mut self) {
        let Some(member) = self.farm.members.first() else { return };
        let template = member.parameter("hctemplate").and_then(|named| {
            let templates = self.configuration.directives.iter().filter(|directive| directive.is("ProxyHCTemplate"));
            templates.rev().find(|template| template.argument(0) == named.value)
        });
        let find = |key: &str| -> Option<(&'a Said, &'a str)> {
            let own = member.parameter(key).map(|parameter| (parameter.said, parameter.value));
            own.or_else(|| {
                let template = template?;
                let mut pairs = template.arguments.iter().filter_map(|word| word.split_once('='));
                let value = pairs.rfind(|(name, _)| name.eq_ignore_ascii_case(key))?.1;
                Some((&template.said, value))
            })
        };
        let Some((said, method)) = find("hcmethod").filter(|(_, method)| !method.eq_ignore_ascii_case("none")) else {
            self.site.default_reason("(no `hcmethod`)", "the servers are not checked");
            return;
        };
        let interval = find("hcinterval").and_then(|(_, value)| time(value)).unwrap_or_else(|| "30s".into());
        let number =
            |key: &str| find(key).map_or("1", |(_, value)| value).parse::<u32>().unwrap_or(1).max(1).to_string();
        let is_tcp = method.eq_ignore_ascii_case("tcp");
        let mut facts = vec![
            ("check.probe", quoted(if is_tcp { "tcp" } else { "http" })),
            ("check.interval", quoted(&interval)),
            ("check.timeout", quoted(&interval)),
            ("check.rise", number("hcpasses")),
            ("check.fall", number("hcfails")),
        ];
        if !is_tcp {
            let expression = find("hcexpr").map(|(_, name)| name);
            let expression = expression.and_then(|name| {
                let all = self.configuration.directives.iter().filter(|directive| directive.is("ProxyHCExpr"));
                all.rev().find(|directive| directive.argument(0) == name)
            });
            let alive = expression.map_or(Some(vec![(200, 399)]), |directive| statuses(&directive.rest));
            if alive.is_none() {
                let said = expression.map_or(said, |directive| &directive.said);
                self.site.cannot_read(said, "this expectation is not simulated; the simulation takes 2xx and 3xx");
            }
            let said = expression.map_or(said, |directive| &directive.said);
            self.site.alive(said, &alive.unwrap_or_else(|| vec![(200, 399)]));
            if let Some((_, uri)) = find("hcuri") {
                facts.push(("check.uri", quoted(uri)));
            }
        }
        for (key, toml) in facts {
            self.site.fact(said, key, toml);
        }
    }

    /// Reads the time limits and other limits of clients' connections, and header fields.
    fn connections(&mut self) {
        let setting = |name: &str| self.route.setting(self.configuration, name);
        if let Some(limit) = setting("ProxyTimeout").or_else(|| setting("Timeout"))
            && let Some(time) = time(limit.argument(0))
            && !self.site.facts.iter().any(|fact| fact.key == "answer")
        {
            self.site.fact(&limit.said, "answer", quoted(&time));
        }
        if let Some((idle, time)) = setting("KeepAliveTimeout").and_then(|idle| Some((idle, time(idle.argument(0))?))) {
            self.site.fact(&idle.said, "client_idle", quoted(&time));
        }
        match setting("MaxKeepAliveRequests").and_then(|most| Some((most, most.argument(0).parse::<u32>().ok()?))) {
            Some((_, 0)) => self.site.without.push("client_requests"),
            Some((most, count)) => self.site.fact(&most.said, "client_requests", count.to_string()),
            None => {}
        }
        if let Some(off) = setting("KeepAlive").filter(|directive| directive.argument(0).eq_ignore_ascii_case("off")) {
            self.site.fact(&off.said, "client_requests", "1");
            self.site.reason(&off.said, "the client's connection closes after each answer");
        }
    }

    /// Reads TLS, and the version of HTTP.
    fn listener(&mut self) {
        let engine = self.route.setting(self.configuration, "SSLEngine");
        self.site.tls.0 = engine.is_some_and(|engine| !engine.argument(0).eq_ignore_ascii_case("off"));
        let scheme = |member: &Member<'_>| member.url.split("://").next().unwrap_or_default().to_ascii_lowercase();
        self.site.tls.1 = self.farm.members.iter().any(|member| matches!(&*scheme(member), "https" | "h2"));
        let http2 = self.farm.members.iter().find(|member| matches!(&*scheme(member), "h2" | "h2c"));
        if let Some(said) = http2.map(|member| member.said) {
            self.site.fact(said, "upstream_http", quoted("http2"));
        }
        let protocols = self.route.setting(self.configuration, "Protocols");
        self.site.http2 = protocols.is_some_and(|protocols| protocols.arguments.iter().any(|word| word == "h2"));
    }

    /// Reports directives that change what authentication depends on, or that decide for each request.
    fn unread(&mut self) {
        for (said, why) in &self.configuration.undecided {
            self.site.cannot_read(said, why);
        }
        for directive in self.route.scopes(self.configuration).into_iter().flatten() {
            self.unread_directive(directive);
        }
        if self.farm.members.is_empty() {
            self.site.cannot_read(&self.route.directive.said, "this balancer has no servers in the file");
        }
        if let Some(flag) = self.flag("force-proxy-request-1.0")
            && self.site.base != "httpd-disablereuse"
        {
            self.site.cannot_read(flag.said, "requests go to the servers by HTTP/1.0, which is not simulated");
        }
    }

    fn unread_directive(&mut self, directive: &Directive) {
        let said = &directive.said;
        let name = directive.name.to_ascii_lowercase();
        match &*name {
            "if" | "elseif" | "else" => self.site.cannot_read(said, "it is decided for each request"),
            "authtype" | "authmerging" if !directive.argument(0).eq_ignore_ascii_case("none") => {
                self.site.cannot_read(said, "httpd itself authenticates clients here");
            }
            "requestheader" | "header" => {
                let field = directive.arguments.iter().find(|word| SENSITIVE.contains(&&*word.to_ascii_lowercase()));
                let Some(field) = field else { return };
                let is_scrub = name == "requestheader"
                    && directive.argument(0).eq_ignore_ascii_case("unset")
                    && field.eq_ignore_ascii_case("authorization")
                    && directive.arguments.len() == 2;
                if is_scrub {
                    self.site.fact(said, "scrub", quoted("Authorization"));
                } else {
                    self.site.cannot_read(said, "it changes a field on which authentication depends");
                }
            }
            "rewriterule" if !std::ptr::eq(directive, self.route.directive) => {
                let flags = directive.argument(2).to_ascii_lowercase();
                // A redirection is answered by httpd itself.
                if !flags.contains("[r") && !flags.contains(",r") {
                    self.site.cannot_read(said, "where requests go may depend on it");
                }
            }
            "proxyremote" | "proxyremotematch" => self.site.cannot_read(said, "requests go through another proxy"),
            "proxyblock" | "proxyerroroverride" if !directive.argument(0).eq_ignore_ascii_case("off") => {
                self.site.cannot_read(said, "a server's answer, including a 401, may not reach the client");
            }
            "luahookfixups" | "luahooktranslatename" | "luahookaccesschecker" | "luahookauthchecker" => {
                self.site.cannot_read(said, "a program decides what happens here");
            }
            _ if !super::directives::is_known(&name) && directive.body.is_none() => {
                self.site.cannot_read(said, "this directive is unknown");
            }
            _ => {}
        }
    }
}

/// Returns a time in httpd's notation, in seconds if it has no unit; `None` for zero, and for a text that is not a
/// time.
fn time(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "mi" | "min" | "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    crate::value::time(number.checked_mul(factor)?)
}

/// Returns the statuses of `{%{REQUEST_STATUS} =~ /^[234]/}`; `None` for another expression.
pub(super) fn statuses(expression: &str) -> Option<Vec<(u16, u16)>> {
    let digits = expression.split_once("{%{REQUEST_STATUS} =~ /^[")?.1.split_once("]/}")?.0;
    digits
        .chars()
        .map(|c| {
            c.to_digit(10).and_then(|digit| u16::try_from(digit).ok()).map(|digit| (digit * 100, digit * 100 + 99))
        })
        .collect()
}
