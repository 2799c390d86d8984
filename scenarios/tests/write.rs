//! A script that is written from a plan asks for exactly that plan.

mod double;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use stickler_catalogue::names;
use stickler_hunt::generate;
use stickler_model::action::{CheckChange, CheckWait, CrowdSpec, TokenId};
use stickler_model::agent::Agent;
use stickler_model::topology::{CertificateSpec, FileSpec, Http2, KeepAlive, Provider, TlsSpec};
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Fault, Payload, Piece, Plan, Profile, RawSpec, RequestId, RequestSpec, Topology,
    standard,
};
use stickler_oracle::Requirement::Id1;
use stickler_runner::{Arm, Ending, Run, Source};
use stickler_scenarios::{
    Finding, Scenario, Story, Unwritable, canonical, named_after_users, run, shipped, write_script,
};
use stickler_sim::SimArm;

fn story(title: &str) -> Story {
    Story { title: title.to_owned(), ..Story::default() }
}

fn written(plan: &Plan, story: &Story) -> Scenario {
    let script = write_script(plan, story).unwrap_or_else(|error| panic!("{error}\n{plan:#?}"));
    Scenario::new("written", "written.star", &script).unwrap()
}

/// Returns the plan that a script asks for over an arm. The script performs every step.
fn read(scenario: &Scenario, plan: &Plan, arm: Arc<dyn Arm>) -> Plan {
    let (arm, recorded) = recorder::over(arm);
    let run = run(scenario, &plan.balancer, plan.seed, &arm);
    if let Some(error) = run.error() {
        panic!("{error}\n{}", scenario.source());
    }
    recorded.lock().unwrap().take().unwrap_or_else(|| panic!("no plan: {}", scenario.source()))
}

/// Compares the plans by their text in a run file, since names of users are equal regardless of case.
fn assert_same(plan: &Plan, arm: Arc<dyn Arm>) {
    let scenario = written(plan, &story("A plan."));
    let (read, plan) = (read(&scenario, plan, arm), canonical(plan));
    let json = |plan: &Plan| serde_json::to_string(plan).unwrap();
    assert_eq!(json(&read), json(&plan), "{}", scenario.source());
}

#[test]
fn a_drawn_plan_is_what_its_script_asks_for() {
    for seed in 0..300 {
        let plan = generate(seed, BalancerSpec::named("l4-nat"));
        assert_same(&plan, Arc::new(SimArm));
    }
}

#[test]
fn the_plan_of_a_shipped_scenario_is_what_its_script_asks_for() {
    for case in shipped(&names()).unwrap() {
        if let Some(plan) = case.plan().unwrap() {
            assert_same(&Plan { balancer: BalancerSpec::named("l4-nat"), ..plan }, Arc::new(SimArm));
        }
    }
}

/// Returns the first plan in which a request is processed as somebody else, with the proof.
fn leak(balancer: &str) -> (Plan, Finding) {
    let found = (0..200).find_map(|seed| {
        let plan = named_after_users(&canonical(&generate(seed, BalancerSpec::named(balancer))));
        let run = Run::of_plan(&plan, Source::default(), &SimArm);
        let verdict = run.verdicts.iter().find(|verdict| verdict.requirement == Id1)?;
        let evidence = verdict.against_balancer().next()?.clone();
        Some((plan, Finding { requirement: Id1, evidence }))
    });
    found.expect("two hundred plans show a leak")
}

#[test]
fn the_script_of_a_finding_fails_in_the_same_way() {
    for balancer in ["shared-pool", "pin-on-authorization+B1"] {
        let (plan, finding) = leak(balancer);
        let story = Story::of_finding(&plan, finding.clone());
        let scenario = written(&plan, &story);
        let arm: Arc<dyn Arm> = Arc::new(SimArm);
        let run = run(&scenario, &plan.balancer, plan.seed, &arm);
        assert!(matches!(run.ending(), Ending::NotAsExpected(_)), "{:?}", run.ending());
        let verdict = run.verdicts.iter().find(|verdict| verdict.requirement == finding.requirement).unwrap();
        assert_eq!(verdict.against_balancer().next(), Some(&finding.evidence), "{}", scenario.source());
        assert!(!run.failures.is_empty(), "the script expects what does not hold:\n{}", scenario.source());
        // Over a balancer that keeps users apart, every expectation holds.
        let sound = stickler_scenarios::run(&scenario, &BalancerSpec::named("l4-nat"), plan.seed, &arm);
        assert_eq!((sound.ending(), sound.failures), (Ending::AsExpected, Vec::new()), "{}", scenario.source());
    }
}

fn plan(topology: Topology, steps: Vec<Action>) -> Plan {
    Plan { seed: 1, balancer: BalancerSpec::named("shared-pool"), topology, steps }
}

fn client(name: &str, agent: Agent) -> Action {
    Action::AddClient(ClientSpec::new(name.into(), Profile::of(agent), Some(standard::identity(name))))
}

fn nobody(name: &str) -> Action {
    Action::AddClient(ClientSpec::new(name.into(), Profile::CURL, None))
}

fn start(id: u32, client: &str, path: &str) -> Action {
    Action::Start { id: RequestId(id), request: RequestSpec::new(client.into(), "GET", path) }
}

fn wait(id: u32) -> Action {
    Action::Await(RequestId(id))
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn ms(milliseconds: f64) -> Action {
    Action::Advance(Duration::from_secs_f64(milliseconds / 1_000.0))
}

/// Writes a plan as a script that shows the plan's failure over its balancer, after checking that the script asks for
/// the plan.
fn script(plan: &Plan) -> String {
    assert_same(plan, Arc::new(SimArm));
    let plan = canonical(plan);
    let run = Run::of_plan(&plan, Source::default(), &SimArm);
    assert_eq!(run.error(), None);
    let violated = run.verdicts.iter().find_map(|verdict| {
        let evidence = verdict.against_balancer().next()?.clone();
        Some(Finding { requirement: verdict.requirement, evidence })
    });
    let story = violated.map_or_else(|| story("Nothing is wrong."), |finding| Story::of_finding(&plan, finding));
    write_script(&plan, &story).unwrap()
}

fn kerberos(backends: u32) -> Topology {
    let mut topology = standard::site(backends);
    standard::accept_tickets(&mut topology, &[Provider::Negotiate]);
    topology
}

#[test]
fn a_leak_over_a_shared_pool() {
    let steps = vec![
        client("alice", Agent::Curl),
        nobody("mallory"),
        start(9, "alice", "/inbox"),
        wait(9),
        start(4, "mallory", "/inbox"),
        wait(4),
        Action::Disconnect("alice".into()),
        ms(50.0),
        client("bob", Agent::Browser),
        start(5, "bob", "/inbox"),
        wait(5),
    ];
    insta::assert_snapshot!(script(&plan(standard::site(1), steps)));
}

#[test]
fn a_pipeline_behind_a_ticket() {
    let head = "HTTP/1.1\r\nHost: www.corp.example\r\n";
    let bytes = vec![
        text(&format!("GET /echo/1 {head}Authorization: ")),
        Piece::Token(TokenId(7)),
        text("\r\n\r\n"),
        text(&format!("GET /echo/2 {head}\r\nGET /echo/3 {head}Connection: close\r\n\r\n")),
    ];
    let steps = vec![
        client("alice", Agent::Browser),
        client("bob", Agent::Browser),
        Action::MakeToken { id: TokenId(7), client: "alice".into() },
        Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience: Duration::from_secs(2) }),
        start(1, "bob", "/inbox"),
        wait(1),
    ];
    insta::assert_snapshot!(script(&plan(kerberos(1), steps)));
}

#[test]
fn a_crash_in_the_middle_of_a_handshake() {
    let mut post = RequestSpec::new("bob".into(), "POST", "/orders?item=1&note='%C3%A4'");
    post.body = Payload::Bytes(20_000);
    post.headers = vec![("X-Note".into(), "a \"quoted\" \\ note".into())];
    let steps = vec![
        client("alice", Agent::Browser),
        client("bob", Agent::CurlAnyauth),
        start(1, "alice", "/log-in"),
        Action::Start { id: RequestId(2), request: post },
        ms(0.75),
        Action::Fault(Fault::Crash("iis1".into())),
        wait(1),
        wait(2),
        Action::Fault(Fault::Restart("iis1".into())),
        Action::AwaitChecks(CheckWait {
            change: CheckChange::Up,
            extra: Duration::from_secs(1),
            otherwise: Duration::from_mins(1),
        }),
        start(3, "alice", "/again"),
        wait(3),
    ];
    insta::assert_snapshot!(script(&plan(standard::site(2), steps)));
}

#[test]
fn packets_are_held_and_released_while_another_user_takes_the_seat() {
    let steps = vec![
        client("seat-1", Agent::Browser),
        client("crash", Agent::Curl),
        Action::Fault(Fault::Hold("lb".into(), "iis1".into())),
        start(1, "seat-1", "/one"),
        ms(0.001),
        Action::SwitchUser("seat-1".into(), standard::identity("dave")),
        start(2, "crash", "/two"),
        Action::Fault(Fault::Release("lb".into(), "iis1".into())),
        wait(2),
        wait(1),
        Action::Advance(Duration::from_micros(119_999_500)),
        Action::Drain("iis2".into()),
        start(3, "seat-1", "/three"),
        wait(3),
        Action::Undrain("iis2".into()),
    ];
    let mut topology = standard::site(2);
    topology.domain.users.extend(["seat-1", "crash"].map(|name| standard::account(name.into())));
    topology.link.jitter = Duration::from_micros(200);
    insta::assert_snapshot!(script(&plan(topology, steps)));
}

#[test]
fn servers_that_are_set_up_differently_and_one_anew() {
    let mut topology = kerberos(3);
    topology.tls = Some(TlsSpec { http2: true, ..TlsSpec::default() });
    topology.servers[1].site.persist_non_ntlm = false;
    topology.servers[2].clock_skew = -240;
    topology.servers[2].site.connection_timeout = Duration::from_millis(1_500);
    topology.servers[2].providers = vec![Provider::Negotiate, Provider::Ntlm];
    let mut anew = topology.servers[0].clone();
    anew.site.keep_alive = KeepAlive::ClosedByFailure;
    anew.certificate = CertificateSpec::Own;
    let alice = ClientSpec { http2: Http2::UntilChallenged, port: Some(40_000), ..curl("alice", "alice") };
    let other = ClientSpec { at: Some("alice".into()), no_kerberos: true, ..curl("other", "alice") };
    let steps = vec![
        Action::AddClient(alice),
        Action::AddClient(other),
        crowd(1, &["alice", "other"]),
        Action::Configure(Box::new(anew)),
        wait(1),
        wait(2),
        wait(3),
        wait(4),
    ];
    insta::assert_snapshot!(script(&plan(topology, steps)));
}

fn curl(name: &str, user: &str) -> ClientSpec {
    ClientSpec::new(name.into(), Profile::CURL, Some(standard::identity(user)))
}

/// Returns a crowd in which each client sends two requests.
fn crowd(first: u32, clients: &[&str]) -> Action {
    let clients = clients.iter().map(|&name| name.into()).collect();
    let think = Duration::from_millis(20);
    Action::Crowd(CrowdSpec { clients, first: RequestId(first), requests: 2, think, path: "/inbox".into() })
}

#[test]
fn crowds_are_waited_for_as_they_are() {
    let numbered = || ["user01", "user02", "user03"].map(|name| client(name, Agent::Browser)).to_vec();
    let members = crowd(5, &["user01", "user02", "user03"]);
    let in_turns = [5, 7, 9, 6, 8, 10].map(wait).to_vec();
    let in_order = [5, 6, 7, 8, 9, 10].map(wait).to_vec();
    let written = |steps: Vec<Vec<Action>>| {
        let plan = plan(standard::site(2), steps.concat());
        assert_same(&plan, double::arm());
        let script = write_script(&plan, &Story::default()).unwrap();
        script.split_once("site(backends = 2)\n\n").unwrap().1.to_owned()
    };
    let whole = "crowd(3, kind = \"browser\", requests = 2, think_ms = 20, path = \"/inbox\")";
    assert_eq!(written(vec![numbered(), vec![members.clone()], in_turns.clone()]), format!("{whole}\n"));
    let loops = "for member in members:\n    for request in member.requests:\n        request.wait()\n";
    let started = format!("members = start_{whole}\n");
    assert_eq!(written(vec![numbered(), vec![members.clone()], in_order.clone()]), format!("{started}{loops}"));
    let later = [start(2, "user02", "/"), wait(2)];
    assert_eq!(
        written(vec![numbered(), vec![members.clone()], in_turns.clone(), later.to_vec()]),
        format!("members = {whole}\nmembers[1].client.get(\"/\")\n")
    );
    assert_eq!(
        written(vec![numbered(), vec![members.clone(), wait(6), wait(5)]]),
        format!("{started}wait_all([members[0].requests[1], members[0].requests[0]])\n")
    );
    // Another request is awaited first, and then the whole crowd.
    let other =
        [vec![client("bob", Agent::Curl), start(1, "bob", "/"), ms(1.0)], numbered(), vec![members.clone(), wait(1)]];
    assert_eq!(
        written([other.to_vec(), vec![in_order]].concat()),
        format!("bob = curl(\"bob\")\n\np = bob.start(\"GET\", \"/\")\nadvance(ms = 1)\n\n{started}p.wait()\n{loops}")
    );
    // A client that differs has a line of its own.
    let mut apart = numbered();
    apart[1] = client("user02", Agent::Wget);
    let apart = written(vec![apart, vec![members], in_turns]);
    assert!(
        apart.contains("user02 = client(\"user02\", \"wget\")\n")
            && apart.contains("\ncrowd([user01, user02, user03], ")
    );
}

#[test]
fn variables_have_names_that_a_script_can_use() {
    let names = ["crash", "for", "7", "_", "a-b", "a_b", "p", "token", "print", "1-", "member", "--"];
    let mut steps: Vec<Action> = names.iter().map(|name| nobody(name)).collect();
    steps.extend((1..).zip(names).map(|(id, name)| start(id, name, "/")));
    steps.extend((1..).zip(names).map(|(id, _)| wait(id)));
    assert_same(&plan(standard::site(2), steps), double::arm());
}

#[test]
fn a_plan_with_clients_called_by_their_users_is_the_same_otherwise() {
    let anybody = |name: &str, user: Option<&str>| {
        let identity = user.map(standard::identity);
        Action::AddClient(ClientSpec::new(name.into(), Profile::CURL, identity))
    };
    let at = ClientSpec { at: Some("client1".into()), ..curl("client3", "alice") };
    let steps = |names: [&str; 5]| {
        let [one, two, three, four, five] = names;
        let at = ClientSpec { name: three.into(), at: Some(one.into()), ..at.clone() };
        vec![
            anybody(one, Some("alice")),
            anybody(two, None),
            Action::AddClient(at),
            anybody(four, Some("iis1")),
            anybody(five, Some("no name")),
            crowd(1, &[one, two]),
            Action::SwitchUser(three.into(), standard::identity("bob")),
            Action::Disconnect(four.into()),
            Action::Fault(Fault::Hold(one.into(), "lb".into())),
            Action::Fault(Fault::Crash("iis1".into())),
            Action::MakeToken { id: TokenId(1), client: five.into() },
            Action::SendRaw(RawSpec::new(two.into(), "x", Duration::ZERO)),
            start(9, four, "/"),
        ]
    };
    let before = plan(standard::site(2), steps(["client1", "client2", "client3", "client4", "client5"]));
    let after = plan(standard::site(2), steps(["alice", "mallory", "alice2", "iis12", "client5"]));
    assert_eq!(named_after_users(&before), after);
    assert_eq!(named_after_users(&after), after);
}

/// Returns the reason why a plan cannot be written.
fn unwritable(topology: Topology, steps: Vec<Action>) -> Unwritable {
    let mut all = vec![client("alice", Agent::Curl), start(1, "alice", "/")];
    all.extend(steps);
    write_script(&plan(topology, all), &Story::default()).expect_err("no script says that")
}

#[test]
fn what_scripts_cannot_say_is_named_with_its_step() {
    let step = |action: Action| match unwritable(standard::site(2), vec![wait(1), action]) {
        Unwritable::Step { step: 3, why } => why,
        other => panic!("{other:?}"),
    };
    let raw = |bytes: Vec<Piece>, patience| Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience });
    let second = Duration::from_secs(1);
    assert_eq!(step(raw(vec![Piece::Bytes(vec![0xff])], second)), "the bytes are not text in UTF-8");
    let fine = Duration::from_micros(1_500);
    assert_eq!(step(raw(vec![text("x")], fine)), "the time is not a whole number of milliseconds");
    let low = ClientSpec { port: Some(80), ..curl("bob", "bob") };
    assert_eq!(step(Action::AddClient(low)), "a client connects from a port of 1024 or above");
    let long = Duration::from_hours(24 * 300) + Duration::from_nanos(1);
    assert_eq!(step(Action::Advance(long)), "the time is too long to be exact to a nanosecond");
    let headers = vec![("X-A".to_owned(), "1".to_owned()), ("X-A".to_owned(), "2".to_owned())];
    let request = RequestSpec { headers, ..RequestSpec::new("alice".into(), "GET", "/") };
    assert_eq!(
        step(Action::Start { id: RequestId(2), request }),
        "a name occurs twice, but a dictionary has each key only once"
    );
    let mut iis = standard::server("iis1".into());
    iis.site.files.push(FileSpec { name: "x".into(), readers: Vec::new() });
    assert_eq!(step(Action::Configure(Box::new(iis))), "server() cannot express this set-up of the server");
    assert_eq!(step(Action::Configure(Box::new(standard::server("iis9".into())))), "the site has no such server");
}

#[test]
fn a_site_that_scripts_cannot_describe_is_not_written() {
    let site = |change: fn(&mut Topology)| {
        let mut topology = standard::site(2);
        change(&mut topology);
        match unwritable(topology, Vec::new()) {
            Unwritable::Site(why) => why,
            other => panic!("{other:?}"),
        }
    };
    let made = "site() cannot produce it from the standard site";
    assert_eq!(site(|topology| topology.domain.netbios = "OTHER".into()), made);
    assert_eq!(site(|topology| topology.domain.users.truncate(3)), made);
    assert_eq!(site(|topology| topology.servers[1].name = "web".into()), made);
    assert_eq!(site(|topology| topology.monitor = None), made);
    assert_eq!(
        site(|topology| topology.domain.lockout_threshold = Some(1_000)),
        "accounts are locked out after 1 to 999 failed logons, or never"
    );
    assert_eq!(
        site(|topology| topology.link.jitter = Duration::from_nanos(1)),
        "a link's time is not a whole number of microseconds"
    );
    assert_eq!(
        site(|topology| topology.broken = Some("\n".into())),
        "the reason why the site is broken is not one line of at most 200 characters"
    );
    assert_eq!(
        site(|topology| topology.servers[0].site.protection.flags = 64),
        "a flag of extended protection has no name"
    );
}

#[test]
fn a_plan_that_makes_no_sense_or_asks_for_nothing_or_too_much_is_not_written() {
    let nothing = plan(standard::site(2), vec![client("alice", Agent::Curl)]);
    assert_eq!(write_script(&nothing, &Story::default()), Err(Unwritable::AsksNothing));
    assert!(matches!(unwritable(standard::site(2), vec![wait(7)]), Unwritable::Plan(_)));
    let lines = (0..5_000).map(|_| Action::Disconnect("alice".into())).collect();
    assert!(matches!(unwritable(standard::site(2), lines), Unwritable::TooLong(_)));
    let steps = (0..100_000 - 2).map(|_| ms(1.0)).collect();
    assert!(matches!(unwritable(standard::site(2), steps), Unwritable::TooLong(_)));
}

/// A repeated part of a long text is written only once.
#[test]
fn a_flood_of_fields_is_short() {
    let flood = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Flood: 1\r\n".repeat(5_000));
    let steps = vec![nobody("mallory"), Action::SendRaw(RawSpec::new("mallory".into(), flood, Duration::from_secs(1)))];
    let plan = plan(standard::site(2), steps);
    assert_same(&plan, double::arm());
    let script = write_script(&plan, &Story::default()).unwrap();
    assert!(
        script.ends_with("mallory.send_raw(\"GET / HTTP/1.1\\r\\n\" + \"X-Flood: 1\\r\\n\" * 5000 + \"\\r\\n\")\n"),
        "{script}"
    );
}

#[test]
fn a_docstring_holds_whatever_is_told() {
    let plan = plan(standard::site(2), vec![client("alice", Agent::Curl), start(1, "alice", "/"), wait(1)]);
    for told in [
        "\"",
        "\"\"\"",
        "\\",
        "a\\\"\"\" b\"",
        "CORP\\alice \u{1b}[31m\0",
        "\u{202e}",
        "",
        "ends with \\\"",
        "\"\"\"\"\"",
    ] {
        for text in ["", told] {
            let story = Story { title: told.to_owned(), text: text.to_owned(), finding: None };
            let scenario = written(&plan, &story);
            read(&scenario, &plan, double::arm());
            assert!(!scenario.title().is_empty() && !scenario.source().contains(['\u{1b}', '\0', '\u{202e}']));
        }
    }
}
