//! Tests that nothing gets into a copy that the product would read differently: words, quotes, variables, templates,
//! and the content of blocks. Also tests of texts that would take very long to read.

use std::path::Path;
use std::process::Command;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use stickler_advisor::{Document, Language, Texts, read};
use stickler_runner::Diagnostic;

fn try_read(language: Language, text: &str) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    // The environment has a home, and a variable with a malicious value.
    let variables = [("HOME", "/home"), ("EVIL", "/evil")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = Texts { variables: variables.into(), ..Texts::new(&[("/c", text)]) };
    read(language, &[Path::new("/c")], &files, None)
}

fn document(language: Language, text: &str) -> Box<dyn Document> {
    try_read(language, text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[expect(clippy::unnecessary_box_returns, reason = "it is the error as it came")]
fn refusal(language: Language, text: &str) -> Box<Diagnostic> {
    try_read(language, text).err().unwrap_or_else(|| panic!("it is not refused: {text}"))
}

/// Returns the copy for the first site, as a run has it.
fn copy(language: Language, text: &str) -> String {
    let template = document(language, text).sandbox(0).template;
    let server = |index: usize| {
        let port = 9001 + index;
        context! { name => format!("iis{index}"), port, host => "127.0.0.1", address => format!("127.0.0.1:{port}") }
    };
    let servers: Vec<_> = (0..2).map(server).collect();
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap());
    let values = context! { servers, address => "127.0.0.1:9000", host => "127.0.0.1", port => 9000, folder => "/run/folder", nobody => 0 };
    environment.render_str(&template, values).unwrap_or_else(|error| panic!("{error}\n{template}"))
}

/// Asserts that a text gets into no copy, and that its line is reported as left out or changed.
fn leaves_out(language: Language, text: &str, evil: &str) {
    let copy = copy(language, text);
    assert!(!copy.contains(evil), "{evil} of\n{text}\nis in\n{copy}");
    let line = 1 + text.lines().position(|line| line.contains(evil)).unwrap();
    let changes = document(language, text).sandbox(0).changes;
    assert!(
        changes.iter().any(|change| change.place.line == line),
        "line {line} of\n{text}\nis not said: {changes:#?}"
    );
}

/// Asserts that a copy has a line.
fn keeps(language: Language, text: &str, line: &str) {
    let copy = copy(language, text);
    assert!(copy.lines().any(|found| found.trim() == line), "{line} of\n{text}\nis not in\n{copy}");
}

fn httpd(lines: &str) -> String {
    let modules = ["proxy", "proxy_http", "headers", "setenvif", "env", "authz_core", "proxy_hcheck", "proxy_balancer"];
    let modules = modules.iter().map(|name| format!("LoadModule {name}_module /m/mod_{name}.so\n"));
    let modules = modules.collect::<Vec<_>>().concat();
    format!("{modules}{lines}\nProxyPass / http://a/\n")
}

fn caddy(lines: &str) -> String {
    format!(":80 {{\n{lines}\n\treverse_proxy a b\n}}\n")
}

/// Returns Caddy's reading of a copy as JSON; `None` if Caddy is not installed.
fn adapted(copy: &str) -> Option<String> {
    if !Path::new("/usr/bin/caddy").exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Caddyfile");
    std::fs::write(&file, copy).unwrap();
    let output =
        Command::new("/usr/bin/caddy").args(["adapt", "--adapter", "caddyfile", "--config"]).arg(&file).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{copy}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn control_characters_are_refused_at_their_place() {
    for (language, text) in [
        (Language::Httpd, "KeepAlive On\nSetEnv X\u{1}y\n"),
        (Language::Caddy, ":80 {\nheader X\u{1}y\n}\n"),
        (Language::Envoy, "a: 1\nb: 'wxy\u{1}'\n"),
        (Language::Varnish, "vcl 4.1;\nset re \u{1};\n"),
    ] {
        for control in ["\0", "\u{b}", "\u{c}", "\u{1b}", "\u{85}", "\u{feff}", "\r"] {
            let text = text.replace('\u{1}', control);
            let column = 1 + text.lines().nth(1).unwrap().chars().position(|c| control.contains(c)).unwrap();
            let error = refusal(language, &text);
            assert_eq!(
                (&*error.file, error.line, error.column),
                ("/c", 2, column),
                "{language:?} {control:?}: {error}"
            );
        }
    }
}

#[test]
fn httpd_words_are_written_anew() {
    // The second backslash continues the line. In a copy of the text, the first one would continue it.
    let text = httpd("SetEnv X a\\\\\n\nSetEnv Y b");
    keeps(Language::Httpd, &text, "SetEnv X \"a\\\\\"");
    keeps(Language::Httpd, &text, "SetEnv Y b");
    keeps(Language::Httpd, &httpd("Header set X \"a \\\"b\\\" c"), "Header set X \"a \\\"b\\\" c\"");
    keeps(Language::Httpd, &httpd("SetEnvIf Request_URI '\\.gif$' img=1"), "SetEnvIf Request_URI \"\\\\.gif$\" img=1");
    keeps(Language::Httpd, &httpd("<Location />\nRequire  ALL granted\n</Location>"), "Require all granted");
    keeps(Language::Httpd, &httpd("SetEnv X \"\""), "SetEnv X \"\"");
    if Path::new("/usr/sbin/apache2").exists() {
        let text = httpd(
            "SetEnv X a\\\\\n\nHeader set X \"a \\\"b\\\" c\"\nSetEnvIf Request_URI '\\.(gif|png)$' img=1 !x y=\"a b\"\nBrowserMatch \"M S\" z\n\
             RequestHeader edit Cookie \"a b; *(.)\" '$1\"'\nHeader echo ^TS\nSetEnv Y \"\"\n<Location />\nRequire all granted\n</Location>",
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("httpd.conf");
        let copy = copy(Language::Httpd, &text).replace("/run/folder", folder.path().to_str().unwrap());
        std::fs::write(&file, &copy).unwrap();
        let output = Command::new("/usr/sbin/apache2").arg("-t").arg("-f").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}\n{copy}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn httpd_expressions_and_variables_stay_out() {
    for (lines, evil) in [
        ("Header set X \"Expr=%{FILE:/etc/shadow}\"", "shadow"),
        ("RequestHeader set X expr=%{osenv:EVIL}", "osenv"),
        ("ProxyHCExpr ok {file('/etc/shadow') =~ /x/}", "shadow"),
        ("SetEnv X ${UNSET}", "UNSET"),
        ("Define A $\nSetEnv X ${A}{HOME}", "{HOME}"),
        ("Define A \"a\nSetEnv X '${EVIL}\nLoadFile /evil.so", "LoadFile"),
        ("Define NL \"x\nErrorLog |/bin/evil", "|/bin"),
        ("<IfDefine NOT>\nKeepAlive On\n</IfDefine>\nLoadFile /tmp/evil.so", "LoadFile"),
        ("<Perl>\nsystem('evil');\n</Perl>", "Perl"),
        ("Mutex file:/evil default", "evil"),
        ("CoreDumpDirectory /evil", "evil"),
        ("DefaultRuntimeDir /evil", "evil"),
        ("ScoreBoardFile /evil", "evil"),
        ("CustomLog \"|/bin/evil\" common", "evil"),
        ("RewriteMap m \"prg:/bin/evil\"", "evil"),
        ("SSLSessionCache dbm:/evil", "evil"),
        ("ProxyRemote * http://evil/", "evil"),
        ("ProxyPass /x unix:/evil|http://localhost/", "evil"),
        ("ProxyPass /x fcgi://evil/", "evil"),
    ] {
        leaves_out(Language::Httpd, &httpd(lines), evil);
    }
    keeps(Language::Httpd, &httpd("Header set X ${HOME}"), "Header set X /home");
    keeps(Language::Httpd, &httpd("Header set X %{UNIQUE_ID}e"), "Header set X \"%{UNIQUE_ID}e\"");
}

#[test]
fn httpd_templates_of_checks_have_what_is_known() {
    let text = httpd(
        "ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^2/}\nProxyHCTemplate t hcmethod=GET hcuri=/x hcexpr=ok hcevil=1\n\
         <Proxy balancer://b>\nBalancerMember http://a hctemplate=t\n</Proxy>\nProxyPass /b balancer://b",
    );
    let document = document(Language::Httpd, &text);
    let index = document.sites().iter().position(|site| site.name.starts_with("balancer")).unwrap();
    let sandbox = document.sandbox(index);
    assert!(sandbox.template.contains("ProxyHCTemplate t hcmethod=GET hcuri=/x\n"), "{}", sandbox.template);
    assert!(sandbox.template.contains("hctemplate=t") && sandbox.template.contains("hcexpr=stickler"));
    assert!(sandbox.changes.iter().any(|change| change.before.contains("hcevil")), "{:#?}", sandbox.changes);
}

#[test]
fn httpd_takes_directives_without_arguments() {
    for lines in [
        "Use",
        "<Macro>\n</Macro>\nUse",
        "ProxySet",
        "<Proxy balancer://b>\nBalancerMember \"\"\n</Proxy>\nProxySet\nProxyPass /b balancer://b",
        "BalancerMember",
    ] {
        if let Ok(document) = try_read(Language::Httpd, &httpd(lines)) {
            (0..document.sites().len()).for_each(|index| drop(document.sandbox(index)));
        }
    }
}

#[test]
fn caddy_words_are_what_they_are() {
    for (lines, evil) in
        [("\theader X \\\"evil a\n\theader Y \"b\"", "evil"), ("\theader X \\#evil\n\theader Y b", "evil")]
    {
        let text = caddy(lines);
        let copy = copy(Language::Caddy, &text);
        // It is one value of a field, and not a further line.
        if let Some(json) = adapted(&copy) {
            assert!(json.contains("\"Y\":[\"b\"]") && json.contains(evil), "{json}\n{copy}");
        }
    }
    for (lines, line) in [
        ("\theader {\n\t\tX \"}\"\n\t\trespond evil\n\t}", 3),
        ("\theader X \"{\"", 2),
        ("\theader {\n\t\t\"import\" /evil\n\t}", 3),
        ("\theader {\n\t\t`import` /evil\n\t}", 3),
    ] {
        let error = refusal(Language::Caddy, &caddy(lines));
        assert_eq!(error.line, line, "{lines}: {error}");
    }
    keeps(Language::Caddy, &caddy("\theader X \"a \\\"b\\\"\""), "header X `a \"b\"`");
    keeps(Language::Caddy, &caddy("\theader X \"a\\\\\" \"b c\""), "header X `a\\\\` `b c`");
    keeps(Language::Caddy, &caddy("\theader X a}b"), "header X a}b");
}

#[test]
fn caddy_arguments_and_variables_are_words() {
    let snippet =
        |argument: &str, line: &str| format!("(s) {{\n\t{line}\n}}\n{}", caddy(&format!("\timport s {argument}")));
    let text = snippet("}", "header {\n\t\tX {args.0}\n\t\trespond evil\n\t}");
    assert!(!copy(Language::Caddy, &text).contains("evil"));
    keeps(Language::Caddy, &snippet("a", "header X {args.0}b"), "header X ab");
    let text = snippet("{env.EVIL}", "header X {args.0}");
    assert!(!copy(Language::Caddy, &text).contains("EVIL"));
    for value in ["{env.EVIL}", "a{file./evil}", "{system.evil}", "{a{env.EVIL}", "{args.evil}", "{http{env.EVIL}}"] {
        let evil = if value.contains("EVIL") { "EVIL" } else { "evil" };
        leaves_out(Language::Caddy, &caddy(&format!("\theader X {value}")), evil);
        leaves_out(Language::Caddy, &caddy(&format!("\treverse_proxy c {{\n\t\theader_up X {value}\n\t}}\n#")), evil);
    }
    for value in ["{http.request.host}", "{host}:{port}", "{header.X-A}", "{re.a.1}", "{$HOME}", "{2,3}"] {
        let kept = value.replace("{$HOME}", "/home");
        keeps(Language::Caddy, &caddy(&format!("\theader X {value}")), &format!("header X {kept}"));
    }
}

#[test]
fn caddy_blocks_are_read() {
    for (lines, evil) in [
        ("\t@m not file /evil\n\theader @m X y", "evil"),
        ("\t@m {\n\t\tnot {\n\t\t\tfile /evil\n\t\t}\n\t}\n\theader @m X y", "evil"),
        ("\t@m not not expression evil\n\theader @m X y", "evil"),
        ("\t@m path /a {\n\t\tevil\n\t}\n\theader @m X y", "evil"),
        ("\trequest_header X y {\n\t\tevil\n\t}", "evil"),
        ("\theader {\n\t\tX y {\n\t\t\tevil\n\t\t}\n\t}", "evil"),
        ("\tphp_fastcgi evil", "evil"),
        ("\texec evil", "evil"),
    ] {
        leaves_out(Language::Caddy, &caddy(lines), evil);
    }
    keeps(Language::Caddy, &caddy("\t@m not path /a\n\theader @m X y"), "@m not path /a");
    keeps(Language::Caddy, &caddy("\t@m {\n\t\tnot {\n\t\t\tpath /a\n\t\t}\n\t}\n\theader @m X y"), "path /a");
    keeps(Language::Caddy, &caddy("\theader {\n\t\tX y\n\t}"), "X y");
}

const ENVOY: &str = "static_resources:\n  listeners:\n  - address: {}\n    filter_chains:\n    - filters:\n      - typed_config:\n          \
    \"@type\": t/x.HttpConnectionManager\nHCM          route_config:\n            virtual_hosts:\n            - routes:\n              \
    - route: { cluster: iis }\n                match: {}\n  clusters:\n  - name: iis\nCLUSTER";

fn envoy(hcm: &str, cluster: &str) -> String {
    ENVOY.replace("HCM", hcm).replace("CLUSTER", cluster)
}

fn filter(config: &str) -> String {
    format!("          http_filters:\n          - {{ name: f, typed_config: {{ {config} }} }}\n")
}

#[test]
fn envoy_fields_stand_once() {
    let buffer = "\"@type\": t/envoy.extensions.filters.http.buffer.v3.Buffer";
    let lua = "\"@type\": t/envoy.extensions.filters.http.lua.v3.Lua, inline_code: evil";
    let error = refusal(Language::Envoy, &envoy(&filter(&format!("{buffer}, {lua}")), ""));
    assert_eq!(error.line, 9, "{error}");
    let error = refusal(Language::Envoy, &envoy(&filter(&format!("{buffer}, \"\\x40type\": evil")), ""));
    assert!(error.message.contains("twice"), "{error}");
    let two = "    lb_policy: RANDOM\n    lbPolicy: MAGLEV\n";
    let copy = copy(Language::Envoy, &envoy("", two));
    assert!(copy.contains("lb_policy: \"RANDOM\"") && !copy.contains("MAGLEV"), "{copy}");
    // The same names in other maps are different.
    keeps(
        Language::Envoy,
        &envoy("", "    lb_policy: RANDOM\n  - name: b\n    lb_policy: MAGLEV\n"),
        "lb_policy: \"RANDOM\"",
    );
}

#[test]
fn envoy_extensions_are_those_that_are_known() {
    let kept = filter("\"@type\": t/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 7");
    assert!(copy(Language::Envoy, &envoy(&kept, "")).contains("max_request_bytes"));
    for config in [
        "\"@type\": t/evil.buffer.v3.Buffer",
        "\"@type\": t/envoy.extensions.filters.http.evilbuffer.v3.Buffer",
        "\"@type\": t/envoy.extensions.filters.http.buffer.v3.Buffer, x: { typedConfig: evil }",
        "\"@type\": t/xds.type.v3.TypedStruct, type_url: evil/buffer.v3.Buffer",
    ] {
        leaves_out(Language::Envoy, &envoy(&filter(config), ""), "evil");
    }
    for (value, is_kept) in [
        ("%ENVIRONMENT(EVIL)%", false),
        ("%FILE_CONTENT(/EVIL)%", false),
        ("a %CEL(EVIL)%", false),
        ("%SECRET(EVIL)%", false),
        ("%REQ(EVIL)% %%", true),
        ("100 % EVIL", true),
        ("%DOWNSTREAM_REMOTE_ADDRESS% EVIL", true),
    ] {
        let fields = format!("            request_headers_to_add: [{{ header: {{ key: x, value: \"{value}\" }} }}]\n");
        let text = envoy("", "").replace("            virtual_hosts", &format!("{fields}            virtual_hosts"));
        assert_eq!(copy(Language::Envoy, &text).contains("EVIL"), is_kept, "{value}");
    }
}

#[test]
fn texts_are_no_templates_and_begin_no_file() {
    let text = "{{ folder }}{% for x in servers %}{#";
    keeps(Language::Httpd, &httpd(&format!("Header set X '{text}'")), &format!("Header set X \"{text}\""));
    let text = "{{ 7*7 }}{% raw %}{#";
    let vcl = format!(
        "vcl 4.1;\nbackend a {{ .host = \"a\"; .probe = {{ .url = \"/{text}\"; }} }}\nsub vcl_recv {{ set req.http.X = \"{text}\"; }}\n"
    );
    keeps(Language::Varnish, &vcl, &format!(".url = \"/{text}\";"));
    keeps(Language::Varnish, &vcl, &format!("set req.http.X = \"{text}\";"));
    let check = format!("    health_checks: [{{ http_health_check: {{ path: \"/{text}\\n==> evil <==\" }} }}]\n");
    let copy = copy(Language::Envoy, &envoy("", &check));
    assert!(copy.contains(&format!("/{text}\\u000a==> evil")), "{copy}");
    assert_eq!(copy.lines().filter(|line| line.starts_with("==> ")).count(), 0, "{copy}");
}

#[test]
fn varnish_numbers_are_numbers() {
    let vcl = |weight: &str, timeout: &str| {
        format!(
            "vcl 4.1;\nimport directors;\nbackend a {{ .host = \"a\"; .connect_timeout = {timeout}; }}\nsub vcl_init {{ new d = directors.random(); \
             d.add_backend(a, {weight}); }}\nsub vcl_recv {{ set req.backend_hint = d.backend(); }}\n"
        )
    };
    keeps(Language::Varnish, &vcl("2.5", "10s"), "farm.add_backend(iis0, 2.5);");
    keeps(Language::Varnish, &vcl("2.5", "0.5m"), ".connect_timeout = 0.5m;");
    for weight in ["1x", "1.0.0", "0x10", "1e9", "a"] {
        keeps(Language::Varnish, &vcl(weight, "1s"), "farm.add_backend(iis0, 1.0);");
    }
    for timeout in ["1evil", "0x10s", "1..5s"] {
        assert!(!copy(Language::Varnish, &vcl("1.0", timeout)).contains(".connect_timeout"), "{timeout}");
    }
}

#[test]
fn varnish_copies_have_no_code_of_the_file() {
    for (line, evil) in [
        ("import evil from \"/evil.so\";", "evil"),
        ("C{ evil(); }C", "evil"),
        ("sub vcl_recv { C{ evil(); }C }", "evil"),
        ("sub vcl_recv { set req.http.X = std.fileread(\"/evil\"); }", "evil"),
        ("sub vcl_recv { return (vcl(evil)); }", "evil"),
        ("sub vcl_recv { set req.http.X = {\"a\nC{ evil }C\"}; }", "evil"),
        ("sub vcl_recv { set req.http.X = \"\"\"a\"evil\"\"\"; }", "evil"),
        ("sub vcl_recv { call evil; }", "evil"),
    ] {
        let text = format!("vcl 4.1;\nbackend a {{ .host = \"a\"; .path = \"/evil.sock\"; }}\n{line}\n");
        let copy = copy(Language::Varnish, &text);
        assert!(!copy.contains(evil), "{line}\n{copy}");
    }
}

#[test]
fn many_lines_are_read_or_refused_soon() {
    let lines = |count: usize, line: fn(usize) -> String| -> String { (0..count).map(line).collect() };
    // These are members of one farm, and their parameters.
    let members = lines(5_000, |index| format!("BalancerMember http://h{index}:80 hctemplate=t\n"));
    let sets = lines(5_000, |index| format!("ProxySet http://h{index}:80 ttl=5\n"));
    let text = httpd(&format!(
        "ProxyHCTemplate t hcmethod=GET\n<Proxy balancer://b>\n{members}</Proxy>\n{sets}ProxyPass /b balancer://b"
    ));
    let document = document(Language::Httpd, &text);
    assert_eq!(document.sites()[0].servers, 5_000);
    document.sandbox(0);
    for (language, text) in [
        (Language::Httpd, httpd(&lines(20_000, |index| format!("ProxyPass /{index} http://h{index}/\n")))),
        (Language::Caddy, caddy(&lines(20_000, |index| format!("\treverse_proxy /{index} h{index}\n")))),
        (
            Language::Varnish,
            format!(
                "vcl 4.1;\n{}sub vcl_recv {{\n{}}}\n",
                lines(10_000, |index| format!("backend b{index} {{ .host = \"h\"; }}\n")),
                lines(10_000, |index| format!("if (req.url ~ \"{index}\") {{ set req.backend_hint = b{index}; }}\n"))
            ),
        ),
    ] {
        let error = refusal(language, &text);
        assert!(error.message.contains("too many sites"), "{error}");
    }
    // The file is a single line, with an alias of a long text.
    let one = format!("{{a: [{}]}}", "{b: 1},".repeat(40_000));
    assert!(try_read(Language::Envoy, &one).is_ok());
    let aliases = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(100));
    assert!(refusal(Language::Envoy, &aliases).message.contains("longer"), "aliases");
    let macros = format!("<Macro m X>\nSetEnv A {}\n</Macro>\nUse m {}\n", "X".repeat(60_000), "y".repeat(60_000));
    assert!(refusal(Language::Httpd, &macros).message.contains("longer"), "macros");
    // A long name, or a long line, is reported for each of many sites.
    let name = format!("{} {{\n{}}}\n", "a ".repeat(500_000), "reverse_proxy b\n".repeat(100));
    assert!(refusal(Language::Caddy, &name).message.contains("too many sites"), "name");
    let long = httpd(&format!("SetEnv X {}", "x".repeat(1 << 17)));
    assert!(refusal(Language::Httpd, &long).message.contains("longer"), "line");
    for (language, open) in [
        (Language::Envoy, "["),
        (Language::Envoy, "{a: "),
        (Language::Httpd, "<Location />\n"),
        (Language::Httpd, "<IfDefine !X>\n"),
        (Language::Caddy, "a {\n"),
        (Language::Varnish, "if (a) {\n"),
    ] {
        refusal(language, &open.repeat(10_000));
    }
    let arguments =
        format!("(s) {{\n\theader X {}\n}}\n:80 {{\n\timport s {}\n}}\n", "{args.0}".repeat(8_000), "y".repeat(60_000));
    assert!(refusal(Language::Caddy, &arguments).message.contains("longer"), "arguments");
    let snippets = format!("(s) {{\n(t) {{\n{}}}\n}}\n{}", "x\n".repeat(200_000), "import s\n".repeat(100));
    assert!(refusal(Language::Caddy, &snippets).message.contains("lines"), "snippets");
}
