//! The script language over a world that answers at once.

mod double;

use stickler_model::agent::Agent;
use stickler_model::topology::{Acceptor, CertificateSpec, IisVersion, KeepAlive, Provider};
use stickler_model::{Action, BalancerSpec, ClientSpec, Profile};
use stickler_runner::{End, Run};
use stickler_scenarios::{Scenario, run};

fn play(source: &str) -> Run {
    let scenario = Scenario::new("test", "test.star", source).unwrap();
    run(&scenario, &BalancerSpec::named("l4-nat"), 7, &double::arm())
}

/// Plays a script, and checks that its expectations hold.
fn holds(source: &str) -> Run {
    let run = play(source);
    let said: Vec<String> = run.error().into_iter().chain(&run.failures).map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    run
}

fn error(source: &str) -> String {
    play(source).error().map(ToString::to_string).unwrap_or_default()
}

fn failures(source: &str) -> String {
    let run = play(source);
    assert_eq!(run.error(), None);
    run.failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

fn actions(run: &Run) -> Vec<Action> {
    run.trace.as_ref().unwrap().actions().cloned().collect()
}

#[test]
fn every_call_is_an_action_in_the_trace() {
    let run = holds(
        r#"
site(backends = 3, lockout = 5, latency_us = 100, jitter_us = 50, users = {"zoe": "Zoe-1"}, forbidden = ["zoe"])
alice = curl("alice")
mallory = browser("mallory", user = None)
alice.get("/")
p = alice.start("POST", "/upload", body = bytes_of(100000))
q = mallory.start("PUT", "/x", body = "text")
wait_all([p, q])
advance(1.5, ms = 250)
alice.disconnect()
crash("iis1")
restart("iis1")
hold("alice", "lb")
release("alice", "lb")
reset("lb", "iis1")
power_loss("iis2")
hang("iis3")
resume("iis3")
drain("iis3")
undrain("iis3")
bob = curl("bob", at = alice, port = 40000, cookies = True)
bob.get("/", headers = {"X-User": "CORP\\alice"})
bob.post("/", bytes_of(9), chunked = True, expect = False)
bob.start("PUT", "/", "x", limit_rate = 5)
bob.request("PUT", "/", "x", expect = True)
bob.switch_user("carol")
expect(bob.send_raw("GET / HTTP/1.1\r\n\r\n", patience_ms = 5).startswith("GET"))
"#,
    );
    let lines = actions(&run).iter().map(|action| serde_json::to_string(action).unwrap()).collect::<Vec<_>>();
    insta::assert_snapshot!(lines.join("\n"));
    let topology = &run.trace.unwrap().header.topology;
    assert_eq!(
        (topology.servers.len(), topology.domain.lockout_threshold, topology.link.jitter.as_micros()),
        (3, Some(5), 50)
    );
    assert!(topology.domain.users.iter().any(|user| user.name == "zoe" && user.forbidden));
}

#[test]
fn a_wait_for_checks_is_a_time_in_the_trace() {
    let run = holds("curl('alice').get('/')\nawait_checks('down', extra = 2, otherwise = 30)\nawait_checks('up')\n");
    let times = actions(&run).into_iter().filter_map(|action| match action {
        Action::Advance(time) => Some(time.as_secs()),
        _ => None,
    });
    // The balancer of this world declares no checks.
    assert_eq!(times.collect::<Vec<_>>(), [30, 60]);
}

#[test]
fn a_client_of_any_kind_is_added_by_the_name_of_its_user_agent() {
    let generic = holds("client('alice', kind = 'curl_negotiate', host = 'x.example', cookies = True).get('/')\n");
    let Action::AddClient(spec) = &actions(&generic)[0] else { panic!("a client comes first") };
    assert_eq!((spec.profile.agent, spec.profile.cookies), (Agent::CurlNegotiate, true));
    let (own, generic) = (holds("browser('alice').get('/')\n"), holds("client('alice', 'browser').get('/')\n"));
    assert_eq!(actions(&own), actions(&generic));
}

#[test]
fn every_kind_of_client_takes_the_same_options() {
    let options = "user = 'carol', at = first, port = 40000, host = 'x.example', cookies = False, patience = 7, keep_alive = 3, \
                   kerberos = False, delegates = True, clock_skew = -9, http2 = 'always', preconnects = True, \
                   close_after_first_401 = True, closes_with_proof = True";
    let spec = |call: &str| {
        let run = holds(&format!("first = curl('first', user = 'bob')\n{call}{options}).get('/')\n"));
        let Action::AddClient(spec) = &actions(&run)[1] else { panic!("{call}: a client comes second") };
        spec.clone()
    };
    let of = |agent| Profile { agent, ..spec("curl('alice', ").profile };
    for (function, agent) in
        [("curl", Agent::Curl), ("curl_negotiate", Agent::CurlNegotiate), ("browser", Agent::Browser)]
    {
        assert_eq!(spec(&format!("{function}('alice', ")), ClientSpec { profile: of(agent), ..spec("curl('alice', ") });
    }
    for (name, agent) in Agent::ALL {
        let by_name = spec(&format!("client('alice', '{name}', "));
        assert_eq!(by_name, ClientSpec { profile: of(*agent), ..spec("curl('alice', ") }, "{name}");
    }
    let chosen = spec("curl('alice', ");
    assert!(chosen.profile.preconnects && chosen.profile.closes_with_proof && !chosen.profile.cookies);
    assert_eq!((chosen.host.as_deref(), chosen.port, chosen.clock_skew), (Some("x.example"), Some(40_000), -9));
}

#[test]
fn a_site_may_have_other_servers_than_iis_and_a_second_balancer() {
    let run = holds(
        r#"
site(
    acceptor = tracked(header = "Jespa-Connection-Id", check = "address"),
    servers = {"iis2": rogue("half-body")},
    front = "shared-pool",
)
p = promises()
expect(p.checks == None and p.persistence == None and p.cookie == None and p.trusted_header == None)
curl("alice").get("/")
"#,
    );
    let topology = &run.trace.unwrap().header.topology;
    let acceptors: Vec<_> = topology.servers.iter().map(|server| &server.acceptor).collect();
    insta::assert_debug_snapshot!((acceptors, &topology.front));
}

#[test]
fn what_differs_at_one_server_is_said_beside_what_holds_for_all() {
    let run = holds(
        r#"
site(
    backends = 3, tls = "own", authentication = windows_authentication(single_request = True), connection_timeout = 90,
    anonymous = ["/public"], files = {"plan": ["alice"]},
    servers = {
        "iis2": windows_authentication(keep_alive = "never"),
        "iis3": server(providers = ["Negotiate"], iis = "iis6", certificate = "expired", clock_skew = -600, workgroup = True,
                       accounts = {"admin": "Admin-1"}, connection_timeout = 10, anonymous_methods = ["OPTIONS"]),
    },
)
curl("alice", patience = 300, keep_alive = 0.5).get("/")
configure("iis3", server(certificate = "own", accounts = {"admin": None, "root": "Root-1"}))
configure("iis3", rogue("closes"))
"#,
    );
    let trace = run.trace.as_ref().unwrap();
    let [one, two, three] = &trace.header.topology.servers[..] else { panic!("three servers") };
    assert!(
        one.site.single_request && !two.site.single_request,
        "a server's own authentication is in place of the site's"
    );
    assert_eq!((one.site.keep_alive, two.site.keep_alive), (KeepAlive::Always, KeepAlive::Never));
    assert!(two.site.files == one.site.files && !two.site.files.is_empty() && two.site.anonymous == one.site.anonymous);
    assert_eq!((two.site.connection_timeout.as_secs(), three.site.connection_timeout.as_secs()), (90, 10));
    assert_eq!(
        (&three.site.anonymous.paths[..], &three.site.anonymous.methods[..]),
        (&["/public".to_owned()][..], &["OPTIONS".to_owned()][..])
    );
    assert_eq!((three.certificate, three.clock_skew, three.workgroup), (CertificateSpec::Expired, -600, true));
    assert_eq!((&three.providers[..], three.version), (&[Provider::Negotiate][..], IisVersion::Iis6));
    let changes: Vec<_> = actions(&run)
        .into_iter()
        .filter_map(|action| if let Action::Configure(server) = action { Some(*server) } else { None })
        .collect();
    let [mended, rogue] = &changes[..] else { panic!("two changes") };
    assert_eq!((mended.certificate, mended.clock_skew), (CertificateSpec::Own, -600));
    assert_eq!(mended.accounts.iter().map(|user| &*user.name).collect::<Vec<_>>(), ["root"]);
    assert!(
        matches!(rogue.acceptor, Acceptor::Rogue(_)) && rogue.certificate == CertificateSpec::Own,
        "over what it has"
    );
    let Action::AddClient(spec) = &actions(&run)[0] else { panic!("a client comes first") };
    assert_eq!((spec.patience.unwrap().as_secs(), spec.keep_alive.unwrap().as_millis()), (300, 500));
}

#[test]
fn a_site_without_a_domain_has_accounts_of_its_servers() {
    let run = holds(
        r#"
site(workgroup = True, users = {"zoe": "Zoe-1"}, servers = {"iis2": server(accounts = {"alice": "Other-1", "bob": None})})
curl("alice").get("/")
curl("zoe", user = "IIS2\\zoe").get("/")
curl("two", user = "IIS2\\alice").get("/")
"#,
    );
    let servers = &run.trace.as_ref().unwrap().header.topology.servers;
    let password = |server: usize, name: &str| {
        servers[server].accounts.iter().find(|user| user.name == name).map(|user| user.password.clone())
    };
    assert_eq!((password(0, "alice"), password(1, "alice")), (Some("Alice-Pa55word".into()), Some("Other-1".into())));
    assert_eq!(
        (password(0, "bob").is_some(), password(1, "bob"), password(1, "zoe")),
        (true, None, Some("Zoe-1".into()))
    );
    let identities = actions(&run).into_iter().filter_map(|action| match action {
        Action::AddClient(spec) => spec.identity.map(|identity| (identity.principal.to_string(), identity.password)),
        _ => None,
    });
    let text = |who: &str, password: &str| (who.to_owned(), password.to_owned());
    assert_eq!(
        identities.collect::<Vec<_>>(),
        [text(r".\alice", "Alice-Pa55word"), text(r"IIS2\zoe", "Zoe-1"), text(r"IIS2\alice", "Other-1")]
    );
}

#[test]
fn what_a_server_or_a_timer_cannot_be_is_an_error() {
    for (source, said) in [
        ("site(servers = {'isi2': rogue('closes')})", "there is no server `isi2`; did you mean `iis2`?"),
        ("site()\nconfigure('ii2', server())", "there is no server `ii2`; did you mean `iis2`?"),
        ("site(servers = {'iis2': 'expired'})", "expected server(...), windows_authentication(...)"),
        ("site(servers = {'iis2': server(certificate = 'expired')})", "a server shows a certificate only over TLS"),
        ("site(tls = 'own', between = 'plain')", "between= is for two balancers, one behind the other, with TLS"),
        ("site(front = 'l4-nat', between = 'plain')", "between= is for two balancers, one behind the other, with TLS"),
        ("site(tls = 'own', front = 'l4-nat', between = 'own')", "there is no way of TLS `own`"),
        ("site(tls = 'own', servers = {'iis2': server(certificate = 'expird')})", "did you mean `expired`?"),
        ("site(max_request_bytes = 255)", "max_request_bytes is 255; it must be from 256 to 16777216"),
        ("server(max_field_length = 65535)", "max_field_length is 65535; it must be from 64 to 65534"),
        ("site(anonymous = ['public'])", "`public` is not the path of an anonymous part"),
        (
            "site(connection_timeout = 0)",
            "connection_timeout is 0; it must be from 0.001 (a millisecond) to 86400 seconds",
        ),
        ("site(connection_timeout = 0.0009)", "connection_timeout is 0.0009; it must be"),
        ("site(connection_timeout = -1)", "connection_timeout is -1; it must be"),
        ("curl('alice', patience = 0)", "patience is 0; it must be from 0.001 (a millisecond) to 3600 seconds"),
        ("browser('alice', keep_alive = 0)", "keep_alive is 0; it must be"),
        ("server(clock_skew = 1 << 60)", "clock_skew, either way is"),
        ("site(workgroup = True)\ncurl('nobody')", "there is no user `nobody`"),
    ] {
        let error = error(source);
        assert!(error.contains(said), "{source}: {error}");
    }
}

#[test]
fn an_answer_shows_its_headers_and_any_token_is_a_method() {
    holds(
        r#"
r = curl("alice").request("RPC_IN_DATA", "/")
r.expect(status = 200, method = "RPC_IN_DATA", headers = {"server": "Double", "set-cookie": "a=1, b=2"})
expect(r.headers.get("x-nothing") == None and r.headers["server"] == "Double")
"#,
    );
    assert!(
        error("curl('alice').request('A B', '/')\n")
            .contains("`A B` is not a valid method: use at most 32 letters, digits and")
    );
}

#[test]
fn an_answer_has_what_the_application_said() {
    holds(
        r#"
alice = curl("alice")
r = alice.post("/a?b=c", "text")
r.expect(status = 200, user = "CORP\\alice", backend = "iis1", connection = 1, number = 1, requests = 2, error = None,
         elapsed_ms = 1.0, method = "POST", path = "/a?b=c", length = 4, digest = "80a69b9688ccaf52", body_length = 0)
expect(alice.get().status == 200, "the path is / if unsaid")
expect(r.status == 200 and r.user == "CORP\\alice" and alice.name == "alice")
r.expect(status = [200, 304]).expect(status = 200)
mallory = browser("mallory", user = None)
mallory.get("/").expect(status = 401, user = None, backend = None, method = None, length = None)
wrong = curl("wrong", user = "bob", password = "no")
wrong.request("DELETE", "/").expect(status = 401)
curl("laptop", user = "CORP\\carol").get("/").expect(user = "CORP\\carol")
p = alice.start("GET", "/")
expect(p.wait().number == p.wait().number, "waiting twice gives the same answer")
print("done", r.status)
expect(str([alice, p, r, bytes_of(3)]) == "[<client alice>, <request r6>, <response to r1: 200>, bytes_of(3)]")
"#,
    );
}

#[test]
fn what_a_script_prints_is_kept() {
    assert_eq!(holds("a = curl('alice')\nprint('x', a.get('/').status)").printed, ["x 200"]);
}

#[test]
fn a_failed_expectation_shows_the_line_and_the_value_under_it_and_the_script_goes_on() {
    insta::assert_snapshot!(failures(
        r#"
alice = curl("alice")
r = alice.get("/")
r.expect(status = 401, user = "CORP\\alice", backend = ["iis2", "iis3"])
alice.get("/").expect(
    number = 3,
)
expect(r.status == 500, "the server fails")
expect(r.error)
crash("iis1")
alice.get("/").expect(status = 200)
"#
    ));
}

#[test]
fn a_function_of_the_script_may_expect_too() {
    let said = failures("def check(r):\n    r.expect(status = 200)\ncheck(curl('x', user = None).get('/'))\n");
    assert!(said.starts_with("test.star:2:14: expected status = 200"), "{said}");
}

#[test]
fn errors_show_file_line_column_and_the_line() {
    let sources = [
        "alice = curl('alice')\nalise.get('/')\n",
        "def later():\n    return nothing_like_it\ncurl('alice').get('/')\n",
        "curl('alice').get(5)\n",
        "curl('alice').gett('/')\n",
        "r = curl('alice').get('/')\nprint(r.stats)\n",
        "r = curl('alice').get('/')\nr.expect(stats = 200)\n",
        "curl('alice')\nsite(backends = 1)\n",
        "site()\nsite()\n",
        "site(backends = 0)\n",
        "site(backend = 1)\n",
        "site(iis = 'iis7')\n",
        "site(forbidden = ['alise'])\n",
        "curl('alise')\n",
        "curl('alice', user = None, password = 'x')\n",
        "curl('a b')\n",
        "client('alice', kind = 'brauser')\n",
        "curl('alice', pasword = 'x')\n",
        "browser('alice', patience = 'long')\n",
        "crowd(0)\n",
        "crowd(1000000000)\n",
        "crowd(1 << 70)\n",
        "crowd('six')\n",
        "crowd([])\n",
        "crowd(6, requests = 0)\n",
        "crowd(6, requests = 1667)\n",
        "crowd(6, think_ms = -1)\n",
        "crowd(6, think_ms = 3600001)\n",
        "crowd(6, path = 'x')\n",
        "crowd(6, kind = 'brauser')\n",
        "crowd(6, kind = crash)\n",
        "crowd(6, user = 'alice')\n",
        "crowd(6, usr = 'alice')\n",
        "crowd([curl('alice')], cookies = True)\n",
        "curl('alice')\ncrowd(21)\n",
        "await_checks('left')\n",
        "await_checks('up', extra = -1)\n",
        "curl('alice').get('x y')\n",
        "curl('alice').request('G T', '/')\n",
        "curl('alice').request('CONNECT', '/')\n",
        "curl('alice').get('/#top')\n",
        "alice = curl('alice')\nalice.get('/', headers = {'Connection': 'close'})\n",
        "curl('alice').start('GET', '/', headers = {'X': 'a\\r\\nb'})\n",
        "site(broken = 'a\\nb')\n",
        "site(broken = ' ')\n",
        "site(broken = 'x' * 201)\n",
        "curl('mallory', user = None).send_raw('')\n",
        "curl('alice').post('/', 7)\n",
        "curl('alice').post('/', 'x', limit_rate = 0)\n",
        "curl('alice').post('/', 'x', limit_rate = -1)\n",
        "curl('alice')\ncurl('alice')\n",
        "curl('alice')\ncrash('isi1')\n",
        "curl('alice')\nadvance(-1)\n",
        "wait_all([1])\n",
        "curl('alice'\n",
        "load('x.star', 'x')\n",
        "curl('alice')\nfail('no', 3)\n",
        "\n",
    ];
    insta::assert_snapshot!(sources.map(error).join("\n\n"));
}

#[test]
fn a_balancer_that_does_not_exist_is_named() {
    let scenario = Scenario::new("test", "test.star", "curl('alice')\n").unwrap();
    let run = run(&scenario, &BalancerSpec::named("no-such"), 7, &double::arm());
    let error = run.error().unwrap();
    assert_eq!(error.message, "there is no balancer called `no-such`; there are: l4-nat");
}

#[test]
fn an_error_keeps_the_trace_of_what_went_before() {
    let run = play("curl('alice').get('/')\nfail('here')\n");
    assert_eq!(actions(&run).len(), 3);
    assert!(run.error().is_some());
}

#[test]
fn a_mistake_keeps_what_was_printed_and_what_did_not_hold() {
    let run =
        play("a = curl('alice')\nprint(a.get('/').expect(status = 404).status)\na.get('/', headers = {'TE': 'x'})\n");
    let error = run.error().unwrap();
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!((run.printed.as_slice(), run.failures.len(), actions(&run).len()), (&["200".to_owned()][..], 1, 3));
}

#[test]
fn a_panic_of_the_interpreter_keeps_what_was_seen_and_printed() {
    let run = play("a = curl('alice')\nprint(a.get('/').status)\ndef f(n):\n    return list(range(n))\nf(1 << 30)\n");
    let error = run.error().unwrap();
    assert!(error.line == 4 && error.message.starts_with("cannot carry out this statement"), "{error}");
    assert_eq!((run.printed.as_slice(), actions(&run).len()), (&["200".to_owned()][..], 3));
}

#[test]
fn a_run_that_puts_nothing_to_the_test_is_skipped_unless_its_script_expects_something() {
    let bytes = "mallory = curl('mallory', user = None)\nanswer = mallory.send_raw('GET / HTTP/1.1\\r\\n\\r\\n')\n";
    let skipped =
        "nothing was put to the test: no requirement applies to the script's actions, and it has no expectations";
    assert_eq!(play(bytes).end, End::Skipped(skipped.into()));
    for expects in ["expect(answer)", "mallory.get('/').expect(status = 401)"] {
        assert_eq!(play(&format!("{bytes}{expects}\n")).end, End::Complete);
    }
    assert!(play("curl('mallory', user = None).get('/').expect()\n").error().is_none());
}

#[test]
fn a_site_may_be_declared_broken_and_its_trace_says_so() {
    let run = holds("site(broken = 'the name is registered twice')\ncurl('alice').get('/').expect(status = 200)\n");
    let header = run.trace.unwrap().header;
    assert_eq!(header.topology.broken.as_deref(), Some("the name is registered twice"));
    assert_eq!(holds("curl('alice').get('/').expect(status = 200)\n").trace.unwrap().header.topology.broken, None);
}

#[test]
fn the_same_script_and_seed_give_the_same_trace() {
    let source = "a = curl('alice')\nfor i in range(20):\n    a.get('/' + str(i))\n    advance(ms = i)\n";
    let (one, two) = (holds(source), holds(source));
    assert_eq!(one.trace.as_ref().unwrap().hash(), two.trace.as_ref().unwrap().hash());
    assert_eq!(one, two);
}

#[test]
fn what_the_arm_cannot_do_skips_the_run_and_is_no_error() {
    let run = play("alice = curl('alice')\nalice.get('/')\npower_loss('lb')\nalice.get('/')\n");
    assert_eq!(run.end, End::Skipped("there is no power to lose here".into()));
    assert_eq!((run.error(), run.as_expected()), (None, false));
    assert_eq!(actions(&run).len(), 3, "the trace holds what was performed");
}

#[test]
fn a_site_is_read_without_what_is_done_there() {
    let site = |source: &str| {
        let scenario = Scenario::new("test", "test.star", source).unwrap();
        stickler_scenarios::site(&scenario).map_err(|error| error.to_string())
    };
    let names = |source: &str| site(source).unwrap().servers.into_iter().map(|server| server.name).collect::<Vec<_>>();
    assert_eq!(names("site(backends = 3)").len(), 3, "nothing is done there at all");
    assert_eq!(
        names("alice = curl(\"alice\")\nalice.get(\"/\")\ncrash(\"nobody\")").len(),
        2,
        "the site is the usual one"
    );
    assert_eq!(names("site(backends = 1)\nprint(promises().checks)").len(), 1);
    assert_eq!(names("site(backends = 1)\nalice = curl(\"alice\")\nfail(\"never reached\")").len(), 1);
    let zoe = site("site(users = {\"zoe\": \"Zoe-1\"})\nstart_crowd(3)").unwrap().domain.users;
    assert!(zoe.iter().any(|user| user.name == "zoe"));
    assert!(site("site(backends = 0)").unwrap_err().contains("test.star:1"));
    assert!(site("sight()").unwrap_err().contains("sight"));
}

/// A run says what the lint says, whether or not the type of a value follows from the text.
#[test]
fn a_mistake_at_run_time_has_the_hint_of_the_lint() {
    for (source, told) in [
        ("alice = crul(\"alice\")\nalice.get(\"/\")", "there is no function or variable `crul`; did you mean `curl`?"),
        (
            "alice = curl(\"alice\")\nalice.gett(\"/\")",
            "has no method or attribute `gett`; did you mean `get`? It is `get(path",
        ),
        ("def f(m):\n    m.gett(\"/\")\nf(curl(\"alice\"))", "`gett`; did you mean `get`? It is `get(path"),
        ("def f(m):\n    m.frobnicate()\nf(curl(\"alice\"))", "there are: "),
        (
            "curl(\"alice\").get(\"/\", heders = {})",
            "`get` has no argument `heders`; did you mean `headers`? it is `get(",
        ),
        ("curl(\"alice\").post(\"/x\")", "`post` needs `body`; it is `post("),
    ] {
        let error = error(source);
        assert!(error.contains(told), "{source}:\n{error}");
        assert!(!error.contains("`True`"), "{error}");
    }
}
