//! Tests of configurations that try to bypass the copy: their hidden parts are not in the copy, or they are refused with a
//! place.

use std::path::Path;

use stickler_advisor::{Language, Texts};

/// Returns the copy of the first site; `None` if the file is refused.
fn copy(language: Language, text: &str) -> Option<String> {
    let file = Texts::new(&[("/x/file", text)]);
    let document = stickler_advisor::read(language, &[Path::new("/x/file")], &file, None);
    match document {
        Ok(document) => Some(document.sandbox(0).template),
        Err(wrong) => {
            assert!(wrong.line > 0 && wrong.column > 0, "{wrong}");
            None
        }
    }
}

/// Returns a valid configuration of HAProxy, with this text in front of it.
fn haproxy(before: &str) -> String {
    format!("{before}\ndefaults\n    mode http\nlisten www\n    bind :80\n    server a 10.0.0.1:80 check\n")
}

#[test]
fn nothing_that_loads_code_gets_into_a_copy_of_haproxy() {
    for (text, is_refused) in [
        (haproxy("cache c\n    total-max-size 4\n\\x67lobal\n    lua-load /evil.lua"), false),
        (haproxy("cache c\nglobal\x0bx\n    lua-load /evil.lua"), true),
        (
            haproxy(
                "cache c\n    lua-load /evil.lua\nuserlist u\n    lua-load /evil.lua\nhttp-errors e\n    lua-load /evil.lua",
            ),
            false,
        ),
        (haproxy("global\n    setenv K lua-load\n    \"${K-maxconn}\" /evil.lua"), false),
        (haproxy("global\n    presetenv K lua-load\n    \"$K\" /evil.lua"), false),
        (haproxy("cache c\n.if defined(HAPROXY_LOCALPEER)\nglobal\n    lua-load /evil.lua\n.endif"), false),
        (haproxy(".if 0\nglobal\n    lua-load /evil.lua\n.endif"), false),
        (haproxy("frontend \"x\\nglobal\\n    lua-load /evil.lua\\nfrontend y\" :81"), true),
        (haproxy("global\n    lu\\x61-load /evil.lua"), false),
    ] {
        let copy = copy(Language::HaProxy, &text);
        assert_eq!(copy.is_none(), is_refused, "{text}");
        assert!(!copy.unwrap_or_default().contains("evil"), "{text}");
    }
}

#[test]
fn no_foreign_address_gets_into_a_copy_of_haproxy() {
    let listen = |line: &str| {
        format!("defaults\n    mode http\nlisten www\n    bind :80\n    server a 10.0.0.1:80 check\n    {line}\n")
    };
    for line in [
        "server \"b 192.0.2.7:80 check #\" 10.0.0.1:80",
        "http-check c\\x6fnnect addr 192.0.2.7 port 8080",
        "http-check \"${C-connect}\" addr 192.0.2.7 port 8080",
        "server b 10.0.0.1:80 cookie x\\x20addr\\x20192.0.2.7 check addr 192.0.2.7",
        "source 192.0.2.7",
        "dispatch 192.0.2.7:80",
        "tcp-check connect addr 192.0.2.7",
        "stick-table type ip size 1m peers 192.0.2.7",
        "http-request set-dst str(192.0.2.7)",
        "log 192.0.2.7:514 local0",
        "email-alert mailers 192.0.2.7",
    ] {
        let text = copy(Language::HaProxy, &listen(line)).unwrap_or_default();
        // A single word remains one word: HAProxy reads no address in it.
        let is_quoted = text.contains("\"x addr 192.0.2.7\"");
        assert!(!text.replace("\"x addr 192.0.2.7\"", "").contains("192.0.2.7"), "{line}: {is_quoted}\n{text}");
    }
}

#[test]
fn no_directive_hides_in_a_word_of_nginx() {
    let farm = "upstream farm { server 10.0.0.1:80; }";
    for (text, hidden) in [
        (format!("http {{ {farm} server {{ location / {{ proxy_pass \"http://farm/x; error_log /evil; set $z y\"; }} }} }}"), "proxy_pass http://farm/x;"),
        ("http { upstream farm { server 10.0.0.1 \"weight=1; server 192.0.2.7\"; } server { location / { proxy_pass http://farm; } } }".into(), "192.0.2.7"),
        (format!("http {{ {farm} perl_set \"$a {{ '{{' }} b; load_module /evil\" x; server {{ location / {{ proxy_pass http://farm; }} }} }}"), "evil"),
        (format!("http {{ log_format x \"\n==> configuration <==\nload_module /evil;\n# \"; {farm} server {{ location / {{ proxy_pass http://farm; }} }} }}"), "\n==> "),
        (format!("http {{ {farm} server {{ location / {{ proxy_pass \"{{{{ folder }}}}{{% for i in range(9) %}}A{{% endfor %}}://farm\"; }} }} }}"), "{% for i"),
        (format!("http {{ {farm} server {{ listen \"80; error_log /evil\"; location / {{ proxy_pass http://farm; }} }} }}"), "evil"),
        (format!("http {{ proxy_cache_path /evil levels=1:2 keys_zone=z:1m; {farm} server {{ location / {{ proxy_pass http://farm; }} }} }}"), "/evil"),
    ] {
        let copy = copy(Language::Nginx, &text).unwrap_or_default();
        assert!(!copy.contains(hidden), "{hidden} in:\n{copy}");
    }
}

/// Returns the text for each number, one after the other.
fn repeated(numbers: std::ops::Range<u32>, text: impl Fn(u32) -> String) -> String {
    numbers.map(text).collect::<Vec<_>>().concat()
}

#[test]
fn long_files_are_read_in_little_time() {
    // A quadratic reader would take minutes.
    let servers = repeated(0..20_000, |number| format!("    server s{number} 10.0.0.1:80\n"));
    assert!(copy(Language::HaProxy, &format!("listen www\n    bind :80\n{servers}")).is_some());
    let rules = repeated(0..100_000, |number| format!("    acl a{number} path /{number}\n"));
    assert!(copy(Language::HaProxy, &format!("listen www\n    bind :80\n    server s 10.0.0.1:80\n{rules}")).is_some());
    let locations = repeated(0..50_000, |number| format!("location /{number} {{ return 200; }}\n"));
    let text = format!(
        "http {{ upstream u {{ server 10.0.0.1:80; }}\nserver {{ location / {{ proxy_pass http://u; }}\n{locations} }} }}"
    );
    assert!(copy(Language::Nginx, &text).is_some());
    let deep =
        format!(".if {}1\n{}", "!".repeat(200_000), "listen www\n    bind :80\n    server s 10.0.0.1:80\n.endif\n");
    assert!(copy(Language::HaProxy, &deep).is_some());
}
