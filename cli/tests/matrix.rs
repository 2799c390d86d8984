//! The product profiles behave as the products were measured to. Also the output of `stickler matrix`.
//!
//! Evidence: `M` measured on loopback over the real product, with a mock that keeps state for each TCP connection; `S`
//! read in the product's source; `D` the vendor's documentation.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;

use stickler_catalogue::{mechanisms, profiles};
use stickler_model::event::Closed;
use stickler_model::topology::Provider;
use stickler_model::{BalancerSpec, What};
use stickler_oracle::{Grade, Severity};
use stickler_report::matrix::{self, Matrix, Row, Subject};
use stickler_runner::{Arm, End, Run};
use stickler_scenarios::{Scenario, shipped};
use stickler_sim::SimArm;

/// The situation in which a fact holds: the farm and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// One backend; the clients send their Negotiate leg at once.
    One,
    /// One backend; the clients send an anonymous request first, and log on after a 401.
    OneAnonymousFirst,
    /// Two backends, without affinity.
    Two,
    /// Two backends; all clients come from one address.
    TwoFromOneAddress,
    /// Two backends; the clients keep cookies, and send an anonymous request first.
    TwoWithCookies,
    /// One backend; a client's address and port are used again by another user.
    AddressReused,
    /// Kerberos alone; each request is authenticated (authPersistNonNTLM is off).
    Kerberos,
    /// Kerberos alone; IIS remembers the connection, which is its default. Browsers send an anonymous request first.
    KerberosPersists,
    /// Kerberos alone; IIS remembers the connection. A client sends its ticket at once, so there is no 401.
    KerberosOneShot,
    /// The scheme Negotiate; some clients fall back to NTLM.
    Negotiate,
    /// One backend; the first request of a connection comes before a user logs on, and the second one afterwards.
    SecondRequest,
}

/// The success of users with valid credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ntlm {
    /// Users can always log on.
    Works,
    /// Users can never log on.
    Fails,
    /// Users can log on only in step with another client.
    WhereRealigned,
    /// Users cannot always log on, and perhaps never can.
    Unreliable,
    /// The source does not say whether users can log on.
    Unsaid,
}

/// The separation of users from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    Apart,
    MixedUp,
}

use Ntlm::{Fails, Unreliable, Unsaid, WhereRealigned, Works};
use Site::{
    AddressReused, Kerberos, KerberosOneShot, KerberosPersists, Negotiate, One, OneAnonymousFirst, SecondRequest, Two,
    TwoFromOneAddress, TwoWithCookies,
};
use Users::{Apart, MixedUp};

/// A fact: the balancer, the site, the success of users, their separation, and the source.
type Fact = (&'static str, Site, Ntlm, Users, &'static str);

#[rustfmt::skip]
const FACTS: &[Fact] = &[
    ("nginx-1.22",            One,               Fails,          Apart,   "M: nginx 1.22.1, defaults: never"),
    ("nginx-1.22",            Two,               Fails,          Apart,   "M: nginx 1.22.1, defaults: never"),
    ("nginx-keepalive",       One,               Works,          MixedUp, "M: nginx 1.22.1, keepalive 16: one server works, and leaks"),
    ("nginx-keepalive",       Two,               WhereRealigned, MixedUp, "M: nginx 1.22.1, keepalive 16: only if round robin realigns"),
    ("nginx-1.29.7",          One,               Works,          MixedUp, "M: nginx 1.31.5, defaults: an anonymous client is served as the user before"),
    ("nginx-1.29.7",          Two,               WhereRealigned, MixedUp, "M: nginx 1.31.5, defaults"),
    ("nginx-ip-hash",         TwoFromOneAddress, Works,          MixedUp, "M: nginx 1.31.5, ip_hash: an anonymous client is served as the user before"),
    ("nginx-ntlm-module",     One,               Works,          Apart,   "M: keepalive 0"),
    ("nginx-ntlm-module",     Two,               Works,          Apart,   "M: keepalive 0"),
    ("nginx-ntlm-module+B5",  One,               Unsaid,         MixedUp, "M: an outer keepalive wraps the module"),
    ("nginx-plus-ntlm",       Two,               Works,          Apart,   "D: the directive's purpose"),
    ("haproxy-safe",          KerberosOneShot,   Works,          MixedUp, "M: HAProxy 2.6.12 and 3.5-dev5: wrong-user answers, no 401 to pin on"),
    ("haproxy-always",        KerberosOneShot,   Works,          MixedUp, "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-never",         KerberosOneShot,   Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-never",         KerberosPersists,  Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5: persistence is usable behind a balancer"),
    ("haproxy-always",        Kerberos,          Works,          Apart,   "M: no mismatch even on shared pools with persistence off"),
    ("haproxy-safe",          Kerberos,          Works,          Apart,   "M: no mismatch with persistence off"),
    ("squid",                 KerberosOneShot,   Works,          Apart,   "M: Squid 5.7"),
    ("squid",                 KerberosPersists,  Works,          Apart,   "M: Squid 5.7"),
    ("nginx-keepalive",       Kerberos,          Works,          Apart,   "M: no mismatch even on shared pools with persistence off"),
    ("nginx-keepalive",       KerberosPersists,  Works,          MixedUp, "M: nginx 1.22.1, keepalive 16: connections are anybody's"),
    ("haproxy-safe",          One,               Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-safe",          Two,               Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-aggressive",    Two,               Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-always",        Two,               Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-never",         Two,               Works,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5"),
    ("haproxy-server-close",  One,               Fails,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5: never"),
    ("haproxy-server-close",  Two,               Fails,          Apart,   "M: HAProxy 2.6.12 and 3.5-dev5: never"),
    ("caddy",                 One,               Works,          MixedUp, "M: Caddy 2.6.2: one server only"),
    ("caddy-ntlm",            One,               Works,          Apart,   "S: ntlm-transport, one upstream"),
    ("caddy-ntlm",            Two,               Unreliable,     Apart,   "S: ntlm-transport: the host is picked anew"),
    ("caddy-ntlm",            AddressReused,     Unsaid,         MixedUp, "S: ntlm-transport: keyed by address and port"),
    ("traefik-before",        One,               Works,          MixedUp, "I: traefik#3792: logged in as someone else"),
    ("traefik",               One,               Fails,          Apart,   "S: Traefik 3.7.9: a Negotiate leg that comes first breaks"),
    ("traefik",               OneAnonymousFirst, Works,          Apart,   "S: Traefik 3.7.9: anonymous first is ok"),
    ("httpd",                 One,               Works,          MixedUp, "M: Apache httpd 2.4.71: one worker only"),
    ("httpd",                 Two,               WhereRealigned, MixedUp, "M: Apache httpd 2.4.71: one worker only"),
    ("httpd-disablereuse",    One,               Fails,          Apart,   "M: Apache httpd 2.4.71: never"),
    ("httpd-disablereuse",    Two,               Fails,          Apart,   "M: Apache httpd 2.4.71: never"),
    ("no-pool-on-first",      SecondRequest,     Unsaid,         MixedUp, "M: httpd proxy-initial-not-pooled leaks on the second request"),
    ("httpd-initial-not-pooled", SecondRequest,  Unsaid,         MixedUp, "M: httpd proxy-initial-not-pooled leaks on the second request"),
    ("nginx-stream",          Two,               Works,          Apart,   "M: nginx 1.22.1, stream"),
    ("haproxy-httpclose",     One,               Fails,          Apart,   "M: HAProxy 2.6.12, option httpclose"),
    ("haproxy-leastconn",     Two,               Works,          Apart,   "S: the pin does not depend on the balance"),
    ("trafficserver",         One,               Fails,          Apart,   "M: Traffic Server 9.2.9"),
    ("trafficserver-not-private", One,           Works,          MixedUp, "M: Traffic Server 9.2.9, auth_server_session_private 0"),
    ("lighttpd",              One,               Fails,          Apart,   "M: lighttpd 1.4.69"),
    ("caddy-no-keepalive",    One,               Fails,          Apart,   "M: Caddy 2.6.2, keepalive off"),
    ("varnish-pipe",          Two,               Works,          Apart,   "M: Varnish 7.1.1, Connection unset in vcl_pipe"),
    ("varnish-pipe-close",    One,               Fails,          Apart,   "M: Varnish 7.1.1, vcl_pipe as built in"),
    ("varnish",               One,               Works,          MixedUp, "M: Varnish 7.1.1, return (pass)"),
    ("envoy",                 One,               Works,          MixedUp, "M: Envoy 1.40.0, one worker"),
    ("envoy-per-downstream",  One,               Works,          Apart,   "M: Envoy 1.40.0"),
    ("pen",                   Two,               Works,          Apart,   "M: pen 0.34.1"),
    ("pen-roundrobin",        Two,               Works,          Apart,   "M: pen 0.34.1"),
    ("squid-no-connection-auth", One,            Fails,          Apart,   "M: Squid 5.7: the challenges of connection authentication are removed"),
    ("squid",                 One,               Works,          Apart,   "M: Squid 5.7"),
    ("squid",                 Two,               Works,          Apart,   "M: Squid 5.7"),
    ("skudonet-http",         One,               Works,          Apart,   "S: zproxy: one backend"),
    ("skudonet-http",         Two,               WhereRealigned, Apart,   "S: zproxy: the backend is picked anew"),
    ("skudonet-http-cookie",  TwoWithCookies,    Works,          Apart,   "S: zproxy: sticky"),
    ("azure-appgw-dedicated", Two,               Works,          Apart,   "D: a backend connection for each client connection"),
    ("netscaler-no-multiplex", Two,              Works,          Apart,   "D: a server connection for each client connection"),
    ("avi",                   Two,               Works,          Apart,   "D: NTLM is detected"),
    ("aws-nlb",               Two,               Works,          Apart,   "D: AWS names it for NTLM"),
    ("azure-lb",              Two,               Works,          Apart,   "D: connections pass through"),
    // Google's table of its load balancers has NTLM, Kerberos alone, and Negotiate with fallback to NTLM. It says that
    // Kerberos works through an Application Load Balancer. This is right, but users are mixed up unless persistence is
    // off.
    ("gcp-passthrough-nlb",   Two,               Works,          Apart,   "D: Google: NTLM works"),
    ("gcp-proxy-nlb",         Two,               Works,          Apart,   "D: Google: NTLM works"),
    ("gcp-alb",               Two,               Unreliable,     MixedUp, "D: Google: NTLM is not supported"),
    ("gcp-alb-affinity",      Two,               Unreliable,     MixedUp, "D: Google: NTLM is not supported"),
    ("gcp-passthrough-nlb",   Kerberos,          Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-proxy-nlb",         Kerberos,          Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-alb",               Kerberos,          Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-alb-affinity",      Kerberos,          Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-passthrough-nlb",   KerberosPersists,  Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-proxy-nlb",         KerberosPersists,  Works,          Apart,   "D: Google: Kerberos works"),
    ("gcp-alb",               KerberosPersists,  Works,          MixedUp, "measured here only: Google's table has no word on it"),
    ("gcp-passthrough-nlb",   Negotiate,         Works,          Apart,   "D: Google: Negotiate works"),
    ("gcp-proxy-nlb",         Negotiate,         Works,          Apart,   "D: Google: Negotiate works"),
    ("gcp-alb",               Negotiate,         Unreliable,     MixedUp, "D: Google: Negotiate is not supported where clients fall back"),
];

const ANONYMOUS_FIRST: &str = r#"
"""Browsers come one after the other, and again."""
site(backends = 1)
for name in ["alice", "bob"]:
    user = browser(name)
    for path in ["/", "/again"]:
        user.get(path)
    user.disconnect()
    user.get("/and-again")
"#;

const ONE_ADDRESS: &str = r#"
"""A user logs in, and somebody without credentials asks from the same address."""
site(backends = 2)
alice = curl("alice")
alice.get("/")
mallory = browser("mallory", user = None, at = alice)
mallory.get("/")
alice.disconnect()
alice.get("/again")
"#;

const COOKIES: &str = r#"
"""Browsers that keep cookies, one after the other, and again."""
site(backends = 2)
for name in ["alice", "bob", "carol"]:
    user = browser(name)
    user.get("/")
    user.disconnect()
    user.get("/again")
"#;

const SECOND_REQUEST: &str = r#"
"""Somebody without credentials asks before a user logs in, and again afterwards."""
site(backends = 1)
mallory = browser("mallory", user = None)
mallory.get("/")
curl("alice").get("/")
mallory.get("/again")
"#;

impl Ntlm {
    fn is(self, seen: matrix::Works) -> bool {
        use matrix::Works::{No, Partly, Yes};
        match self {
            Works => seen == Yes,
            Fails => seen == No,
            WhereRealigned => seen == Partly,
            Unreliable => matches!(seen, Partly | No),
            Unsaid => true,
        }
    }
}

impl Site {
    /// Returns the scenarios, by names of the suite or as scripts of this test: those that show whether a user can log
    /// on, and the further ones that show whether users are kept apart.
    const fn scenarios(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            One => (&["lone-one-backend"], &["anonymous-after-user", "user-after-user"]),
            OneAnonymousFirst => (&[ANONYMOUS_FIRST], &["user-after-user"]),
            // The scenarios have a lone client, and a client in step with another: round robin over two backends may
            // realign their requests.
            Two => (&["lone-two-backends", "parity"], &["leaves-in-turn"]),
            TwoFromOneAddress => (&[ONE_ADDRESS], &[]),
            TwoWithCookies => (&[COOKIES], &[]),
            AddressReused => (&[], &["address-reused"]),
            Kerberos => (&["service-account", "not-persisted"], &["not-persisted"]),
            KerberosPersists => (&["service-account", "persisted"], &["persisted"]),
            KerberosOneShot => (&["one-shot"], &["one-shot"]),
            Negotiate => (&["falls-back"], &["effort"]),
            SecondRequest => (&[], &[SECOND_REQUEST]),
        }
    }
}

#[test]
fn what_is_known_of_the_products_comes_out_of_the_simulation() {
    let suite = Suite::new();
    let differs: Vec<String> = FACTS.iter().filter_map(|fact| suite.differs(fact)).collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

#[test]
fn a_reset_behind_haproxy_between_two_requests_is_hidden_from_the_client() {
    // This was measured over HAProxy 2.6.12 with `http-reuse never`: if a request is under way, the client sees the end
    // of the stream instead.
    let run = Suite::new().run("pinned-reset", "haproxy-never");
    let told = run.verdicts.iter().find(|verdict| verdict.requirement.id() == "FO-4").expect("a loss was seen");
    assert!(!told.evidence.is_empty(), "the next request meets a silent 401");
    let events = &run.trace.as_ref().expect("the script asks").events;
    let ended = |what: &What| matches!(what, What::ClientClosed { how: Closed::ByPeer | Closed::Broken, .. });
    assert!(!events.iter().any(|event| ended(&event.what)), "the client sees no end of the stream");
    let error = |what: &What| matches!(what, What::ClientReceived { status: 500.., .. });
    assert!(!events.iter().any(|event| error(&event.what)), "and no error");
}

/// The table in README.md is the same as in the tables of expected outcomes, with which `stickler run` compares each
/// run.
#[test]
fn the_table_of_the_readme_is_that_of_the_expected_outcomes() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("README.md is there");
    let lines: Vec<&str> = readme.lines().skip_while(|line| !line.starts_with(" balancer ")).collect();
    let starts: Vec<usize> = ["NTLM", "Kerberos", "Negotiate", "users kept apart", "HS", "ID", "ST", "FO", "HC"]
        .map(|heading| lines[0].find(heading).unwrap_or_else(|| panic!("there is a column {heading}")))
        .into();
    let names: Vec<&str> = mechanisms().iter().map(|it| &*it.name).collect();
    let cases = shipped(&names).expect("the shipped scenarios are sound");
    let runs = format!("{} runs, {0} as expected, 0 not as expected", cases.len() * names.len());
    assert!(lines.contains(&&*runs), "not in README.md: {runs}");

    let rows: Vec<&&str> = lines[2..].iter().take_while(|line| !line.is_empty()).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let cell = |index: usize| -> String {
            let end = starts.get(index + 1).copied().unwrap_or(usize::MAX);
            row.chars().take(end).skip(starts[index]).collect::<String>().trim().to_owned()
        };
        let name = row.split_whitespace().next().unwrap_or_default();
        assert!(names.contains(&name), "there is no mechanism {name}");
        let told: BTreeSet<String> =
            (4..9).map(cell).flat_map(|cell| words(&cell)).filter(|word| word.contains('-')).collect();
        // The requirements that are violated with every seed, and those that may be violated.
        let (mut certain, mut possible) = (BTreeSet::new(), BTreeSet::new());
        for case in cases.iter().filter(|case| case.group.accepts.is_some()) {
            for (requirement, grades) in case.expectations.expected(case.scenario.name(), name).grades {
                let is_broken = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
                let mark = if requirement.severity() == Severity::Should { "*" } else { "" };
                // The excerpt ends before the last family.
                if requirement.id().starts_with("TL") || !grades.iter().any(is_broken) {
                    continue;
                }
                let id = format!("{requirement}{mark}");
                if grades.iter().all(is_broken) {
                    certain.insert(id.clone());
                }
                possible.insert(id);
            }
        }
        assert!(
            certain.is_subset(&told) && told.is_subset(&possible),
            "{name}: {told:?}, and not {certain:?} to {possible:?}"
        );
        let mixed_up = ["ID-1", "ID-2", "ID-3"].iter().any(|id| told.contains(*id));
        assert_eq!(cell(3) != "yes", mixed_up, "{name}: {}", cell(3));
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The shipped scenarios, with functions that run them.
struct Suite(Vec<Scenario>);

impl Suite {
    fn new() -> Self {
        let names = mechanisms().iter().map(|it| &*it.name).chain(profiles().iter().map(|it| &*it.name));
        let cases = shipped(&names.collect::<Vec<_>>()).expect("the shipped scenarios are sound");
        Self(cases.into_iter().map(|case| case.scenario).collect())
    }

    /// Returns the difference between the simulation and a fact; `None` if there is none.
    fn differs(&self, &(balancer, site, works, users, source): &Fact) -> Option<String> {
        let (logon, apart) = site.scenarios();
        let [logon, apart] = [logon, apart].map(|scenarios| self.row(scenarios, balancer));
        let mixed_up = [&logon, &apart].into_iter().flatten().any(Row::mixes_up_users);
        let (ntlm, apart) = (
            logon.map(|row| row.logons(Provider::Ntlm).works).unwrap_or_default(),
            if mixed_up { MixedUp } else { Apart },
        );
        let same = works.is(ntlm) && apart == users;
        (!same)
            .then(|| format!("{balancer} at {site:?}: {:?}, but it is {:?}: {source}", (ntlm, apart), (works, users)))
    }

    /// Returns the row of a balancer over these scenarios; `None` without scenarios.
    fn row(&self, scenarios: &[&str], balancer: &str) -> Option<Row> {
        let subject = Subject { name: balancer.into(), product: String::new(), config: String::new() };
        let mut matrix = Matrix::default();
        for scenario in scenarios {
            let run = self.run(scenario, balancer);
            matrix.add(&subject, Provider::Ntlm, &run, "");
        }
        matrix.rows().first().cloned()
    }

    /// Runs a scenario, given by name or as a script.
    fn run(&self, scenario: &str, balancer: &str) -> Run {
        let known = self.0.iter().find(|it| it.name() == scenario).cloned();
        let scenario = known.unwrap_or_else(|| Scenario::new("script", "script.star", scenario).expect("it is short"));
        let arm: Arc<dyn Arm> = Arc::new(SimArm);
        let run = stickler_scenarios::run(&scenario, &BalancerSpec::named(balancer), 0, &arm);
        assert_eq!(run.end, End::Complete);
        run
    }
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).arg("matrix").args(arguments).output().expect("the command starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = command(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is text")
}

#[test]
fn the_matrix_is_json_with_a_row_for_each_profile_asked_for() {
    let text = printed(&["nginx-1.22", "azure-lb", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    let rows = value["rows"].as_array().expect("rows");
    let told = |row: &serde_json::Value| {
        let kinds = ["NTLM", "Negotiate:Kerberos", "Negotiate"].map(|kind| {
            let logons = &row["logons"][kind];
            (logons["works"].as_str().unwrap_or_default().to_owned(), logons["mixes_up_users"].as_bool())
        });
        (row["name"].as_str().unwrap_or_default().to_owned(), kinds, row["cells"]["HS-1"]["grade"].as_str().is_some())
    };
    let expected = [("nginx-1.22", ["no", "yes", "no"]), ("azure-lb", ["yes", "yes", "yes"])];
    let expected =
        expected.map(|(name, works)| (name.to_owned(), works.map(|works| (works.to_owned(), Some(false))), true));
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    let replay = rows[0]["cells"]["HS-1"]["broken"][0]["replay"].as_str().expect("a violation can be replayed");
    assert!(replay.starts_with("stickler run ") && replay.contains("--balancer nginx-1.22"), "{replay}");
}

#[test]
fn the_matrix_is_a_markdown_table_of_even_rows() {
    let text = printed(&["azure-lb", "--format", "markdown"]);
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let table: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(table.len(), 3, "a head, a rule and a row:\n{text}");
    assert!(cells(table[0]) > 10 && table.iter().all(|line| cells(line) == cells(table[0])), "{text}");
    assert!(table[1].trim_matches(['|', '-']).chars().all(|c| c == '|' || c == '-'), "{}", table[1]);
    assert!(
        table[2].starts_with("| azure-lb |") && table[2].contains("| yes | yes | yes | yes | ok |"),
        "{}",
        table[2]
    );
}

#[test]
fn the_matrix_is_a_page_whose_elements_are_closed() {
    let text = printed(&["nginx-1.22", "--format", "html"]);
    assert!(text.starts_with("<!doctype html>"), "{}", &text[..80]);
    assert!(text.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src "), "{}", &text[..1000]);
    assert!(text.contains("nginx-1.22") && text.contains("HS-1"));
    assert_eq!(unclosed(&text), Ok(()));
}

/// Checks that each element of a page is closed, in order, except those whose end HTML leaves out.
fn unclosed(page: &str) -> Result<(), String> {
    const VOID: [&str; 6] = ["meta", "link", "br", "hr", "img", "input"];
    const OPTIONAL: [&str; 12] = ["html", "head", "body", "p", "li", "dt", "dd", "thead", "tbody", "tr", "th", "td"];
    // The contents of a script are not markup.
    let (before, script) = page.split_once("<script>").unwrap_or((page, ""));
    let page = [before, script.split_once("</script>").map_or("", |(_, after)| after)].concat();
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if tag.starts_with('/') {
            while open.last().is_some_and(|last| *last != name && OPTIONAL.contains(last)) {
                open.pop();
            }
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
        } else if !tag.starts_with('!') && !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    open.retain(|name| !OPTIONAL.contains(name));
    if open.is_empty() { Ok(()) } else { Err(format!("not closed: {open:?}")) }
}

#[test]
fn the_page_says_what_has_changed_since_an_earlier_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let earlier = folder.path().join("earlier.json");
    let document = printed(&["azure-lb", "--format", "json"]);
    std::fs::write(&earlier, &document).expect("it can be written");
    let path = earlier.to_str().expect("its name is text");
    let since = |path: &str| printed(&["azure-lb", "--format", "html", "--since", path]);
    assert!(since(path).contains("No verdict has changed since the earlier report"));
    // The earlier document says that the scenarios that keep HS-1 now violated it.
    let mut changed: serde_json::Value = serde_json::from_str(&document).expect("it is a document");
    let cell = &mut changed["rows"][0]["cells"]["HS-1"];
    let kept = cell["kept"].as_array_mut().map(std::mem::take).expect("some keep it");
    cell["broken"] = kept.iter().map(|scenario| serde_json::json!({ "scenario": scenario })).collect();
    std::fs::write(&earlier, changed.to_string()).expect("it can be written");
    assert!(since(path).contains("HS-1 is kept, and was violated"));
    let of_run = document.replacen("\"command\": \"matrix\"", "\"command\": \"run\"", 1);
    std::fs::write(&earlier, of_run).expect("it can be written");
    let output = command(&["azure-lb", "--format", "html", "--since", path]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("this is a document of `stickler run`"), "{text}");

    std::fs::write(&earlier, "{}").expect("it can be written");
    let output = command(&["azure-lb", "--format", "html", "--since", path]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("this is not a JSON document of `stickler matrix`"), "{text}");
}

#[test]
fn an_unknown_profile_exits_3_with_the_nearest_name_or_says_where_all_are() {
    let output = command(&["haproxi"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{text}");
    assert!(text.contains("`haproxi`") && text.contains("did you mean `haproxy-"), "{text}");
    let output = command(&["nosuch"]);
    let text = String::from_utf8_lossy(&output.stderr);
    let all = format!("`stickler list` shows the {} that there are", profiles().len());
    assert!(output.status.code() == Some(3) && text.contains(&all), "{text}");
}
