//! Tests of HAProxy's language: several files that are one configuration, the parts that a copy needs so that it
//! starts, and statements about a sound file that must not occur.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use stickler_advisor::{Document, Language, Remedy, Texts, read};
use stickler_runner::Diagnostic;

const DEFAULTS: &str = "defaults\n    mode http\n    option http-server-close\n    http-reuse always\n";
const SITE: &str = "frontend www\n    bind :80\n    default_backend farm\n";
const FARM: &str = "backend farm\n    http-reuse safe\n    server a 10.0.0.1:80\n    server b 10.0.0.2:80\n";

/// Reads the files `/1`, `/2` and so on with these texts.
fn configuration(texts: &[&str]) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let names: Vec<String> = (1..=texts.len()).map(|number| format!("/{number}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().copied()).collect();
    let paths: Vec<&Path> = names.iter().map(Path::new).collect();
    read(Language::HaProxy, &paths, &Texts::new(&files), Some("2.6.12"))
}

fn refusal(texts: &[&str]) -> String {
    configuration(texts).err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn defaults_hold_in_the_files_after_theirs_and_each_fact_has_its_file() {
    let document = configuration(&[DEFAULTS, SITE, FARM]).unwrap();
    let site = &document.sites()[0];
    let places: Vec<String> = site.reasons.iter().filter_map(|(place, _)| Some(place.as_ref()?.to_string())).collect();
    assert!(places.contains(&"/1:3".into()) && site.servers == 2, "{:#?}", site.reasons);
    let late = configuration(&[SITE, FARM, DEFAULTS]).unwrap();
    assert_eq!(late.sites()[0].base, "haproxy-tcp", "nothing stands above that says `mode http`");
}

#[test]
fn a_line_of_the_copy_stands_for_one_of_a_file() {
    let document = configuration(&[DEFAULTS, SITE, FARM]).unwrap();
    let copy = document.sandbox(0).template;
    let line = copy.lines().position(|line| line.contains("backend farm") && !line.contains("default")).unwrap() + 1;
    assert_eq!(document.place(line).map(|place| place.to_string()).as_deref(), Some("/3:1"), "{copy}");
    assert_eq!((document.place(0), document.place(1_000)), (None, None));
}

/// Tests that HAProxy changes to `nobody` if it runs as root and can do so, whatever user the file names.
#[test]
fn a_copy_has_no_user_of_the_files_and_one_without_rights() {
    let copy = configuration(&["global\n    user evil\n    group evil\n", SITE, FARM]).unwrap().sandbox(0).template;
    assert!(!copy.contains("evil"), "{copy}");
    assert!(copy.contains("{% if nobody %}\n    uid {{ nobody }}\n    gid {{ nobody }}\n{% endif %}"), "{copy}");
}

#[test]
fn a_remedy_changes_the_files_that_have_to_change_alone() {
    let remedies = configuration(&[DEFAULTS, SITE, FARM]).unwrap().remedies(0);
    let Remedy::Edit { files, .. } = &remedies[0] else { panic!("{remedies:#?}") };
    let changed: Vec<(&str, String)> = files.iter().map(|file| (&*file.path, file.after.clone())).collect();
    let www = SITE.replace("www\n", "www\n    option http-keep-alive\n");
    let farm = FARM.replace("farm\n    http-reuse safe", "farm\n    option http-keep-alive\n    http-reuse never");
    assert_eq!(changed, [("/2", www), ("/3", farm)]);
    // A file with two kinds of line ends does not change in lines that have no change.
    let mixed = configuration(&["defaults\r\n    mode http\n", SITE, FARM]).unwrap().remedies(0);
    let Remedy::Edit { files, .. } = &mixed[0] else { panic!("{mixed:#?}") };
    assert_eq!(files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["/3"]);
}

/// Tests <https://docs.haproxy.org/2.6/management.html#3>, `-f`: each file must start on a section boundary.
#[test]
fn a_section_and_a_condition_end_with_their_file() {
    let said = refusal(&["listen a\n    bind :80\n", "    server a 10.0.0.1:80\n"]);
    assert!(said.contains("/2:1:5") && said.contains("begin with a section"), "{said}");
    assert_eq!(refusal(&["listen a\n    bind :80\n    server a 10.0.0.1:80\n", "# nothing\n\n"]), "");
    // For the first file, HAProxy itself reports this.
    assert_eq!(refusal(&["    server a 10.0.0.1:80\n"]), "");
    let open =
        configuration(&["global\n.if version_below(1.0)\n", "listen a\n    bind :80\n    server a 10.0.0.1:80\n"]);
    assert_eq!(open.unwrap().sites().len(), 1);
}

#[test]
fn variables_of_one_file_are_known_in_the_next() {
    let document = configuration(&[
        "global\n    setenv HOW never\n",
        "listen a\n    mode http\n    bind :80\n    http-reuse \"$HOW\"\n    server a 10.0.0.1:80\n",
    ]);
    assert_eq!(document.unwrap().sites()[0].base, "haproxy-never");
}

/// Returns the copy of the first site for a run with this number of servers.
fn copy(text: &str, servers: usize) -> String {
    let template = configuration(&[text]).unwrap_or_else(|error| panic!("{error}")).sandbox(0).template;
    let server =
        |index: usize| context! { name => format!("iis{index}"), address => format!("127.0.0.1:{}", 9_000 + index) };
    let servers: Vec<_> = (1..=servers).map(server).collect();
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap());
    let values = context! { servers, address => "127.0.0.1:9000", folder => "/run/folder", nobody => 0 };
    environment.render_str(&template, values).unwrap()
}

/// Returns a `listen` of two servers with these lines before them.
fn listen(lines: &str) -> String {
    format!(
        "listen www\n    mode http\n    bind :80\n{lines}    server a 10.0.0.1:80 check\n    server b 10.0.0.2:80 check\n"
    )
}

#[test]
fn a_server_that_a_run_does_not_have_is_out_of_service_by_its_name() {
    let text = listen("    use-server b if { path_beg /b }\n");
    let (one, two) = (copy(&text, 1), copy(&text, 2));
    assert!(one.contains("    server b 127.0.0.1:1 disabled no-check no-ssl") && one.contains("use-server b"), "{one}");
    assert!(two.contains("    server b 127.0.0.1:9002 check") && !two.contains("disabled"), "{two}");
}

#[test]
fn checks_have_tls_where_the_servers_have_it() {
    let lines = "    http-check connect ssl alpn http/1.1 sni x port 8443\n";
    let plain = copy(&listen(lines), 2);
    assert!(plain.contains("    http-check connect\n"), "{plain}");
    let secured = listen(lines).replace("bind :80", "bind :443 ssl crt /c").replace(" check\n", " check ssl\n");
    let secured = copy(&secured, 2);
    assert!(secured.contains("    http-check connect ssl alpn http/1.1\n"), "{secured}");
    let beyond = copy(&listen("").replace("bind :80", "bind :443 ssl crt /c").replace(" check\n", " check ssl\n"), 1);
    assert!(beyond.contains("disabled no-check no-ssl verify none"), "HAProxy asks for a CA even there: {beyond}");
}

/// Tests that `maxconn` is limited, since HAProxy does not start unless it can have twice as many file descriptors.
#[test]
fn a_copy_has_no_more_connections_than_this_host_gives() {
    let text = format!("global\n    maxconn 1000000\n    nbthread 1\n{}", listen("    maxconn 77\n"));
    let copy = copy(&text, 2);
    assert!(!copy.contains("1000000") && copy.contains("nbthread 1") && copy.contains("maxconn 77"), "{copy}");
}

#[test]
fn a_last_line_without_an_end_is_refused_as_haproxy_refuses_it() {
    let cut = listen("").trim_end().to_owned();
    let read = |version| read(Language::HaProxy, &[Path::new("/c")], &Texts::new(&[("/c", &cut)]), version);
    let error = read(Some("2.6.12")).err().unwrap();
    assert_eq!((error.line, error.column), (5, 1), "{error}");
    for version in [Some("2.2.9"), None] {
        assert!(read(version).is_ok(), "{version:?} takes it, or is not known to refuse it");
    }
    assert!(configuration(&[&listen("")]).is_ok());
}

#[test]
fn what_the_simulation_cannot_read_accuses_nobody() {
    let fact = |lines: &str, key: &str| {
        let document = configuration(&[&listen(lines)]).unwrap();
        let site = document.sites()[0].clone();
        (site.facts.iter().rfind(|fact| fact.key == key).map(|fact| fact.toml.clone()), site)
    };
    // This expectation has no model: 401 counts as alive, and this is reported.
    let (statuses, site) = fact("    option httpchk\n    http-check expect rstatus ^(200|401)$\n", "check.statuses");
    assert_eq!(statuses.as_deref(), Some("[\"200-399\", 401]"));
    assert!(site.unread.iter().any(|unread| unread.says.contains("rstatus")), "{:#?}", site.unread);
    let (statuses, _) = fact("    option httpchk\n    http-check expect status 200\n", "check.statuses");
    assert_eq!(statuses.as_deref(), Some("[200]"), "this one has a model");
    // No hash prefers the last server, even if a request has no such parameter; turns do.
    assert_eq!(fact("    balance url_param user\n", "prefer_last").0.as_deref(), Some("\"never\""));
    assert_eq!(fact("    balance roundrobin\n", "prefer_last").0, None);
    let dispatch = "listen www\n    mode http\n    bind :80\n    dispatch 10.0.0.1:80\n";
    assert_eq!(configuration(&[dispatch]).unwrap().sites()[0].base, "haproxy-never");
}
