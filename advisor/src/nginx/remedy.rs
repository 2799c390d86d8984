//! The remedies for sites that mix users up, or on which they cannot log on.
//!
//! Without a commercial or third-party module, nginx cannot give a client its own connection in `http {}`. In
//! `stream {}` each client's connection has its own connection to a server:
//! <https://nginx.org/en/docs/stream/ngx_stream_proxy_module.html>.

use std::fmt::Write as _;

use super::facts::is_method;
use super::site::{Found, target};
use super::tree::{Directive, Tree};
use crate::{Remedy, Rewritten};

/// The line that loads the module of `stream {}`, as packages of distributions have it.
const MODULE: &str = "load_module modules/ngx_stream_module.so;";

/// The directives that a server may have beside its location if it is to become a server of `stream {}`. None of them
/// affects where requests go.
const HARMLESS: [&str; 12] = [
    "listen",
    "server_name",
    "access_log",
    "error_log",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "keepalive_timeout",
    "client_max_body_size",
    "server_tokens",
];

/// Returns the remedies for a site, the best first.
pub(super) fn remedies(tree: &Tree, found: &Found<'_>) -> Vec<Remedy> {
    if found.part.name == "stream" {
        return Vec::new();
    }
    let mut remedies: Vec<Remedy> = to_stream(tree, found).into_iter().collect();
    if remedies.is_empty() {
        let choice = "a server of `stream {}` in its place (ngx_stream_module), which passes connections on unread; it has no locations and changes no header fields";
        remedies.push(Remedy::Choice(choice.into()));
    }
    let ntlm = "`ntlm;` in the upstream, beside `keepalive`: nginx Plus (ngx_http_upstream_module), or the module nginx-ntlm-module";
    remedies.push(Remedy::Choice(ntlm.into()));
    remedies
}

/// Returns the main file with the site as a server of `stream {}`; `None` if the change would lose a setting.
fn to_stream(tree: &Tree, found: &Found<'_>) -> Option<Remedy> {
    let Tree { path, text, directives } = tree;
    let (server, upstream) = (found.server, found.upstream?);
    let is_of_main = |directive: &Directive| *directive.place.file == **path;
    let [location] = found.locations[..] else { return None };
    let is_simple = found.chosen.is_none()
        && super::site::is_root(&found.locations)
        && is_of_main(server)
        && is_of_main(upstream)
        && server.inner().iter().all(|line| HARMLESS.contains(&&*line.name) || std::ptr::eq(line, location))
        && location.inner().iter().all(|line| line.block.is_none() && line.name.starts_with("proxy_"))
        && directives.iter().all(|directive| directive.name != "stream")
        && !upstream.inner().iter().any(|line| matches!(&*line.name, "ntlm" | "sticky"));
    if !is_simple {
        return None;
    }
    let name = upstream.argument(0);
    let mut cuts = vec![server.span];
    // Other servers may use the upstream as well.
    if text.matches(name).count() <= 2 && passes(found.part, name) == 1 {
        cuts.push(upstream.span);
    }
    let mut after = cut(text, cuts);
    if !after.ends_with('\n') {
        after.push('\n');
    }
    after.push_str(&stream(server, upstream, target(found.pass.argument(0)).0 == "https"));
    let loads = directives.iter().any(|line| line.name == "load_module" && line.argument(0).contains("stream"));
    if !loads {
        after = format!("{MODULE}\n{after}");
    }
    Some(Remedy::Edit {
        title: format!(
            "pass the connections of {} on unread, with `stream {{}}` (Debian: libnginx-mod-stream)",
            found.name()
        ),
        files: vec![Rewritten { path: path.clone(), before: text.clone(), after }],
    })
}

/// Returns the number of times that requests are passed on to an upstream.
fn passes(block: &Directive, name: &str) -> usize {
    let own =
        block.inner().iter().filter(|line| line.name == "proxy_pass" && target(line.argument(0)).1 == name).count();
    own + block.inner().iter().map(|inner| passes(inner, name)).sum::<usize>()
}

/// Returns the text without these spans, and without the lines that become empty.
fn cut(text: &str, mut spans: Vec<(usize, usize)>) -> String {
    spans.sort_unstable();
    let mut result = String::new();
    let mut at = 0;
    for (start, end) in spans {
        let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let start = if text[line..start].trim().is_empty() { line } else { start };
        let rest = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
        let end = if text[end..rest].trim().is_empty() { rest } else { end };
        result.push_str(&text[at.min(start)..start]);
        at = end;
    }
    result.push_str(&text[at..]);
    result
}

/// Returns the block `stream {}` that does for connections what the site did for requests.
fn stream(server: &Directive, upstream: &Directive, secured_behind: bool) -> String {
    let name = upstream.argument(0);
    let mut text = format!("stream {{\n    upstream {name} {{\n");
    for line in upstream.inner() {
        match &*line.name {
            // stream has no `ip_hash`; this is the most similar directive.
            "ip_hash" => text.push_str("        hash $remote_addr consistent;\n"),
            "server" => {
                let _ = writeln!(text, "        {};", line.says());
            }
            _ if is_method(line) && !line.texts().any(is_of_requests) => {
                let _ = writeln!(text, "        {};", line.says());
            }
            _ => {}
        }
    }
    text.push_str("    }\n    server {\n");
    let listens: Vec<&Directive> = server.named("listen").collect();
    if listens.is_empty() {
        text.push_str("        listen 80;\n");
    }
    for listen in listens {
        let words = listen
            .arguments
            .iter()
            .filter(|word| !matches!(&*word.text, "http2" | "default_server" | "default" | "deferred"));
        let words: Vec<&str> = words.map(|word| &*word.raw).collect();
        let _ = writeln!(text, "        listen {};", words.join(" "));
    }
    for line in server.inner().iter().filter(|line| line.name.starts_with("ssl_")) {
        let _ = writeln!(text, "        {};", line.says());
    }
    if secured_behind {
        text.push_str("        proxy_ssl on;\n");
    }
    let _ = writeln!(text, "        proxy_pass {name};\n    }}\n}}");
    text
}

/// Returns whether a word names a variable that exists only where requests are read.
fn is_of_requests(word: &str) -> bool {
    const CONNECTIONS: [&str; 8] = [
        "$remote_addr",
        "$binary_remote_addr",
        "$remote_port",
        "$server_addr",
        "$server_port",
        "$hostname",
        "$ssl_preread_server_name",
        "$proxy_protocol_addr",
    ];
    word.contains('$') && !CONNECTIONS.contains(&word)
}
