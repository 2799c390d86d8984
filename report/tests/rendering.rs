//! Tests the output for users with snapshots of the table, the evidence and the transcript.

use std::time::Duration;

use stickler_model::action::CrowdSpec;
use stickler_model::event::{Credentials, Leg, Served};
use stickler_model::payload::Digest;
use stickler_model::topology::{DomainSpec, Provider};
use stickler_model::trace::Promises;
use stickler_model::{Action, BalancerSpec, Event, Header, Name, Principal, RequestId, Time, Topology, Trace, What};
use stickler_oracle::{Cited, Evidence, Failure, Grade, Party, Requirement, Verdict};
use stickler_report::matrix::{Matrix, Subject, Works};
use stickler_report::{pretty, transcript};
use stickler_runner::{End, Expected, Run, Source};

fn trace() -> Trace {
    let alice = Principal::new("CORP", "alice");
    let request = RequestId(2);
    let at = |micros| Time::default() + Duration::from_micros(micros);
    let event = |micros, by: &str, what| Event { at: at(micros), by: Name::from(by), what };
    Trace {
        header: Header {
            seed: 7,
            balancer: BalancerSpec::named("shared-pool"),
            topology: Topology {
                domain: DomainSpec {
                    netbios: "CORP".into(),
                    dns: "corp.example".into(),
                    users: Vec::new(),
                    lockout_threshold: None,
                    ..DomainSpec::default()
                },
                servers: Vec::new(),
                ..Topology::default()
            },
            promises: Promises::default(),
        },
        events: vec![
            event(
                0,
                "mallory",
                What::RequestStarted {
                    request,
                    identity: None,
                    credentials: Credentials::None,
                    preemptive: false,
                    method: "GET".into(),
                    path: "/".into(),
                    length: 0,
                    digest: Digest::EMPTY,
                },
            ),
            event(500, "mallory", What::ClientSent { connection: 1, request, leg: Leg::Anonymous, length: 0 }),
            event(
                1_000,
                "iis1",
                What::ServerAnswered {
                    connection: 1,
                    number: 3,
                    request: Some(request),
                    leg: Leg::Anonymous,
                    status: 200,
                    substatus: 0,
                    win32: 0,
                    user: Some(alice.clone()),
                    processed: true,
                    length: 0,
                    digest: Digest::EMPTY,
                },
            ),
            event(
                1_500,
                "mallory",
                What::ClientReceived {
                    connection: 1,
                    request,
                    echoed: Some(request),
                    status: 200,
                    challenge: false,
                    user: Some(alice),
                },
            ),
        ],
    }
}

/// Returns a run with this grade of ID-2. The expected grade is `violated` if `leaks` is set, and `ok` otherwise.
fn run(scenario: &str, balancer: &str, grade: Grade, leaks: bool) -> Run {
    let evidence = Evidence {
        fault: Party::Balancer,
        failure: Failure::WrongUser,
        about: vec![Cited::Request { client: "mallory".into(), id: RequestId(2) }],
        summary: "mallory's request r2 was processed as CORP\\alice".into(),
        events: vec![1, 2, 3],
    };
    let expected = if leaks { Grade::Violated } else { Grade::Ok };
    Run {
        source: Source { scenario: scenario.into(), path: scenario.into() },
        arm: "sim".into(),
        balancer: BalancerSpec::named(balancer),
        seed: 7,
        trace: Some(trace()),
        verdicts: vec![
            Verdict { requirement: Requirement::Hs1, grade: Grade::Ok, exercised: 1, evidence: Vec::new() },
            Verdict {
                requirement: Requirement::Id2,
                grade,
                exercised: 1,
                evidence: if grade == Grade::Violated { vec![evidence] } else { Vec::new() },
            },
        ],
        failures: Vec::new(),
        printed: Vec::new(),
        end: End::Complete,
        expected: Expected {
            grades: [(Requirement::Id2, vec![expected])].into(),
            script: None,
            reason: Some("the pool hands alice's connection to anyone".into()),
        },
    }
}

const REPLAY: &str = "stickler run anonymous --balancer shared-pool --seed 7";

/// Returns a run that was skipped because its arm does not support something.
fn skipped(scenario: &str, balancer: &str) -> Run {
    let end = End::Skipped("there is no process to crash".into());
    Run { trace: None, verdicts: Vec::new(), end, ..run(scenario, balancer, Grade::Ok, false) }
}

#[test]
fn the_table_shows_what_was_violated_and_marks_surprises() {
    let runs = [
        run("anonymous", "l4-nat", Grade::Ok, false),
        run("anonymous", "shared-pool", Grade::Violated, true),
        run("lone", "l4-nat", Grade::Violated, false),
        skipped("lone", "shared-pool"),
    ];
    insta::assert_snapshot!(format!(
        "{}{}",
        pretty::table(&runs, None, false),
        pretty::legend(&runs, None, false, &|_| REPLAY.into())
    ));
}

#[test]
fn the_evidence_is_a_short_transcript() {
    insta::assert_snapshot!(pretty::details(&run("anonymous", "shared-pool", Grade::Violated, true), REPLAY, false));
}

#[test]
fn what_is_somebody_elses_fault_is_told_apart_from_what_counts() {
    let mut run = run("anonymous", "shared-pool", Grade::Violated, true);
    let counted = run.verdicts[1].evidence[0].clone();
    let others = [Party::InjectedFault, Party::InjectedFault, Party::SiteSetUp];
    run.verdicts[0].evidence =
        others.map(|fault| Evidence { fault, summary: "r1 ended in 502".into(), ..counted.clone() }).to_vec();
    let text = pretty::details(&run, REPLAY, false);
    for line in [
        "not counted for HS-1, at fault: an injected fault (2 times): r1 ended in 502\n",
        "not counted for HS-1, at fault: the site's set-up: r1 ended in 502\n",
        "ID-2 violated: mallory's request r2 was processed as CORP\\alice\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("HS-1 violated"), "{text}");
}

#[test]
fn bytes_are_answered_and_requests_abandoned_in_a_line_each() {
    let line = |by: &str, what| transcript::line(&Event { at: Time::default(), by: Name::from(by), what });
    let served = Some(Served { server: "iis1".into(), connection: 3, number: 2 });
    let user = Some(Principal::new("CORP", "alice"));
    let told = line("mallory", What::RawAnswered { number: 1, status: 200, served, user });
    assert!(
        told.ends_with(r"receives 200 as answer 1 to its bytes, by iis1 as request 2 of its connection 3, CORP\alice"),
        "{told}"
    );
    let refused = line("mallory", What::RawAnswered { number: 2, status: 401, served: None, user: None });
    assert!(refused.ends_with("receives 401 as answer 2 to its bytes"), "{refused}");
    let (clients, path) = (vec!["alice".into(), "bob".into()], "/inbox".to_owned());
    let crowd = CrowdSpec { clients, first: RequestId(3), requests: 6, think: Duration::from_millis(20), path };
    let started = line("world", What::Action(Action::Crowd(crowd)));
    assert!(started.ends_with("2 clients start to ask for /inbox, 6 times each from r3 on, 20ms apart"), "{started}");
    let over = line("world", What::RequestAbandoned { request: RequestId(4) });
    assert!(over.ends_with("is over while r4 is under way"), "{over}");
}

#[test]
fn what_was_skipped_is_shown_and_counted() {
    let text = pretty::details(&skipped("lone", "l4-nat"), REPLAY, true);
    assert!(text.contains("skipped: there is no process to crash\n"), "{text}");
    let runs = [skipped("lone", "l4-nat"), run("lone", "l4-nat", Grade::Ok, false)];
    let count = pretty::count(&runs, None);
    assert_eq!(
        count,
        "\n2 runs, 1 as expected, 0 not as expected, 1 skipped\nskipped 1: there is no process to crash\n"
    );
}

#[test]
fn the_whole_transcript_marks_the_evidence() {
    insta::assert_snapshot!(transcript::whole(&trace(), &[1, 2, 3]));
}

#[test]
fn a_request_for_a_ticket_is_a_line() {
    let line = |client: Option<&str>, etype, error| {
        let client = client.map(|user| Principal::new("CORP", user));
        let what = What::DcTicket { client, service: "HTTP/www".into(), etype, error };
        transcript::line(&Event { at: Time::default(), by: Name::from("dc"), what })
    };
    assert!(
        line(Some("alice"), 18, 0).ends_with(r#"dc         ticket of CORP\alice for "HTTP/www": issued, etype 18"#)
    );
    assert!(line(None, 0, 7).ends_with(r#"ticket of nobody for "HTTP/www": KRB-ERROR 7"#));
}

#[test]
fn a_logon_that_another_dc_decided_is_a_line() {
    let account = Principal::new("PARTNER", "paula");
    let to = "PARTNER".to_owned();
    let what = What::DcPassedOn { server: Name::from("iis1"), logon: 1, account, to, passed: 1, status: 0xC000_018D };
    let line = transcript::line(&Event { at: Time::default(), by: Name::from("dc"), what });
    assert!(line.ends_with(r"dc         logon of PARTNER\paula at iis1: passed on to PARTNER, NTSTATUS C000018D"));
}

#[test]
fn the_json_document_is_complete() {
    let runs = [run("anonymous", "shared-pool", Grade::Violated, true), skipped("lone", "l4-nat")];
    let text = stickler_report::json::document(&runs, &|_| REPLAY.into(), true);
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(value["runs"][0]["verdicts"][1]["requirement"], "ID-2");
    assert_eq!(value["runs"][0]["verdicts"][1]["grade"], "violated");
    assert_eq!(value["runs"][0]["verdicts"][1]["transcript"][0].as_array().map(Vec::len), Some(3));
    assert_eq!(value["runs"][0]["transcript"].as_array().map(Vec::len), Some(4));
    assert_eq!((&value["runs"][0]["replay"], &value["runs"][0]["as_expected"]), (&REPLAY.into(), &true.into()));
    assert_eq!(value["runs"][1]["skipped"], "there is no process to crash");
    assert_eq!(value["requirements"].as_array().map(Vec::len), Some(Requirement::all().count()));
}

fn matrix() -> Matrix {
    let mut matrix = Matrix::default();
    let subject = |name: &str, config: &str| Subject { name: name.into(), product: "X".into(), config: config.into() };
    let runs = [
        (subject("kept", "a|b <default>"), run("anonymous", "kept", Grade::Ok, false)),
        (subject("leaky", "pool"), run("lone", "leaky", Grade::Ok, false)),
        (subject("leaky", "pool"), run("anonymous", "leaky", Grade::Violated, true)),
    ];
    for (subject, run) in runs {
        matrix.add(&subject, Provider::Ntlm, &run, REPLAY);
    }
    matrix
}

#[test]
fn a_matrix_cell_has_the_worst_grade_of_all_scenarios() {
    let matrix = matrix();
    let [kept, leaky] = matrix.rows() else { panic!("two balancers") };
    assert_eq!((kept.logons(Provider::Ntlm).works, kept.mixes_up_users(), kept.scenarios), (Works::Yes, false, 1));
    assert_eq!((leaky.logons(Provider::Ntlm).works, leaky.mixes_up_users(), leaky.scenarios), (Works::Yes, true, 2));
    let cell = &leaky.cells[&Requirement::Id2];
    assert_eq!((cell.grade, &cell.kept[..], cell.broken.len()), (Some(Grade::Violated), &["lone".to_owned()][..], 1));
    insta::assert_snapshot!("matrix_text", matrix.text(false));
    insta::assert_snapshot!("matrix_markdown", matrix.markdown());
    let json: serde_json::Value = serde_json::from_str(&matrix.json()).expect("it is JSON");
    assert_eq!(json["rows"][1]["cells"]["ID-2"]["broken"][0]["scenario"], "anonymous");
}

#[test]
fn a_ticket_is_told_with_its_user_its_service_and_why_it_was_refused() {
    let told = |client: Option<&str>, error| {
        let client = client.map(|user| Principal::new("CORP", user));
        let service = "HTTP/www.corp.example".into();
        let what = What::ServerTicket { connection: 1, request: Some(RequestId(2)), client, service, error };
        let line = transcript::line(&Event { at: Time::default(), by: "iis1".into(), what });
        line.split_once("iis1").unwrap().1.trim_start().to_owned()
    };
    let of = |who: &str| format!("connection 1: ticket of {who} for \"HTTP/www.corp.example\" with r2: ");
    assert_eq!(told(Some("alice"), 0), of("CORP\\alice") + "accepted");
    assert_eq!(told(None, 41), of("somebody") + "refused with Kerberos error 41");
    assert_eq!(told(None, 0x8009_0346), of("somebody") + "refused with 80090346");
}

#[test]
fn a_transcript_names_the_kind_of_a_client_as_scripts_do() {
    use stickler_model::agent::Agent;
    use stickler_model::{Action, ClientSpec, Profile};
    for (name, agent) in Agent::ALL {
        let spec = ClientSpec::new("alice".into(), Profile::of(*agent), None);
        let what = What::Action(Action::AddClient(spec));
        let line = transcript::line(&Event { at: Time(0), by: "world".into(), what });
        assert!(line.ends_with(&format!("add client alice ({name}) with the credentials of anonymous")), "{line}");
    }
}
