//! Creates a copy of the file for a run, with Stickler's servers in place of the farm's, addresses of the run in place
//! of the listeners', and nothing that is not known to be safe.
//!
//! Each line has one line in the copy, so HAProxy's messages about a line concern the line with the same number.

use std::collections::BTreeMap;

use super::directives::{self, Argument, CONTACTS, Rule, Treatment, UNKNOWN};
use super::parse::{File, Line, is_name};
use super::settings::{CHECK_PAGE, check_pages};
use super::site::{Pair, is_server};
use super::words::written;
use crate::Sandbox;
use crate::draft::Draft;
use crate::template::literal;

/// The end of the copy: the socket by which servers are drained, and the user to which HAProxy changes if it runs as
/// root.
const OWN: &str = "\nglobal\n    stats socket {{ folder }}/admin.sock level admin\n\
                   {% if nobody %}\n    uid {{ nobody }}\n    gid {{ nobody }}\n{% endif %}";

/// The address and the settings of a server that a run does not have: nobody listens on that port, and nothing is sent
/// there.
const NOWHERE: &str = "127.0.0.1:1 disabled no-check no-ssl";

/// Creates the copy for a site. `tls` says whether the copy keeps TLS between the clients and the balancer, and between
/// the balancer and the servers.
pub(super) fn sandbox(file: &File, pair: Pair, tls: (bool, bool)) -> Sandbox {
    let mut writer = Writer {
        file,
        pair,
        tls,
        draft: Draft::default(),
        servers: 0,
        sockets: 0,
        last: BTreeMap::new(),
        secured_by_default: BTreeMap::new(),
        farm: None,
        routed: false,
    };
    for line in &file.lines {
        writer.line(line);
    }
    writer.draft.template(OWN);
    writer.draft.finished()
}

struct Writer<'a> {
    file: &'a File,
    pair: Pair,
    tls: (bool, bool),
    draft: Draft,
    /// The number of servers in the current section so far.
    servers: usize,
    /// The number of Unix sockets so far.
    sockets: usize,
    /// The line of the last server, by section.
    last: BTreeMap<usize, usize>,
    /// Whether servers without their own setting are contacted over TLS, by section.
    secured_by_default: BTreeMap<usize, bool>,
    /// The section whose servers are counted.
    farm: Option<usize>,
    /// Whether a line that leads to the farm has been written.
    routed: bool,
}

/// The words that are left out, the reason, and whether the verdict may depend on them.
type Left = (String, &'static str, bool);

/// The result of a line in the copy.
enum Become {
    Same,
    Template(String),
    Nothing,
}

impl Writer<'_> {
    fn line(&mut self, line: &Line) {
        // A comment has no effect on the product.
        let became = if line.words.is_empty() { Become::Nothing } else { self.treated(line) };
        match became {
            Become::Same => self.draft.text(&afresh(line, &|_, word| written(word))),
            Become::Template(text) => self.draft.template(&text),
            Become::Nothing => self.draft.text(""),
        }
    }

    fn treated(&mut self, line: &Line) -> Become {
        // The conditions have been evaluated, so the product need not evaluate them.
        if line.is_preprocessed() || !line.holds {
            return Become::Nothing;
        }
        let Some(section) = line.section else { return self.leave(line, UNKNOWN, true) };
        let kind = &*self.file.sections[section].kind;
        if let Some(why) = directives::section(kind) {
            return self.leave(line, why, false);
        }
        let is_first = self.file.sections[section].first + 1 == line.number;
        if is_first && matches!(kind, "frontend" | "listen") && is_bound_in_its_first_line(line) {
            return self.replace(
                line,
                literal(&format!("{kind} {}", line.word(1))),
                "the run has its own listener",
                false,
            );
        }
        if is_first && kind == "peers" {
            let text = literal(&afresh(line, &|_, word| written(word)));
            return self.replace(line, text, "its peers are left out, and its tables stay", false);
        }
        if is_first {
            return Become::Same;
        }
        if section == self.pair.front
            && matches!(line.keyword(), "use_backend" | "default_backend")
            && self.leads_elsewhere(line)
        {
            return self.route(line);
        }
        let rule = match kind {
            "global" => directives::global(line.keyword()),
            "peers" => directives::peers(line.keyword()),
            "defaults" | "frontend" | "backend" | "listen" => {
                directives::proxy(line.keyword(), &line.arguments().collect::<Vec<_>>())
            }
            kind => directives::other(kind, line.keyword()),
        };
        match rule {
            Rule::Leave(why) => self.leave(line, why, false),
            Rule::LeaveMatters(why) => self.leave(line, why, true),
            Rule::Keep if matches!(kind, "global" | "peers") => Become::Same,
            Rule::Keep => self.kept(section, line),
        }
    }

    /// Writes a line of a proxy of which at least a part stays.
    fn kept(&mut self, section: usize, line: &Line) -> Become {
        match line.keyword() {
            "bind" => self.listener(section, line),
            _ if is_server(line) => self.server(section, line),
            "default-server" => {
                let (arguments, left) = arguments(line, 1, directives::server, self.tls.1);
                self.with_left(line, format!("    default-server {arguments}"), &left, "")
            }
            "stick-table" if line.arguments().any(|word| word == "peers") => {
                let kept = without_values(line, &["peers"]);
                self.replace(line, literal(&format!("    {kept}")), CONTACTS, false)
            }
            "http-check" | "tcp-check" if line.arguments().next() == Some("connect") => {
                let mut left = vec!["addr", "port", "sni", "via-socks4", "send-proxy"];
                if !self.tls.1 {
                    left.extend(["ssl", "alpn"]);
                }
                let kept = without_values(line, &left);
                self.replace(line, literal(&format!("    {kept}")), "checks go to the servers of the run", false)
            }
            "option" if line.arguments().next() == Some("httpchk") => self.check_page(section, line),
            "http-check" if matches!(line.arguments().next(), Some("send" | "expect")) => {
                self.check_page(section, line)
            }
            _ => Become::Same,
        }
    }

    /// Writes a line that names the page that health checks request, or the text that they expect. Stickler's servers
    /// have a page for checks that needs no logon, as the operator's page presumably does. A page that is expected to
    /// ask for a logon is requested unchanged.
    fn check_page(&mut self, section: usize, line: &Line) -> Become {
        const WHY: &str = "checks request the run's page that needs no logon";
        let pages = check_pages(self.file, section);
        let Some(page) = pages.iter().find(|page| page.line == line.number) else { return Become::Same };
        let text = match page.word {
            Some(index) => afresh(line, &|at, word| if at == index { CHECK_PAGE.to_owned() } else { written(word) }),
            None => "    http-check expect status 200".to_owned(),
        };
        self.replace(line, literal(&text), WHY, false)
    }

    /// Writes a line that leads elsewhere. The first of them leads to the farm that is judged, unless another line
    /// does.
    fn route(&mut self, line: &Line) -> Become {
        const WHY: &str = "requests go to the judged farm";
        let is_routed = self.pair.front == self.pair.back
            || self
                .file
                .body(self.pair.front)
                .any(|line| line.keyword() == "default_backend" && !self.leads_elsewhere(line));
        if is_routed || std::mem::replace(&mut self.routed, true) {
            return self.leave(line, WHY, false);
        }
        let farm = &self.file.sections[self.pair.back].name;
        self.replace(line, literal(&format!("    default_backend {farm}")), WHY, false)
    }

    /// Returns whether requests would go to another farm because of this line.
    fn leads_elsewhere(&self, line: &Line) -> bool {
        let is_own = self.pair.front == self.pair.back;
        let name = line.arguments().next().unwrap_or_default();
        // A rule with a condition that leads to this same farm would exclude other farms.
        let to_farm = name == self.file.sections[self.pair.back].name && !is_own;
        !(to_farm && line.keyword() == "default_backend")
    }

    fn listener(&mut self, section: usize, line: &Line) -> Become {
        let is_main = section == self.pair.front && self.main_listener().is_some_and(|main| main.number == line.number);
        let address = if is_main {
            "{{ address }}".to_owned()
        } else {
            if line.word(1).starts_with("quic") {
                return self.leave(line, "the run has no QUIC", false);
            }
            self.sockets += 1;
            format!("unix@{{{{ folder }}}}/listener-{}.sock", self.sockets)
        };
        let (arguments, left) = arguments(line, 2, directives::bind, self.tls.0);
        let certificate =
            if self.tls.0 && line.arguments().any(|word| word == "ssl") { " crt {{ folder }}/site.pem" } else { "" };
        let text = format!("    bind {address} {arguments}{certificate}");
        self.with_left(line, text, &left, "the run has its own listeners")
    }

    /// Returns the listener to which clients connect: the first one with TLS if the copy keeps TLS, otherwise the first
    /// one.
    fn main_listener(&self) -> Option<&Line> {
        let binds = || {
            self.file.body(self.pair.front).filter(|line| line.keyword() == "bind" && !line.word(1).starts_with("quic"))
        };
        let secured = binds().find(|line| line.arguments().any(|word| word == "ssl"));
        secured.filter(|_| self.tls.0).or_else(|| binds().next())
    }

    /// Writes a server: one of the run's servers, if the run has that many; otherwise one that is out of service,
    /// because other lines may name it. The last server of a farm is followed by the additional servers of the run.
    fn server(&mut self, section: usize, line: &Line) -> Become {
        if self.farm != Some(section) {
            (self.farm, self.servers) = (Some(section), 0);
        }
        let index = self.servers;
        self.servers += 1;
        let is_last = self.last_server(section) == line.number;
        let (skip, name) = match line.keyword() {
            "server" => (3, line.word(1).to_owned()),
            "server-template" => (4, format!("{}{}", line.word(1), index + 1)),
            _ => {
                let text = "    dispatch {{ servers[0].address }}".to_owned();
                return self.replace(line, text, "the run has Stickler's servers", false);
            }
        };
        if name.is_empty() || !name.chars().all(is_name) {
            return self.leave(line, "its name has characters that names cannot have", true);
        }
        let (arguments, left) = arguments(line, skip, directives::server, self.tls.1);
        let secured = if self.tls.1 && self.is_secured(section, line) { " verify none" } else { "" };
        let rest = format!("{arguments}{secured}");
        let mut text = format!(
            "{{% if servers|length > {index} %}}    server {} {{{{ servers[{index}].address }}}} {rest}{{% else %}}    server {} {NOWHERE}{secured}{{% endif %}} ",
            literal(&name),
            literal(&name)
        );
        if is_last {
            // Each server must have its own cookie.
            let more = rest.replace(&format!("cookie {}", cookie(line)), "cookie {{ server.name }}");
            text = format!(
                "{text}\n{{% for server in servers[{}:] %}}\n    server stickler-{{{{ server.name }}}} {{{{ server.address }}}} {more}\n{{% endfor %}}",
                index + 1
            );
        }
        self.with_left(line, text, &left, "the run has Stickler's servers")
    }

    /// Returns the line of the last server of a farm.
    fn last_server(&mut self, section: usize) -> usize {
        let file = self.file;
        let last = || file.body(section).rfind(|line| is_server(line)).map_or(0, |line| line.number);
        *self.last.entry(section).or_insert_with(last)
    }

    fn is_secured(&mut self, section: usize, line: &Line) -> bool {
        let has = |line: &Line| line.arguments().any(|word| word == "ssl");
        let file = self.file;
        let default = || file.keyword(section, "default-server").is_some_and(has);
        has(line) || *self.secured_by_default.entry(section).or_insert_with(default)
    }

    fn with_left(&mut self, line: &Line, text: String, left: &[Left], why: &str) -> Become {
        let matters = left.iter().any(|(_, _, matters)| *matters);
        let left: Vec<String> = left.iter().map(|(words, why, _)| format!("`{words}` is left out: {why}")).collect();
        let why = std::iter::once(why.to_owned()).filter(|why| !why.is_empty()).chain(left.iter().cloned());
        let why = why.collect::<Vec<_>>().join("; ");
        if why.is_empty() { Become::Same } else { self.replace(line, text, &why, matters) }
    }

    fn replace(&mut self, line: &Line, template: String, why: &str, matters: bool) -> Become {
        let after = template.lines().next().unwrap_or_default().trim().to_owned();
        let after = match after.strip_prefix("{% if ").and_then(|rest| rest.split_once("%}")) {
            Some((_, rest)) => rest.split("{% else %}").next().unwrap_or_default().trim().to_owned(),
            None => after,
        };
        self.draft.change(&self.file.said(line), Some(&after.replace("{{ '{' }}", "{")), why, matters);
        Become::Template(template)
    }

    fn leave(&mut self, line: &Line, why: &str, matters: bool) -> Become {
        self.draft.leave(&self.file.said(line), why, matters);
        Become::Nothing
    }
}

/// Writes a line again from the meaning of its words, so HAProxy reads exactly what was read here. `word` writes the
/// word with an index.
fn afresh(line: &Line, word: &dyn Fn(usize, &str) -> String) -> String {
    let indent = if line.text.starts_with([' ', '\t']) { "    " } else { "" };
    let words = line.words.iter().enumerate().map(|(index, one)| word(index, &one.text));
    format!("{indent}{}", words.collect::<Vec<_>>().join(" "))
}

/// Returns the line without these words, and without the value of each of them if it has one.
fn without_values(line: &Line, names: &[&str]) -> String {
    const FLAGS: [&str; 3] = ["ssl", "send-proxy", "via-socks4"];
    let mut kept = Vec::new();
    let mut skip = false;
    for word in &line.words {
        if std::mem::take(&mut skip) {
            continue;
        }
        if names.contains(&&*word.text) {
            skip = !FLAGS.contains(&&*word.text);
        } else {
            kept.push(written(&word.text));
        }
    }
    kept.join(" ")
}

/// Returns the arguments that stay, as a template, and those that do not, with the reason.
fn arguments(line: &Line, skip: usize, known: fn(&str) -> Option<Argument>, tls: bool) -> (String, Vec<Left>) {
    let mut kept = Vec::new();
    let mut left = Vec::new();
    let raw = |index: usize| line.words.get(index).map(|word| written(&word.text));
    let mut index = skip;
    while let Some(word) = line.words.get(index) {
        let argument = known(&word.text).unwrap_or(Argument { values: 0, treatment: Treatment::Leave(UNKNOWN) });
        let all: Vec<String> = (index..=index + argument.values).filter_map(raw).collect();
        index += 1 + argument.values;
        match argument.treatment {
            Treatment::Keep => kept.push(literal(&all.join(" "))),
            Treatment::KeepWithTls if tls => kept.push(literal(&all.join(" "))),
            Treatment::KeepWithTls => left.push((all.join(" "), "the run has no TLS here", false)),
            Treatment::Certificates => left.push((all.join(" "), "the run has its own certificates", false)),
            Treatment::Leave(why) => left.push((all.join(" "), why, why == UNKNOWN)),
            Treatment::LeaveMatters(why) => left.push((all.join(" "), why, true)),
        }
    }
    (kept.join(" "), left)
}

/// Returns the value of a server's cookie, or a text that no line contains if there is none.
fn cookie(line: &Line) -> &str {
    line.arguments().skip_while(|word| *word != "cookie").nth(1).unwrap_or("\0")
}

/// Returns whether a front end has its address in its first line, as HAProxy accepted it before 1.7.
fn is_bound_in_its_first_line(line: &Line) -> bool {
    line.words.len() > 2 && line.word(2) != "from"
}
