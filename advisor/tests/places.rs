//! Tests of the columns of what is read: tabs, text that is not ASCII, continuation lines, several statements on a line,
//! variables and included files.

use std::path::Path;

use stickler_advisor::{Document, Language, Place, Texts, read};

fn document(language: Language, texts: &Texts, first: &str) -> Box<dyn Document> {
    read(language, &[Path::new(first)], texts, None).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the text at a place, as a reader who counts characters finds it.
fn marked(texts: &Texts, place: &Place) -> String {
    let text = texts.files[Path::new(&*place.file)].trim_start_matches('\u{feff}');
    let position = |line: usize, column: usize| {
        let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
        before + column - 1
    };
    let (start, end) = (position(place.line, place.column), position(place.end_line, place.end_column));
    text.chars().skip(start).take(end - start).collect()
}

/// Returns the file and the text of everything that a site of the document states with a place, without duplicates.
fn all(document: &dyn Document, texts: &Texts) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, site) in document.sites().iter().enumerate() {
        let reasons = site.reasons.iter().filter_map(|(place, _)| place.clone());
        let facts = site.facts.iter().map(|fact| fact.place.clone());
        let unread = site.unread.iter().map(|unread| unread.place.clone());
        let changes = document.sandbox(index).changes.into_iter().map(|change| change.place);
        for place in reasons.chain(facts).chain(unread).chain(changes) {
            let one = (place.file.to_string(), marked(texts, &place));
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    found
}

/// Asserts that each of these files and texts is the whole text of a place.
fn assert_marked(language: Language, texts: &[(&str, &str)], expected: &[(&str, &str)]) {
    let (first, texts) = (texts[0].0, Texts::new(texts));
    let found = all(&*document(language, &texts, first), &texts);
    for (file, text) in expected {
        assert!(found.iter().any(|(path, marked)| path == file && marked == text), "{file}: {text:?} of {found:#?}");
    }
}

#[test]
fn haproxy_with_tabs_comments_and_quotes() {
    let text = "defaults\n\tmode\thttp # \u{fc}\n  timeout client 10s\nfrontend www\n\tbind :80\n  default_backend iis\n\
                backend iis\n\t\thttp-reuse  always\t# caf\u{e9}\r\n  http-request set-header X \"\u{fc} #\" if { path \u{fc} }\n  \
                option redispatch # \u{1f600}\n  server iis1 10.0.0.1:80 check\n";
    assert_marked(
        Language::HaProxy,
        &[("haproxy.cfg", text)],
        &[
            ("haproxy.cfg", "mode\thttp"),
            ("haproxy.cfg", "timeout client 10s"),
            ("haproxy.cfg", "http-reuse  always"),
            ("haproxy.cfg", "server iis1 10.0.0.1:80 check"),
        ],
    );
}

#[test]
fn nginx_with_several_directives_on_a_line_and_an_include() {
    let main = "\u{feff}events {}\nhttp { # \u{fc}\n\tinclude conf.d/*.conf;\n}\n";
    let site = "upstream iis { server 10.0.0.11:80; @ keepalive 16; }\nserver {\n\tserver_name \"caf\u{e9}\"; listen\n\t\t80; \
                location / { proxy_set_header Connection \"\"; proxy_http_version 1.1; proxy_pass http://iis; }\n}\n"
        .replace('@', "# \u{fc}\n");
    assert_marked(
        Language::Nginx,
        &[("nginx.conf", main), ("conf.d/a.conf", &site)],
        &[
            ("conf.d/a.conf", "keepalive 16"),
            ("conf.d/a.conf", "server 10.0.0.11:80"),
            ("conf.d/a.conf", "listen\n\t\t80"),
        ],
    );
}

#[test]
fn httpd_with_continuation_lines_sections_and_macros() {
    let main = "\u{feff}ServerRoot /etc\nInclude site.conf\n";
    let site = "# \u{fc} \\\n a comment goes on\n<Macro Farm $host>\n  ProxyPass / http://$host/\n</Macro>\n<VirtualHost *:80>\n\
                \tServerName caf\u{e9} \t\n\tKeepAliveTimeout \\\r\n\t\t7 \r\n\tUse Farm 10.0.0.1\n</VirtualHost>\n";
    assert_marked(
        Language::Httpd,
        &[("httpd.conf", main), ("/etc/site.conf", site)],
        &[
            ("/etc/site.conf", "KeepAliveTimeout \\\r\n\t\t7"),
            // A line of a macro is where the macro is used.
            ("/etc/site.conf", "Use Farm 10.0.0.1"),
        ],
    );
}

#[test]
fn caddy_with_variables_continuation_lines_and_imports() {
    let main = "\u{feff}{\n\tadmin off # \u{fc}\n}\n:80 {\n\timport proxy \"{$FARM} \u{fc}\"\n}\n(unused) {\n}\n";
    let main = main.replace("\timport proxy \"{$FARM} \u{fc}\"\n", "\theader X \"\u{fc}\"\n\timport proxy.caddy\n");
    let proxy = "reverse_proxy {$ONE} \\\n\t{$TWO:10.0.0.2:80} { # \u{fc}\n\tlb_policy\tround_robin # x\n\t\
                 transport http {\n\t\tkeepalive {$IDLE}\n\t}\n}\n";
    let mut texts = Texts::new(&[("Caddyfile", &main), ("proxy.caddy", proxy)]);
    texts.variables.insert("ONE".into(), "10.0.0.1:80".into());
    texts.variables.insert("IDLE".into(), "2m".into());
    let found = all(&*document(Language::Caddy, &texts, "Caddyfile"), &texts);
    for (file, text) in [
        ("proxy.caddy", "reverse_proxy {$ONE} \\\n\t{$TWO:10.0.0.2:80}"),
        ("proxy.caddy", "lb_policy\tround_robin"),
        ("proxy.caddy", "keepalive {$IDLE}"),
    ] {
        assert!(found.iter().any(|(path, marked)| path == file && marked == text), "{file}: {text:?} of {found:#?}");
    }
}

#[test]
fn envoy_with_values_in_both_styles() {
    let text = include_str!("configurations/envoy/per-downstream-round-robin.yaml");
    let texts = Texts::new(&[("envoy.yaml", text)]);
    let found = all(&*document(Language::Envoy, &texts, "envoy.yaml"), &texts);
    assert!(!found.is_empty());
    for (_, marked) in &found {
        assert!(!marked.is_empty() && marked.trim() == marked && !marked.contains(['\n', '#']), "{marked:?}");
    }
    let has = |text: &str| found.iter().any(|(_, marked)| marked == text);
    assert!(has("connection_pool_per_downstream_connection: true") && has("match: { prefix: \"/\" }"), "{found:#?}");
}

#[test]
fn varnish_with_statements_over_several_lines_and_an_include() {
    let main = "\u{feff}vcl 4.1;\ninclude \"/etc/farm.vcl\";\nsub vcl_recv {\n\tset req.http.X = \"\u{fc}\"; unset  req.http.Authorization;\n}\n";
    let farm = "/* \u{fc} */ backend iis {\n\t.host = \"10.0.0.1\";\n\t.port = \"80\"; /* \u{1f600} */ .max_connections =\n\t\t7;\n}\n";
    assert_marked(
        Language::Varnish,
        &[("default.vcl", main), ("/etc/farm.vcl", farm)],
        &[("default.vcl", "unset  req.http.Authorization"), ("/etc/farm.vcl", ".max_connections =\n\t\t7")],
    );
}
