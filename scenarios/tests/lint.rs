//! The rules of the lint: each finds its mistakes, and reports nothing in correct scripts.

mod folder;

use std::path::Path;

use stickler_scenarios::Scenario;
use stickler_scenarios::lint::{Finding, RULES, Report, Severity, lint, lint_script};

fn findings(source: &str) -> Vec<Finding> {
    lint_script(&Scenario::new("test", "test.star", source).unwrap())
}

/// Returns the codes of the findings, each with the text at its place.
fn found(source: &str) -> Vec<(&'static str, &str)> {
    let at = |finding: &Finding| (finding.code, &source[finding.span.bytes.0..finding.span.bytes.1]);
    findings(source).iter().map(at).collect()
}

fn is_clean(source: &str) {
    let findings = findings(source);
    assert!(findings.is_empty(), "{source}\n{findings:#?}");
}

fn hint(source: &str) -> String {
    let findings = findings(source);
    assert_eq!(findings.len(), 1, "{source}\n{findings:#?}");
    findings[0].hint.clone().unwrap_or_default()
}

fn of(path: &Path) -> Report {
    lint(&[path.display().to_string()], &stickler_catalogue::names()).unwrap()
}

#[test]
fn every_shipped_script_and_table_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [root.join("scripts"), root.join("../docs/findings")] {
        let report = of(&path);
        assert!(report.findings.is_empty(), "{}", report.text(false));
        assert!(report.files() > 4, "{}", report.files());
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let source = r#"
site(backends = 2)
advance("1")
drain(host = "iis1", hots = 1)
configure("iis2", windows_authentication(keep_alive = "newer"))
alice = crul("alice")
bob = browser("bobb")
bob.gett("/")
bob.get("inbox").expect(statsu = 200)
crash("iis9")
"#;
    let codes: Vec<&str> = found(source).into_iter().map(|(code, _)| code).collect();
    for code in ["argument-type", "unknown-name", "unknown-user", "unknown-attribute", "argument-value", "arguments"] {
        assert!(codes.contains(&code), "{code} is missing: {codes:?}");
    }
}

#[test]
fn an_unknown_name_suggests_the_nearest_one() {
    let source = "alice = crul(\"alice\")\nalice.get(\"/\")\n";
    assert_eq!(found(source), [("unknown-name", "crul")]);
    assert_eq!(hint(source), "did you mean `curl`?");
    assert_eq!(hint("alice = curl(\"alice\")\nalise.get(\"/\")\nalice.get(\"/\")\n"), "did you mean `alice`?");
    is_clean("alice = curl(\"alice\")\nalice.get(\"/\")\n");
    assert_eq!(found("def f():\n    return y\nprint(f())\n"), [("unknown-name", "y")]);
    is_clean("def f():\n    return y\ny = 3\nprint(f())\n");
    assert_eq!(found("print(x)\nx = 1\n"), [("unassigned", "x")]);
}

#[test]
fn a_wrong_method_lists_what_there_is_and_a_near_one_shows_its_signature() {
    let of = |call: &str| hint(&format!("alice = curl(\"alice\")\nalice{call}\n"));
    assert!(of(".gett(\"/\")").starts_with("did you mean `get`? It is `get(path = \"/\""), "{}", of(".gett(\"/\")"));
    assert!(of(".frobnicate()").contains("disconnect, get, make_token"), "{}", of(".frobnicate()"));
    assert!(of(".get(\"/\").stauts").contains("`status`"));
    assert!(of(".start(\"GET\", \"/\").get()").contains("wait"));
    assert_eq!(found("print(\"x\".startwith(\"x\"))\n"), [("unknown-attribute", "startwith")]);
    is_clean("def f(x):\n    return x.whatever()\nprint(f(3))\n");
    is_clean("r = curl(\"alice\").get(\"/\")\nprint(r.status, r.headers.get(\"x\"), \"x\".startswith(\"x\"))\n");
}

#[test]
fn arguments_are_compared_with_the_signature() {
    let begin = "alice = curl(\"alice\")\nalice.get(\"/\")\n";
    let of = |call: &str| findings(&format!("{begin}{call}\n"));
    let one = |call: &str| {
        let found = of(call);
        assert_eq!(found.len(), 1, "{call}: {found:#?}");
        assert_eq!(found[0].code, "arguments", "{found:?}");
        (found[0].message.clone(), found[0].hint.clone().unwrap_or_default())
    };
    let (message, hint) = one("alice.get(\"/\", heders = {})");
    assert_eq!(message, "`get` has no argument `heders`");
    assert!(hint.starts_with("did you mean `headers`? it is `get("), "{hint}");
    assert_eq!(one("alice.post(\"/x\")").0, "`post` needs `body`");
    assert_eq!(one("alice.get(\"/\", \"more\")").0, "`get` takes one argument without a name, but this is one more");
    assert_eq!(one("alice.get(\"/\", path = \"/\")").0, "`path` is given twice");
    assert!(one("curl(\"bob\", cokies = True).get(\"/\")").1.contains("`cookies`"));
    assert!(one("alice.get(\"/\").expect(stauts = 200)").1.contains("`status`"));
    let (message, hint) = one("def f(a, b = 1):\n    return [a, b]\nprint(f())\nalice.get(\"/\")");
    assert_eq!((message.as_str(), hint.as_str()), ("`f` needs `a`", "it is `f(a, b = 1)`"));
    for right in [
        "alice.get()",
        "alice.get(path = \"/\", headers = {\"a\": \"b\"})",
        "alice.request(\"PUT\", \"/x\", \"y\", chunked = True)",
        "curl(\"bob\", at = alice, port = 40000).get(\"/\")",
        "many = {\"status\": 200}\nalice.get(\"/\").expect(**many)",
        "all = [\"/\"]\nalice.get(*all)",
    ] {
        let found = of(right);
        assert!(found.is_empty(), "{right}: {found:#?}");
    }
}

#[test]
fn values_of_a_wrong_type_are_found_where_they_are_written() {
    assert_eq!(found("site(backends = \"2\")\ncurl(\"alice\").get(\"/\")\n"), [("argument-type", "\"2\"")]);
    assert_eq!(found("curl(\"alice\", patience = \"long\").get(\"/\")\n"), [("argument-type", "\"long\"")]);
    assert_eq!(found("curl(\"alice\").get(\"/\").expect(status = \"200\")\n"), [("argument-type", "\"200\"")]);
    assert_eq!(found("curl(\"alice\").get(7)\n"), [("argument-type", "7")]);
    assert_eq!(found("wait_all([curl(\"alice\")])\n"), [("argument-type", "[curl(\"alice\")]")]);
    is_clean(
        "curl(\"alice\", patience = 3).get(\"/\").expect(status = [200, None], user = None)\nadvance(3)\nadvance(0.5)\n",
    );
    is_clean("def f(n):\n    advance(n)\nf(3)\ncurl(\"alice\").get(\"/\")\n");
}

#[test]
fn values_are_checked_by_the_functions_themselves_and_the_culprit_is_marked() {
    let ask = "curl(\"alice\").get(\"/\")\n";
    let of = |statement: &str| {
        let source = format!("{statement}\n{ask}");
        findings(&source)
            .into_iter()
            .map(|it| (it.code, source[it.span.bytes.0..it.span.bytes.1].to_owned()))
            .collect::<Vec<_>>()
    };
    let one = |code: &'static str, text: &str| vec![(code, text.to_owned())];
    assert_eq!(of("site(iis = \"iis7\", backends = 3)"), one("argument-value", "\"iis7\""));
    assert_eq!(of("site(http2 = True)"), one("argument-value", "True"));
    assert_eq!(of("site(backends = 99999)"), one("argument-value", "99999"));
    assert_eq!(
        of("site(servers = {\"iis3\": rogue(\"closes\")})"),
        one("unknown-host", "{\"iis3\": rogue(\"closes\")}")
    );
    assert_eq!(of("site(servers = {\"iis2\": rogue(\"close\")})"), one("argument-value", "\"close\""));
    assert_eq!(of("site(front = \"shared-pol\")"), one("argument-value", "\"shared-pol\""));
    assert_eq!(of("advance(-1)"), one("argument-value", "-1"));
    // Two mistakes in one call are both found.
    let two: Vec<&str> = of("site(iis = \"iis7\", providers = [\"NTML\"])").iter().map(|(code, _)| *code).collect();
    assert_eq!(two, ["argument-value"; 2]);
    assert_eq!(findings("curl(\"alice\").get(\"inbox\")\n").len(), 1, "a path begins with /");
    for right in [
        "site(tls = \"own\", http2 = True)",
        "N = 3\nsite(backends = N)",
        "web = rogue(\"closes\")\nsite(servers = {\"iis2\": web})",
    ] {
        is_clean(&format!("{right}\n{ask}"));
    }
}

#[test]
fn users_servers_and_clients_are_those_of_the_site() {
    let source = "alice = curl(\"alise\")\nalice.get(\"/\")\n";
    assert_eq!(found(source), [("unknown-user", "\"alise\"")]);
    assert!(hint(source).starts_with("did you mean `alice`?"));
    let source = "alice = curl(\"alice\")\nalice.get(\"/\")\ncrash(\"iis3\")\n";
    assert_eq!(found(source), [("unknown-host", "\"iis3\"")]);
    assert!(hint(source).contains("iis1, iis2, lb, dc, alice"), "{}", hint(source));
    is_clean(
        "site(backends = 3)\nalice = curl(\"alice\")\nalice.get(\"/\")\ncrash(\"iis3\")\nhold(\"alice\", \"lb\")\n",
    );
    assert_eq!(found("a = curl(\"alice\")\na.get(\"/\")\nhold(\"alise\", \"lb\")\n"), [("unknown-host", "\"alise\"")]);
    assert_eq!(found("a = curl(\"alice\")\na.get(\"/\")\na.switch_user(\"bobb\")\n"), [("unknown-user", "\"bobb\"")]);
    assert_eq!(found("a = curl(\"alice\")\na.get(\"/\")\ndrain(\"lb\")\n"), [("unknown-host", "\"lb\"")]);
    // A value that does not follow from the text is not reported as a mistake.
    is_clean("site(users = {\"zoe\": \"Zoe-1\"})\ncurl(\"zoe\").get(\"/\")\n");
    is_clean("site(backends = len([1, 2, 3]))\ncurl(\"alice\").get(\"/\")\ncrash(\"iis3\")\n");
    is_clean(
        "for name in [\"alice\", \"bob\"]:\n    curl(name + \"-pc\", user = name).get(\"/\")\nhold(\"alice-pc\", \"lb\")\n",
    );
    is_clean("site(partner = partner([\"paula\"]))\ncurl(\"p\", user = \"PARTNER\\\\paula\").get(\"/\")\n");
}

#[test]
fn two_clients_of_one_name_and_a_function_that_is_defined_twice() {
    let source = "a = curl(\"alice\")\na.get(\"/\")\nb = browser(\"alice\")\nb.get(\"/\")\n";
    assert_eq!(found(source), [("duplicate-client", "\"alice\"")]);
    assert!(hint(source).contains("user = \"alice\""));
    is_clean("if promises().cookie:\n    a = curl(\"alice\")\nelse:\n    a = browser(\"alice\")\na.get(\"/\")\n");
    is_clean("def f():\n    curl(\"alice\").get(\"/\")\nf()\n");
    assert_eq!(found("def f():\n    return 1\ndef f():\n    return 2\nprint(f())\n"), [("duplicate-name", "f")]);
    assert_eq!(
        found("curl(\"alice\").get(\"/\", headers = {\"a\": \"1\", \"a\": \"2\"})\n"),
        [("duplicate-key", "\"a\"")]
    );
}

#[test]
fn the_site_stands_before_the_first_client_and_once() {
    let late = "curl(\"alice\").get(\"/\")\nsite(backends = 1)\n";
    assert_eq!(found(late), [("site-late", "site")]);
    assert_eq!(
        found("p = promises()\nprint(p)\nsite(backends = 1)\ncurl(\"alice\").get(\"/\")\n"),
        [("site-late", "site")]
    );
    assert_eq!(
        found("def ask():\n    curl(\"alice\").get(\"/\")\nask()\nsite(backends = 1)\n"),
        [("site-late", "site")]
    );
    assert_eq!(found("site(backends = 1)\nsite(backends = 2)\ncurl(\"alice\").get(\"/\")\n"), [("site-late", "site")]);
    is_clean(
        "web = windows_authentication(pool = \"machine\")\nsite(authentication = web)\ncurl(\"alice\").get(\"/\")\n",
    );
    is_clean("def ask():\n    curl(\"alice\").get(\"/\")\nsite(backends = 1)\nask()\n");
}

#[test]
fn a_request_that_nobody_waits_for_and_a_client_that_does_nothing() {
    let alice = "alice = curl(\"alice\")\n";
    assert_eq!(found(&format!("{alice}alice.start(\"GET\", \"/\")\n"))[0].0, "unawaited-request");
    assert_eq!(found(&format!("{alice}p = alice.start(\"GET\", \"/\")\n")), [("unawaited-request", "p")]);
    assert_eq!(found(&format!("{alice}start_crowd([alice])\n"))[0].0, "unawaited-request");
    assert_eq!(found(&format!("{alice}ps = [alice.start(\"GET\", \"/\")]\n")), [("unawaited-request", "ps")]);
    is_clean(&format!("{alice}p = alice.start(\"GET\", \"/\")\np.wait()\n"));
    is_clean(&format!("{alice}_ = alice.start(\"GET\", \"/\")\n"));
    is_clean(&format!("{alice}wait_all([alice.start(\"GET\", \"/\")])\n"));
    is_clean("crowd(3)\n");
    is_clean("crowd(30)\nalice = curl(\"alice\")\nalice.get(\"/\")\n");
    assert_eq!(found(&format!("{alice}curl(\"bob\").get(\"/\")\n")), [("unused-client", "alice")]);
    assert_eq!(found("curl(\"alice\")\ncurl(\"bob\").get(\"/\")\n"), [("unused-client", "curl(\"alice\")")]);
    is_clean(&format!("{alice}curl(\"bob\", at = alice).get(\"/\")\n"));
    is_clean("_ = curl(\"alice\")\ncurl(\"bob\").get(\"/\")\n");
}

#[test]
fn what_is_never_read_called_or_reached() {
    let ask = "curl(\"alice\").get(\"/\")\n";
    assert_eq!(found(&format!("x = 1\n{ask}")), [("unused-variable", "x")]);
    assert_eq!(found(&format!("def f():\n    return 1\n{ask}")), [("unused-variable", "f")]);
    assert_eq!(found(&format!("def f():\n    x = 1\n    return 2\nprint(f())\n{ask}")), [("unused-variable", "x")]);
    is_clean(&format!("_x = 1\nfor round in range(2):\n    advance(1)\n{ask}"));
    is_clean(&format!("def f():\n    for n in range(2):\n        advance(1)\nf()\n{ask}"));
    let behind = format!("def f():\n    return 1\n    advance(1)\nprint(f())\n{ask}");
    assert!(found(&behind).contains(&("unreachable", "advance(1)")), "{:?}", found(&behind));
    assert_eq!(found(&format!("def f(x):\n    if x:\n        return 1\nprint(f(1))\n{ask}"))[0].0, "missing-return");
    is_clean(&format!("def f(x):\n    if x:\n        return 1\n    return 2\nprint(f(1))\n{ask}"));
    assert_eq!(found(&format!("x = 1\nx\n{ask}"))[0].0, "no-effect");
}

#[test]
fn formats_have_no_width_and_the_hint_says_what_there_is() {
    for format in ["\"user%02d\" % 1", "\"user{:02}\".format(1)"] {
        let source = format!("curl({format}, user = \"alice\").get(\"/\")\n");
        assert_eq!(findings(&source)[0].code, "format-width", "{format}");
        assert!(hint(&source).contains("padded("), "{format}");
    }
    assert!(hint("print(str(1).zfill(2))\ncurl(\"alice\").get(\"/\")\n").contains("padded("));
    is_clean("curl(\"user\" + padded(1)).get(\"/\")\nprint(\"%d of %s\" % (1, 2), \"{}\".format(3))\n");
}

#[test]
fn a_mistake_of_syntax_hides_no_other_one() {
    let source = "alice = crul(\"alice\")\nwhile True:\n    pass\nalice.get(\"/\")\ncrash(\"iis7\")\n";
    assert_eq!(found(source).iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["syntax", "unknown-name"]);
    // The part that could not be parsed may define a name.
    assert_eq!(found("alice = = curl(\"alice\")\nalice.get(\"/\")\n").len(), 1);
}

#[test]
fn a_rule_is_switched_off_by_a_comment_and_every_finding_is_of_a_rule() {
    is_clean("# starlark-lint-disable unused-client\nalice = curl(\"alice\")\ncurl(\"bob\").get(\"/\")\n");
    is_clean("alice = curl(\"alice\") # starlark-lint-disable unused-client\ncurl(\"bob\").get(\"/\")\n");
    let findings = findings("alice = curl(\"alice\") # starlark-lint-disable unused-variable\nx.get(\"/\")\n");
    assert_eq!(findings.len(), 2);
    for finding in findings {
        let rule = RULES.iter().find(|rule| rule.code == finding.code).unwrap();
        assert_eq!(rule.severity, finding.severity);
    }
}

#[test]
fn a_value_that_takes_too_much_memory_ends_the_lint_of_its_script_alone() {
    let huge = format!("x = {}1{}\nprint(x)\n", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(findings(&huge)[0].code, "too-deep");
    is_clean("print(len(\"x\" * 100000000000))\ncurl(\"alice\").get(\"/\")\n");
}

#[test]
fn loads_are_followed_and_what_they_name_is_compared_with_the_file() {
    let library = "def ask(client, path = \"/\"):\n    return client.get(path)\n_OWN = 1\nTWO = 2\n";
    let folder = folder::folder(
        "lint",
        "loads",
        &[
            ("right.star", "load(\"lib.star\", \"TWO\", \"ask\")\nask(curl(\"alice\"))\nprint(TWO)\n"),
            ("name.star", "load(\"lib.star\", \"aks\")\naks(curl(\"alice\"))\n"),
            ("own.star", "load(\"lib.star\", \"_OWN\")\nprint(_OWN)\ncurl(\"alice\").get(\"/\")\n"),
            ("call.star", "load(\"lib.star\", \"ask\")\nask(curl(\"alice\"), pth = \"/\")\n"),
            ("unused.star", "load(\"lib.star\", \"ask\")\ncurl(\"alice\").get(\"/\")\n"),
            ("missing.star", "load(\"no.star\", \"ask\")\nask(curl(\"alice\"))\n"),
            ("out.star", "load(\"../x.star\", \"ask\")\nask(curl(\"alice\"))\n"),
            ("circle.star", "load(\"lib/a.star\", \"a\")\nprint(a)\ncurl(\"alice\").get(\"/\")\n"),
            ("lib.star", library),
            ("lib/a.star", "load(\"b.star\", \"b\")\na = b\n"),
            ("lib/b.star", "load(\"a.star\", \"a\")\nb = a\n"),
        ],
    );
    let of = |name: &str| {
        let report = of(&folder.join(name));
        let own = report.findings.into_iter().filter(|finding| finding.file.ends_with(name));
        own.map(|finding| (finding.code, finding.message, finding.hint.unwrap_or_default())).collect::<Vec<_>>()
    };
    assert_eq!(of("right.star"), []);
    let [(code, message, hint)] = &of("name.star")[..] else { panic!("{:?}", of("name.star")) };
    assert_eq!(
        (*code, message.as_str(), hint.as_str()),
        ("load", "`lib.star` defines no `aks`", "did you mean `ask`?")
    );
    assert!(of("own.star")[0].1.contains("begins with `_`"), "{:?}", of("own.star"));
    assert_eq!(of("call.star")[0].1, "`ask` has no argument `pth`");
    assert_eq!(of("unused.star")[0].0, "unused-load");
    assert!(of("missing.star")[0].1.starts_with("cannot read "), "{:?}", of("missing.star"));
    assert!(of("out.star")[0].1.contains("is not the path of a file below"), "{:?}", of("out.star"));
    let circle = of("circle.star");
    assert!(circle[0].1.ends_with("in a circle: lib/a.star, lib/b.star, lib/a.star"), "{circle:?}");
}

#[test]
fn tables_beside_scripts_are_looked_at_with_all_their_mistakes() {
    let table = "[a]\nall = { ok = \"HS-1, HS-99\", script = \"fials\" }\nshared-pol = { ok = \"HS-1\" }\n[b]\nall = { ok = \"HS-1\" }\n";
    let script = "curl(\"alice\").get(\"/\")\n";
    let wrong = folder::folder(
        "lint",
        "tables",
        &[("a.star", script), ("expected.toml", table), ("group.toml", "titel = \"x\"\n")],
    );
    let report = of(&wrong);
    let said: Vec<_> = report.findings.iter().map(|it| (it.code, it.span.line, it.message.as_str())).collect();
    assert_eq!(said.iter().filter(|(code, ..)| *code == "expected").count(), 4, "{said:#?}");
    assert!(
        said.iter()
            .any(|(code, line, message)| *code == "expected" && *line == 4 && message.contains("no scenario `b`"))
    );
    assert_eq!(said.iter().filter(|(code, ..)| *code == "group").count(), 1, "{said:#?}");
    let hints: Vec<_> = report.findings.iter().filter_map(|it| it.hint.as_deref()).collect();
    assert!(hints.contains(&"did you mean `shared-pool`?"), "{hints:?}");
    // A single script of the folder is checked with the same tables.
    assert_eq!(of(&wrong.join("a.star")).findings, report.findings);
    let right =
        folder::folder("lint", "right", &[("a.star", script), ("expected.toml", "[a]\nall = { ok = \"HS-1\" }\n")]);
    assert!(of(&right).findings.is_empty());
}

#[test]
fn folders_are_walked_and_a_path_that_leads_nowhere_is_an_error() {
    let script = "curl(\"alice\").get(\"/\")\n";
    let folder = folder::folder(
        "lint",
        "walk",
        &[("a.star", script), ("below/b.star", script), ("_own/c.star", "x = crul(1)\n")],
    );
    let report = of(&folder);
    assert_eq!(report.files(), 3);
    assert_eq!(report.findings.len(), 1, "a file that is only loaded is looked at too, and its names are for others");
    assert_eq!(report.findings[0].severity, Severity::Error);
    assert!(lint(&[folder.join("no.star").display().to_string()], &[]).is_err());
}
