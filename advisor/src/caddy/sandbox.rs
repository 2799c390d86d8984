//! Creates a copy of the file for a run: one site, which passes every request on to one farm.

use super::directives::{self, Rule, UNKNOWN};
use super::parse::Directive;
use super::site::{Proxy, options};
use crate::Sandbox;
use crate::draft::{ALIVE, Draft};
use crate::template::literal;

/// The global options of every run, which replace the file's own: nothing is requested from other hosts, and nothing is
/// written outside of the run's folder. HTTP/3 would listen for datagrams.
const HEAD: &str = "\
{
    admin off
    auto_https off
    storage file_system {{ folder }}/storage
    servers {
        protocols h1 h2";

/// Creates the copy for a proxy. `tls` says whether the copy keeps TLS between the clients and Caddy, and between Caddy
/// and the servers.
pub(super) fn sandbox(blocks: &[Directive], proxy: &Proxy<'_>, tls: (bool, bool)) -> Sandbox {
    let mut writer = Writer { proxy, tls, draft: Draft::default(), matchers: Vec::new() };
    writer.draft.template(HEAD);
    for line in options(blocks).into_iter().flat_map(Directive::body) {
        writer.option(line);
    }
    writer.draft.template("    }\n}");
    for site in blocks.iter().filter(|block| !block.name.is_empty() && !std::ptr::eq(*block, proxy.site)) {
        writer.draft.leave(&site.said, "it is another site", false);
    }
    let scheme = if tls.0 { "https" } else { "http" };
    writer.draft.template(&format!("{scheme}://:{{{{ port }}}} {{\n    bind {{{{ host }}}}"));
    if tls.0 {
        writer.draft.template("    tls {{ folder }}/site.pem {{ folder }}/site.pem");
    }
    let after = format!("{scheme}://(the address of the run)");
    writer.draft.change(
        &proxy.site.said,
        Some(&after),
        "in the run every request is for this site, and the run has its own certificate",
        false,
    );
    for block in proxy.blocks() {
        writer.block(block);
    }
    writer.proxy();
    writer.draft.template("}");
    writer.draft.changes.sort_by(|one, other| one.place.cmp(&other.place));
    writer.draft.finished()
}

struct Writer<'a> {
    proxy: &'a Proxy<'a>,
    tls: (bool, bool),
    draft: Draft,
    /// The matchers that exist.
    matchers: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn option(&mut self, line: &'a Directive) {
        match directives::option(&line.name) {
            // The options of other servers are not changed.
            Rule::Inside => line.body().iter().for_each(|inner| self.option(inner)),
            Rule::Keep => self.keep(line, "        "),
            Rule::KeepWithServersTls => {}
            Rule::Leave(why) => self.leave(line, why, false),
            Rule::LeaveMatters(why) => self.leave(line, why, true),
        }
    }

    /// Writes the lines of the site, or of a block in it that contains the proxy.
    fn block(&mut self, block: &'a Directive) {
        for line in block.body() {
            if line.name.starts_with('@') {
                self.matcher(line);
                continue;
            }
            let is_way = self.proxy.within.iter().any(|within| std::ptr::eq(*within, line));
            if is_way {
                self.draft.change(&line.said, Some("(its lines)"), "every request is for these servers", false);
                continue;
            }
            if std::ptr::eq(line, self.proxy.directive) {
                continue;
            }
            match directives::directive(&line.name) {
                Rule::Keep if !self.has_matcher(line) => self.leave(line, "its matcher is missing", true),
                Rule::Keep => self.keep(line, "    "),
                Rule::Leave(why) => self.leave(line, why, false),
                Rule::LeaveMatters(why) => self.leave(line, why, true),
                Rule::Inside | Rule::KeepWithServersTls => {}
            }
        }
    }

    /// Writes a matcher if every part of it is known.
    fn matcher(&mut self, line: &'a Directive) {
        let is_known = directives::is_safe_matcher(&line.arguments, line.body.as_deref());
        let is_used = self
            .proxy
            .blocks()
            .flat_map(Directive::body)
            .any(|other| other.matcher() == Some(&line.name) && directives::directive(&other.name) == Rule::Keep);
        if is_known && is_used {
            self.matchers.push(&line.name);
            self.keep(line, "    ");
        } else {
            self.leave(line, "the run does not need it", false);
        }
    }

    fn has_matcher(&self, line: &Directive) -> bool {
        line.matcher().is_none_or(|matcher| !matcher.starts_with('@') || self.matchers.contains(&matcher))
    }

    /// Writes the proxy, with the run's servers.
    fn proxy(&mut self) {
        let directive = self.proxy.directive;
        self.draft.template("    reverse_proxy {% for server in servers %}{{ server.address }} {% endfor %} {");
        self.draft.change(
            &directive.said,
            Some("reverse_proxy (the servers of the run)"),
            "the run has Stickler's servers",
            false,
        );
        let mut has_transport = false;
        for line in directive.body() {
            if line.name == "transport" {
                has_transport = true;
                self.transport(line);
                continue;
            }
            match directives::proxy(&line.name) {
                Rule::Keep if line.name == "health_status" => {
                    self.draft.change(&line.said, Some("health_status 4xx"), ALIVE, false);
                }
                Rule::Keep => self.keep(line, "        "),
                Rule::Leave(why) => self.leave(line, why, false),
                Rule::LeaveMatters(why) => self.leave(line, why, !line.name.starts_with('@')),
                Rule::Inside | Rule::KeepWithServersTls => {}
            }
        }
        if ["health_uri", "health_path"].iter().any(|name| directive.inner(name).is_some()) {
            // The only class that can be named is that of 401.
            self.draft.template("        health_status 4xx");
        }
        if !has_transport && self.tls.1 {
            self.draft
                .template("        transport http {\n            tls\n            tls_insecure_skip_verify\n        }");
        }
        self.draft.template("    }");
    }

    fn transport(&mut self, line: &'a Directive) {
        let name = line.argument(0);
        if !matches!(name, "http" | "http_ntlm") {
            return self.leave(line, UNKNOWN, true);
        }
        self.draft.template(&format!("        transport {name} {{"));
        if self.tls.1 {
            self.draft.template("            tls\n            tls_insecure_skip_verify");
        }
        for inner in line.body() {
            match directives::transport(&inner.name) {
                Rule::Keep => self.keep(inner, "            "),
                Rule::KeepWithServersTls if self.tls.1 => self.keep(inner, "            "),
                Rule::KeepWithServersTls | Rule::Inside => self.leave(inner, "the run has no TLS here", false),
                Rule::Leave(why) => self.leave(inner, why, false),
                Rule::LeaveMatters(why) => self.leave(inner, why, true),
            }
        }
        self.draft.template("        }");
    }

    /// Writes a line with its block.
    fn keep(&mut self, line: &'a Directive, indent: &str) {
        let mut text = String::new();
        if written(line, indent, directives::has_block(&line.name), &mut text) {
            self.draft.template(text.trim_end_matches('\n'));
        } else {
            self.leave(line, UNREADABLE, true);
        }
    }

    /// Leaves a line out, and each line of its block separately, since each of them may matter.
    fn leave(&mut self, line: &'a Directive, why: &str, matters: bool) {
        self.draft.leave(&line.said, why, matters);
        for inner in line.body() {
            let contacts =
                matches!(&*inner.name, "ask" | "issuer" | "dynamic" | "resolvers" | "ca" | "dns" | "on_demand")
                    || inner.name == "output" && inner.argument(0) == "net";
            self.leave(inner, if contacts { directives::CONTACTS } else { why }, false);
        }
    }
}

/// The reason for leaving out a line that might otherwise stay.
const UNREADABLE: &str = "one of its words has several lines, a brace or a variable, or it has its own block";

/// Writes a line with its block as a template. Returns `false` if that cannot be done safely.
fn written(line: &Directive, indent: &str, may_have_block: bool, text: &mut String) -> bool {
    // Caddy imports every line that begins with this word, even in quotes.
    if line.name == "import" {
        return false;
    }
    text.push_str(indent);
    for (index, word) in std::iter::once(&line.name).chain(&line.arguments).enumerate() {
        let Some(word) = quoted(word) else { return false };
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&literal(&word));
    }
    if let Some(body) = &line.body {
        if !may_have_block {
            return false;
        }
        // A matcher's block may have that of `not`, and `encode` that of `match`.
        let deeper_may = line.name.starts_with('@') || matches!(&*line.name, "not" | "encode");
        text.push_str(" {\n");
        let deeper = format!("{indent}    ");
        if !body.iter().all(|inner| written(inner, &deeper, deeper_may, text)) {
            return false;
        }
        text.push_str(indent);
        text.push('}');
    }
    text.push('\n');
    true
}

/// Returns a word in the notation in which Caddy reads exactly this word. Returns `None` for a word with an end of a
/// line or another control character, for a single brace, which begins or ends a block even in quotes (2.6:
/// caddyconfig/caddyfile/parse.go), and for a variable or a placeholder that does not describe the request.
fn quoted(word: &str) -> Option<String> {
    if word.contains(char::is_control) || matches!(word, "{" | "}") || !has_safe_placeholders(word) {
        return None;
    }
    // Outside of quotes a backslash is kept, and changes the meaning of the next character.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:%+,=~@*!?-^$()[]|;&{}<>'".contains(c);
    if !word.is_empty() && !word.starts_with('<') && word.chars().all(is_plain) {
        return Some(word.to_owned());
    }
    // In quotes only a quote is escaped, and a backslash in front of one would escape it.
    if !word.contains('`') {
        Some(format!("`{word}`"))
    } else if !word.contains('\\') {
        Some(format!("\"{}\"", word.replace('"', "\\\"")))
    } else {
        None
    }
}

fn has_safe_placeholders(word: &str) -> bool {
    // Caddy searches the following lines for the end of a variable as well, before it reads any of them.
    if word.contains("{$") {
        return false;
    }
    let mut rest = word;
    while let Some((_, from)) = rest.split_once('{') {
        let Some((inside, after)) = from.split_once('}') else { return true };
        if !directives::is_safe_placeholder(inside) {
            return false;
        }
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tokens::{lines, with_environment};
    use super::*;
    use crate::Texts;
    use crate::source::Source;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_word(word in "[ -~]{0,12}") {
            if let Some(written) = quoted(&word) {
                let source = Arc::new(Source::new("x", format!("header {written} end\nnext")));
                let expanded = with_environment(&source, &Texts::default()).unwrap();
                let lines = lines(&source, &expanded).unwrap();
                let words: Vec<&str> = lines[0].tokens.iter().map(|token| &*token.text).collect();
                proptest::prop_assert_eq!(words, ["header", &word, "end"]);
                proptest::prop_assert_eq!(lines.len(), 2);
            }
        }
    }
}
