//! Tests of configurations that are malformed, lead to themselves, grow without end, or must not run, in the languages
//! of nginx, httpd, Caddy, Envoy and Varnish.

use std::fmt::Write as _;
use std::path::Path;

use stickler_advisor::{Document, Language, Remedy, Site, Texts, read};

fn document(language: Language, text: &str) -> Box<dyn Document> {
    read(language, &[Path::new("/c")], &Texts::new(&[("/c", text)]), None).unwrap_or_else(|error| panic!("{error}"))
}

fn site(language: Language, text: &str) -> Site {
    document(language, text).sites()[0].clone()
}

/// Returns the file, the line and the message of the error.
fn refusal(language: Language, files: &Texts) -> (String, usize, String) {
    let error = read(language, &[Path::new("/c")], files, None).err().expect("it is refused");
    (error.file, error.line, error.message)
}

fn fact(site: &Site, key: &str) -> Option<String> {
    site.facts.iter().rfind(|fact| fact.key == key).map(|fact| fact.toml.clone())
}

/// Asserts that none of these texts reaches the copy, and that each is named among the changes.
fn keeps_out(document: &dyn Document, texts: &[&str]) {
    let sandbox = document.sandbox(0);
    for text in texts {
        assert!(!sandbox.template.contains(text), "{text} is in\n{}", sandbox.template);
        let is_said = sandbox.changes.iter().any(|change| change.before.contains(text));
        assert!(is_said, "{text} is not said: {:#?}", sandbox.changes);
    }
}

const HTTPD: &str = "LoadModule proxy_module /m/mod_proxy.so\nLoadModule proxy_http_module /m/mod_proxy_http.so\n";

#[test]
fn includes_that_lead_to_themselves_are_refused_at_their_place() {
    for (language, text) in [
        (Language::Httpd, "KeepAlive On\nInclude /c\n"),
        (Language::Caddy, ":80 {\n\timport /c\n}\n"),
        (Language::Varnish, "vcl 4.1;\ninclude \"/c\";\n"),
    ] {
        let (file, line, message) = refusal(language, &Texts::new(&[("/c", text)]));
        assert_eq!((&*file, line), ("/c", 2), "{language:?}: {message}");
        assert!(message.contains("deeper"), "{message}");
    }
}

#[test]
fn files_that_are_missing_are_refused_at_their_place() {
    for (language, text) in [
        (Language::Httpd, "KeepAlive On\nInclude /nowhere.conf\n"),
        (Language::Httpd, "KeepAlive On\nInclude /nowhere/*.conf\n"),
        (Language::Caddy, ":80 {\n\timport nowhere\n}\n"),
        (Language::Varnish, "vcl 4.1;\ninclude \"/nowhere.vcl\";\n"),
    ] {
        let (file, line, message) = refusal(language, &Texts::new(&[("/c", text)]));
        assert_eq!((&*file, line), ("/c", 2), "{language:?}");
        assert!(message.contains("nowhere"), "{message}");
    }
    let optional = format!("{HTTPD}IncludeOptional /nowhere/*.conf\nProxyPass / http://a/\n");
    assert_eq!(document(Language::Httpd, &optional).sites().len(), 1);
    assert_eq!(document(Language::Caddy, "import /nowhere/*\n:80 {\n\treverse_proxy a\n}\n").sites().len(), 1);
}

#[test]
fn what_does_not_end_is_refused_at_its_place() {
    for (language, text, line) in [
        (Language::Httpd, "\n<VirtualHost *:80>\nProxyPass / http://a/\n", 2),
        (Language::Httpd, "</VirtualHost>\n", 1),
        (Language::Httpd, "<VirtualHost *:80\n</VirtualHost>\n", 1),
        (Language::Caddy, "\n:80 {\n\treverse_proxy a {\n", 3),
        (Language::Caddy, ":80 {\n}\n}\n", 3),
        (Language::Caddy, ":80 {\n\trespond \"a\n}\n", 2),
        (Language::Envoy, "a: b\nc: [1,\n", 2),
        (Language::Varnish, "vcl 4.1;\nsub vcl_recv {\n", 2),
        (Language::Varnish, "vcl 4.1;\n}\n", 2),
    ] {
        let (_, found, message) = refusal(language, &Texts::new(&[("/c", text)]));
        assert!(found >= line && found <= line + 1, "{language:?} {text:?}: {found}: {message}");
    }
}

#[test]
fn what_grows_without_end_is_refused() {
    let mut doubled = String::from("Define A0 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
    for index in 1..30 {
        let before = index - 1;
        let _ = writeln!(doubled, "Define A{index} ${{A{before}}}${{A{before}}}");
    }
    let (_, _, message) = refusal(Language::Httpd, &Texts::new(&[("/c", &doubled)]));
    assert!(message.contains("longer"), "{message}");
    let mut snippets = String::from("(a0) {\n\theader X {args.0}\n}\n");
    for index in 1..30 {
        let before = index - 1;
        let _ = writeln!(
            snippets,
            "(a{index}) {{\n\timport a{before} {{args.0}}{{args.0}}\n\timport a{before} {{args.0}}\n}}"
        );
    }
    snippets.push_str(":80 {\n\timport a18 xxxxxxxxxxxxxxxx\n}\n");
    refusal(Language::Caddy, &Texts::new(&[("/c", &snippets)]));
    let deep = format!("{}{}", "<If true>\n".repeat(100), "</If>\n".repeat(100));
    let (_, _, message) = refusal(Language::Httpd, &Texts::new(&[("/c", &deep)]));
    assert!(message.contains("nested"), "{message}");
}

#[test]
fn httpd_conditions_are_decided_where_they_can_be() {
    let text = format!(
        "{HTTPD}Define TLS\n<IfModule mod_proxy.c>\n<IfDefine !TLS>\nProxyPass / http://no/\n</IfDefine>\n<IfVersion >= 2.4>\n\
         ProxyPass / http://${{HOST}}/ ttl=30\n</IfVersion>\n</IfModule>\n<IfModule !proxy_http_module>\nKeepAlive Off\n</IfModule>\n\
         <IfFile /etc/x>\nKeepAlive Off\n</IfFile>\n"
    );
    let mut files = Texts::new(&[("/c", &text)]);
    files.variables.insert("HOST".into(), "yes".into());
    let document = read(Language::Httpd, &[Path::new("/c")], &files, None).unwrap_or_else(|error| panic!("{error}"));
    let site = &document.sites()[0];
    assert_eq!((&*site.name, document.sites().len()), ("http://yes/", 1));
    assert_eq!(fact(site, "pool.idle").as_deref(), Some("\"30s\""));
    assert_eq!(fact(site, "client_requests"), None);
    assert!(site.unread.iter().any(|unread| unread.says.starts_with("<IfFile")), "{:?}", site.unread);
}

/// Tests each rule in both directions.
#[test]
fn httpd_reuse_is_what_the_file_says() {
    let base = |lines: &str| site(Language::Httpd, &format!("{HTTPD}{lines}\n")).base;
    for (lines, expected) in [
        ("ProxyPass / http://a/", "httpd"),
        ("ProxyPass / http://a/ disablereuse=On", "httpd-disablereuse"),
        ("ProxyPass / http://a/ disablereuse=Off", "httpd"),
        ("SetEnv proxy-nokeepalive 1\nProxyPass / http://a/", "httpd-disablereuse"),
        ("BrowserMatch MSIE proxy-nokeepalive\nProxyPass / http://a/", "httpd"),
        ("BrowserMatch .* proxy-nokeepalive\nProxyPass / http://a/", "httpd-disablereuse"),
        ("SetEnv proxy-initial-not-pooled 1\nProxyPass / http://a/", "httpd-initial-not-pooled"),
        ("ProxyPassMatch ^/(.*) http://a/$1", "httpd-disablereuse"),
        ("ProxyPassMatch ^/(.*) http://a/$1 enablereuse=on", "httpd"),
        ("ProxyPassMatch ^/x http://a", "httpd"),
        ("RewriteRule ^/(.*) http://a/$1 [P]", "httpd-disablereuse"),
        ("<Proxy http://a/>\nProxySet enablereuse=on\n</Proxy>\nRewriteRule ^/(.*) http://a/$1 [P]", "httpd"),
        ("LoadModule mpm_prefork_module /m/mod_mpm_prefork.so\nProxyPass / http://a/", "httpd-prefork"),
    ] {
        assert_eq!(base(lines), expected, "{lines}");
    }
}

#[test]
fn httpd_copies_have_nothing_that_executes_or_contacts() {
    let text = format!(
        "{HTTPD}LoadModule evil_module /tmp/mod_evil.so\nLoadModule ssl_module /tmp/evil/libssl.so\nLoadFile /tmp/x.so\nErrorLog \"|/bin/sh -c evil\"\n\
         CustomLog \"|/bin/evil\" combined\nSSLPassPhraseDialog exec:/bin/evil2\nRewriteMap m prg:/bin/evil3\nSSLUseStapling on\n\
         ScriptAlias /cgi /usr/lib/evil4\nHeader set X \"expr=%{{file:/etc/shadow}}\"\nNoSuchDirective evil5\nPidFile /run/evil6.pid\n\
         ProxyRemote * http://evil7/\nListen 0.0.0.0:8666\n<VirtualHost *:80>\nSetHandler evil8\nProxyPass / http://a/ secret=evil9\n</VirtualHost>\n"
    );
    let document = document(Language::Httpd, &text);
    let evil = [
        "mod_evil",
        "libssl",
        "/tmp/x.so",
        "sh -c",
        "/bin/evil",
        "evil2",
        "prg:",
        "SSLUseStapling",
        "evil4",
        "shadow",
        "evil5",
        "evil6",
        "evil7",
        "0.0.0.0",
        "evil8",
        "evil9",
    ];
    keeps_out(&*document, &evil);
}

#[test]
fn no_line_of_a_file_begins_another_file_of_the_run() {
    let inside = "==> evil <==";
    let httpd = format!("{HTTPD}ProxyPass / http://a/\nHeader set X \"a\\\n{inside}\"\n{inside}\n");
    let caddy = format!(":80 {{\n\theader X \"a\n{inside}\n\"\n\treverse_proxy a\n}}\n");
    let varnish = format!(
        "vcl 4.1;\nbackend a {{ .host = \"a\"; }}\nsub vcl_recv {{\nset req.http.X = {{\"\n{inside}\n\"}};\n}}\n"
    );
    for (language, text) in [(Language::Httpd, httpd), (Language::Caddy, caddy), (Language::Varnish, varnish)] {
        let template = document(language, &text).sandbox(0).template;
        assert!(!template.lines().any(|line| line.starts_with("==> ")), "{language:?}:\n{template}");
    }
}

#[test]
fn caddy_copies_have_nothing_that_executes_or_contacts() {
    let text = "{\n\temail evil1\n\tadmin 0.0.0.0:2019\n\ton_demand_tls {\n\t\task http://evil2\n\t}\n\tevents {\n\t\ton x exec evil3\n\t}\n}\n\
                :80 {\n\ttls {\n\t\tissuer acme evil4\n\t}\n\tlog {\n\t\toutput net evil5:9000\n\t}\n\tforward_auth evil6 {\n\t\turi /x\n\t}\n\
                \tunknown_thing evil7\n\treverse_proxy a b {\n\t\tdynamic srv evil8\n\t\ttransport http {\n\t\t\tresolvers evil9\n\t\t}\n\t}\n}\n";
    let document = document(Language::Caddy, text);
    keeps_out(&*document, &["evil1", "2019", "evil2", "evil3", "evil4", "evil5", "evil6", "evil7", "evil8", "evil9"]);
    let template = document.sandbox(0).template;
    assert!(template.contains("admin off") && template.contains("auto_https off"), "{template}");
}

/// Tests each rule in both directions.
#[test]
fn caddy_reuse_and_selection_are_what_the_file_says() {
    let of =
        |inside: &str| site(Language::Caddy, &format!(":80 {{\n\treverse_proxy a:80 b:80 {{\n{inside}\n\t}}\n}}\n"));
    assert_eq!(of("transport http {\nkeepalive off\n}").base, "caddy-no-keepalive");
    assert_eq!(of("transport http {\nkeepalive 30s\n}").base, "caddy");
    assert_eq!(fact(&of("transport http {\nkeepalive 30s\n}"), "pool.idle").as_deref(), Some("\"30s\""));
    assert_eq!(of("transport http_ntlm").base, "caddy-ntlm");
    assert_eq!(fact(&of("lb_policy ip_hash"), "select.key").as_deref(), Some("\"source\""));
    assert_eq!(fact(&of(""), "select.key"), None);
    assert_eq!(fact(&of("header_up -Authorization"), "scrub").as_deref(), Some("\"Authorization\""));
    assert!(of("header_up -X-Other").unread.is_empty());
    assert!(!of("header_up Connection close").unread.is_empty());
    assert_eq!(fact(&of("transport http {\nversions h2c\n}"), "upstream_http").as_deref(), Some("\"http2\""));
}

const ENVOY: &str = "static_resources:\n  listeners:\n  - name: l\n    address: { socket_address: { address: 0.0.0.0, port_value: 8666 } }\n    filter_chains:\n    \
    - filters:\n      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n          \"@type\": \
    type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: s\nHCM\
          route_config:\n            virtual_hosts:\n            - name: v\n              domains: [\"*\"]\n              routes:\n              \
    - match: { prefix: \"/\" }\n                route:\n                  cluster: iis\n  clusters:\n  - name: iis\nCLUSTER\
    \x20   load_assignment:\n      cluster_name: iis\n      endpoints:\n      - lb_endpoints:\n        \
    - endpoint: { address: { socket_address: { address: a, port_value: 80 } } }\n        \
    - endpoint: { address: { socket_address: { address: b, port_value: 80 } } }\n";

fn envoy(hcm: &str, cluster: &str) -> String {
    ENVOY.replace("HCM", hcm).replace("CLUSTER", cluster)
}

#[test]
fn envoy_copies_have_nothing_that_executes_or_contacts() {
    let hcm = "          access_log: [{ name: evil1 }]\n          tracing: { evil2: 1 }\n          http_filters:\n          - name: evil3\n            \
               typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua }\n          ";
    let cluster = "    lrsServer: { evil4: 1 }\n    circuit_breakers: { x: { typed_config: { evil5: 1 } } }\n    brand_new: evil6\n";
    let text = format!("dynamic_resources: {{ evil7: 1 }}\nstats_sinks: [{{ name: evil8 }}]\n{}", envoy(hcm, cluster));
    keeps_out(
        &*document(Language::Envoy, &text),
        &["evil1", "evil2", "evil3", "evil4", "evil5", "evil6", "evil7", "evil8"],
    );
    assert!(!document(Language::Envoy, &text).sandbox(0).template.contains("8666"));
}

#[test]
fn envoy_remedy_keeps_clients_apart_and_at_their_server() {
    let text = envoy("          ", "    lb_policy: RANDOM # as ever\n");
    let remedies = document(Language::Envoy, &text).remedies(0);
    let Remedy::Edit { files, .. } = &remedies[0] else { panic!("{remedies:#?}") };
    let after = &files[0].after;
    let changed = site(Language::Envoy, after);
    assert_eq!(changed.base, "envoy-per-downstream");
    assert_eq!(fact(&changed, "select.key").as_deref(), Some("\"source\""));
    assert!(after.contains("lb_policy: RING_HASH # as ever"), "{after}");
    let before = site(Language::Envoy, &text);
    assert_eq!((before.base, fact(&before, "select.key")), ("envoy", None));
}

#[test]
fn varnish_copies_have_nothing_that_executes_or_contacts() {
    let text = "vcl 4.1;\nimport evil1;\nimport std;\nC{ evil2 }C\nbackend a { .host = \"a\"; .proxy_header = 2; }\nbackend evil3 { .host = \"b\"; }\n\
                sub vcl_init { new evil4 = dynamic.director(); }\nsub vcl_recv { std.syslog(1, \"evil5\"); set req.http.X = std.fileread(\"evil6\"); \
                if (req.url) { return (synth(700)); } C{ evil7 }C }\nsub vcl_deliver { set resp.http.X = \"evil8\"; }\n";
    let document = document(Language::Varnish, text);
    let sandbox = document.sandbox(0);
    for index in 1..9 {
        let evil = format!("evil{index}");
        assert!(!sandbox.template.contains(&evil), "{evil}\n{}", sandbox.template);
    }
    for line in [2, 4, 6, 7, 8, 9] {
        assert!(sandbox.changes.iter().any(|change| change.place.line == line), "{line}: {:#?}", sandbox.changes);
    }
}

/// Tests each rule in both directions. The subrequests of `auth_request` and `mirror` would reach the farm itself, with
/// the credentials of all users.
#[test]
fn nginx_subrequests_are_left_out_and_their_locations_are_no_sites() {
    let nginx = |lines: &str| {
        format!(
            "events {{}}\nhttp {{ upstream iis {{ server 10.0.0.1:80; }}\nserver {{ listen 80;\nlocation / {{ {lines} proxy_pass http://iis; }}\n\
             location = /check {{ internal; proxy_pass http://10.0.0.9; }} }} }}\n"
        )
    };
    let with = document(Language::Nginx, &nginx("auth_request /check; mirror /check;"));
    assert_eq!(with.sites().len(), 1, "nobody asks for what is internal");
    let sandbox = with.sandbox(0);
    assert!(!sandbox.template.contains("auth_request") && !sandbox.template.contains("mirror"), "{}", sandbox.template);
    let matters: Vec<&str> = sandbox.changes.iter().filter(|one| one.matters).map(|one| &*one.before).collect();
    assert_eq!(matters, ["auth_request /check", "mirror /check"]);
    let without = document(Language::Nginx, &nginx("auth_request off; mirror off;")).sandbox(0);
    assert!(without.template.contains("auth_request off") && !without.changes.iter().any(|one| one.matters));
}

#[test]
fn varnish_mechanisms_are_what_the_file_says() {
    let of = |subs: &str| site(Language::Varnish, &format!("vcl 4.1;\nbackend a {{ .host = \"a\"; }}\n{subs}\n"));
    assert_eq!(of("").base, "varnish");
    assert_eq!(of("sub vcl_recv { return (pass); }").base, "varnish");
    assert_eq!(of("sub vcl_recv { return (pipe); }").base, "varnish-pipe-close");
    let kept = "sub vcl_pipe { unset bereq.http.Connection; }";
    assert_eq!(of(&format!("sub vcl_recv {{ return (pipe); }} {kept}")).base, "varnish-pipe");
    assert_eq!(of(&format!("sub vcl_recv {{ if (req.url ~ \"^/x\") {{ return (pipe); }} }} {kept}")).base, "varnish");
    let closes = of("sub vcl_backend_fetch { set bereq.http.connection = \"close\"; }");
    assert!(closes.without.contains(&"pool"));
    assert!(!of("sub vcl_backend_fetch { set bereq.http.x = \"close\"; }").without.contains(&"pool"));
}

#[test]
fn varnish_remedy_pipes_every_request() {
    for text in [
        "vcl 4.1;\nbackend a { .host = \"a\"; }\n",
        "vcl 4.1;\nbackend a { .host = \"a\"; }\nsub vcl_recv {\n    if (req.url ~ \"x\") { return (pass); }\n}\n",
        "vcl 4.1;\nbackend a { .host = \"a\"; .probe = { .url = \"/\"; } }\n",
        "vcl 4.1;\nimport directors;\nbackend a { .host = \"a\"; }\nsub vcl_init {\n    new d = directors.round_robin();\n    d.add_backend(a);\n}\n\
         sub vcl_recv {\n    set req.backend_hint = d.backend();\n    return (pass);\n}\nsub vcl_pipe {\n    return (pipe);\n}\n",
    ] {
        let remedies = document(Language::Varnish, text).remedies(0);
        let Remedy::Edit { files, .. } = &remedies[0] else { panic!("{remedies:#?}") };
        let after = &files[0].after;
        assert_eq!(site(Language::Varnish, after).base, "varnish-pipe", "{after}");
    }
}
