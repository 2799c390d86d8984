//! Tests the escaping of text from peers and scripts. No output contains a character that controls a terminal, breaks
//! the markup of a page or misleads a reader, and no text can imitate a line of the report.

use proptest::prelude::*;
use stickler_model::event::{Credentials, Decided, Leg, What};
use stickler_model::payload::Digest;
use stickler_model::topology::Provider;
use stickler_model::trace::Promises;
use stickler_model::{
    Action, BalancerSpec, ClientSpec, Event, Header, Identity, Name, Principal, Profile, RequestId, RequestSpec, Time,
    Topology, Trace,
};
use stickler_oracle::{Evidence, Failure, Grade, Party, Requirement, Verdict};
use stickler_report::diagram::{Diagram, Focus};
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::page::{About, Grades, Problem};
use stickler_report::{json, pretty, transcript};
use stickler_runner::{Diagnostic, End, Expected, Run, Source};

/// Characters, besides controls, that no output may contain unescaped: those that change the direction of writing,
/// those without a width, line separators and tags.
const NASTY: [char; 19] = [
    '\u{200b}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{61c}',
    '\u{feff}',
    '\u{fff9}',
    '\u{ad}',
    '\u{e0041}',
];

/// Pieces of text that have caused harm: terminal sequences, truncation, markup, and text that looks escaped or quoted
/// already.
const BITES: [&str; 9] =
    ["\u{1b}]0;title\u{7}", "\0", "\u{9b}2J", "\r\n", "<script>", "\"&'", "CORP\\alice", "\\u{1b}", "\u{7f}"];

/// Returns evidence with a harmful summary.
fn evidence(summary: String, events: Vec<usize>) -> Evidence {
    Evidence { fault: Party::Balancer, failure: Failure::WrongUser, about: Vec::new(), summary, events }
}

fn harm() -> impl Strategy<Value = String> {
    let bite = prop_oneof![
        prop::sample::select(&NASTY[..]).prop_map(String::from),
        prop::sample::select(&BITES[..]).prop_map(String::from),
        (0_u32..0xA0).prop_map(|code| char::from_u32(code).unwrap_or(' ').to_string()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(bite, 1..12).prop_map(|bites| bites.concat())
}

fn is_harmless(c: char) -> bool {
    !c.is_control() && !NASTY.contains(&c)
}

/// Returns an event of each kind that contains text, with this text in every place.
fn events(text: &str) -> Vec<Event> {
    let (request, connection, number) = (RequestId(1), 1, 1);
    let name = || Name::from(text);
    let user = || Principal::new(text, text);
    let value = || text.to_owned();
    let identity = || Identity { principal: user(), password: value() };
    let seen = vec![
        What::Action(Action::AddClient(ClientSpec::new(name(), Profile::BROWSER, Some(identity())))),
        What::Action(Action::Start { id: request, request: RequestSpec::new(name(), text, text) }),
        What::Action(Action::SwitchUser(name(), identity())),
        What::Action(Action::Drain(name())),
        What::RequestStarted {
            request,
            identity: Some(user()),
            credentials: Credentials::Valid,
            preemptive: false,
            method: value(),
            path: value(),
            length: 0,
            digest: Digest::EMPTY,
        },
        What::ClientReceived { connection, request, echoed: None, status: 200, challenge: false, user: Some(user()) },
        What::CookieReceived { connection, request, value: value() },
        What::CookieSent { connection, request, value: value() },
        What::ClientClaimed { connection, request, value: value() },
        What::RequestEnded { request, status: None, error: Some(value()) },
        What::ServerTrusted { connection, number, request: None, value: value() },
        What::ServerLogon { connection, request: None, logon: 1, account: user(), status: 1 },
        What::ServerTicket { connection, request: None, client: Some(user()), service: value(), error: 0 },
        What::ServerAnswered {
            connection,
            number,
            request: None,
            leg: Leg::Anonymous,
            status: 200,
            substatus: 0,
            win32: 0,
            user: Some(user()),
            processed: true,
            length: 0,
            digest: Digest::EMPTY,
        },
        What::DcLogon { server: name(), logon: 1, account: user(), status: 1, bad_count: 0 },
        What::DcPassedOn { server: name(), logon: 1, account: user(), to: value(), passed: 1, status: 0 },
        What::DcTicket { client: Some(user()), service: value(), etype: 18, error: 0 },
        What::Decision { downstream: 1, upstream: None, backend: Some(name()), request: None, decision: Decided::Open },
    ];
    seen.into_iter().map(|what| Event { at: Time::default(), by: name(), what }).collect()
}

/// Returns a run that contains this text in every place.
fn run(text: &str) -> Run {
    let value = || text.to_owned();
    let events = events(text);
    let evidence = evidence(value(), (0..events.len()).collect());
    let graded = |requirement| Verdict {
        requirement,
        grade: Grade::Violated,
        exercised: 2,
        evidence: vec![evidence.clone(), evidence.clone()],
    };
    let balancer = BalancerSpec::Foreign(value());
    let header =
        Header { seed: 7, balancer: balancer.clone(), topology: Topology::default(), promises: Promises::default() };
    Run {
        source: Source { scenario: value(), path: value() },
        arm: "sim".into(),
        balancer,
        seed: 7,
        trace: Some(Trace { header, events }),
        verdicts: vec![graded(Requirement::Id1), graded(Requirement::Hs1)],
        failures: vec![Diagnostic::new(text, text, 0..text.len(), value(), Some(value()))],
        printed: vec![value()],
        end: End::Complete,
        expected: Expected { reason: Some(value()), ..Expected::default() },
    }
}

/// Returns two such runs that ended early: one that was skipped, and one that failed.
fn ended(text: &str) -> [Run; 2] {
    let wrong = Diagnostic::new(text, text, 0..1, text.to_owned(), None);
    [End::Skipped(text.to_owned()), End::Failed(Box::new(wrong))].map(|end| Run { end, ..run(text) })
}

fn matrix(text: &str) -> Matrix {
    let subject = Subject { name: text.to_owned(), product: text.to_owned(), config: text.to_owned() };
    let mut matrix = Matrix::default();
    matrix.add(&subject, Provider::Ntlm, &run(text), text);
    matrix
}

/// Returns the page of a matrix that contains this text in every place.
fn html(text: &str) -> String {
    let about = About { title: text.to_owned(), place: text, again: &|_| text.to_owned() };
    let mut page = matrix(text).page(&about);
    let value = || text.to_owned();
    page.notes = vec![value()];
    page.problems = vec![Problem { what: value(), place: value(), text: value(), replay: value() }];
    for finding in &mut page.findings {
        finding.reason = Some(value());
    }
    let earlier =
        format!(r#"{{"rows": [{{"name": {}, "cells": {{"ID-1": {{"grade": "ok"}}}}}}]}}"#, serde_json::json!(text));
    let earlier = Grades::parse(&earlier).expect("it is a report");
    page.since(&earlier, &Grades::of_matrix(&matrix(text))).render()
}

/// Returns the characters that must not occur in a text of several lines.
fn harmful(text: &str) -> Vec<char> {
    text.chars().filter(|&c| c != '\n' && !is_harmless(c)).collect()
}

proptest! {
    #[test]
    fn a_line_of_a_transcript_is_one_harmless_line(text in harm()) {
        for event in events(&text) {
            let line = transcript::line(&event);
            prop_assert!(line.chars().all(is_harmless), "{line:?}");
        }
        let evidence = evidence(text.clone(), vec![0, 1]);
        let shown = transcript::evidence(run(&text).trace.as_ref().unwrap(), &evidence);
        prop_assert_eq!(shown.lines().count(), 3, "{:?}", shown);
    }

    #[test]
    fn text_is_harmless(text in harm()) {
        let runs = [vec![run(&text)], ended(&text).to_vec()].concat();
        let details: String = runs.iter().map(|run| pretty::details(run, &text, true)).collect();
        let all = [details, pretty::table(&runs, None, false), pretty::legend(&runs, None, false, &|_| text.clone()), matrix(&text).text(false)].concat();
        let all = all + &matrix(&text).markdown();
        prop_assert_eq!(harmful(&all), [], "{:?}", all);
    }

    #[test]
    fn a_page_is_harmless_and_has_no_markup_of_its_own(text in harm()) {
        let page = html(&text);
        prop_assert_eq!(harmful(&page), [], "{:?}", page);
        let tags = |page: &str| page.matches('<').count();
        prop_assert_eq!(tags(&page), tags(&html("x")));
    }

    #[test]
    fn a_diagram_is_harmless_and_has_no_markup_of_its_own(text in harm()) {
        let run = run(&text);
        let diagram = Diagram::of(&text, run.trace.as_ref().unwrap(), &run.verdicts, Focus::Findings);
        let (shown, svg, mermaid) = (diagram.text(80), diagram.svg_without_style(), diagram.mermaid());
        let all = [&*shown, &*svg, &*mermaid].concat();
        prop_assert_eq!(harmful(&all), [], "{:?}", all);
        let own = ["svg", "title", "desc", "g", "text", "rect", "line", "path"];
        let is_own = |tag: &str| {
            let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphabetic).collect();
            own.contains(&&*name)
        };
        prop_assert!(svg.split('<').skip(1).all(is_own), "{}", svg);
        let starts = ["sequenceDiagram", "    accTitle: ", "    participant p", "    Note over p", "    p", "    rect ", "    end"];
        let entity = |text: &str| text.split_once(';').is_some_and(|(code, _)| code.parse::<u32>().is_ok());
        for line in mermaid.lines() {
            prop_assert!(starts.iter().any(|start| line.starts_with(start)), "{}", line);
            prop_assert!(line.split('#').skip(1).all(entity), "{}", line);
            prop_assert_eq!(line.matches(';').count(), line.matches('#').count(), "{}", line);
        }
    }

    #[test]
    fn a_document_is_harmless_and_says_exactly_what_came(text in harm()) {
        let document = json::document(&[run(&text)], &|_| text.clone(), true);
        prop_assert_eq!(harmful(&document), []);
        let value: serde_json::Value = serde_json::from_str(&document).expect("it is JSON");
        prop_assert_eq!(&value["runs"][0]["printed"][0], &text);
        prop_assert_eq!(&value["runs"][0]["verdicts"][0]["evidence"][0]["summary"], &text);
        let table = matrix(&text).json();
        prop_assert_eq!(harmful(&table), []);
        let value: serde_json::Value = serde_json::from_str(&table).expect("it is JSON");
        prop_assert_eq!(&value["rows"][0]["name"], &text);
    }
}

#[test]
fn nothing_that_a_script_prints_passes_for_a_line_of_the_report() {
    let mut run = run("x");
    run.printed = vec!["HTTP/1.1 200 OK\r\nNOT AS EXPECTED: HS-1\n\nreplay: rm".into()];
    let text = pretty::details(&run, "replay", false);
    let printed: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("HTTP/1.1") || line.contains("HS-1 is") || line.contains("rm"))
        .collect();
    assert!(
        text.contains("printed: HTTP/1.1 200 OK\\r\nprinted: NOT AS EXPECTED: HS-1\nprinted: \nprinted: replay: rm\n"),
        "{printed:?}"
    );
}

/// Tests two names from the field: one that a client sent as UTF-16 to a server that reads bytes, and one with a
/// terminal sequence.
#[test]
fn the_names_that_were_found_in_the_field_are_shown_and_do_nothing() {
    let wide: String = "administrator".chars().flat_map(|c| [c, '\0']).collect();
    let page = html(&wide);
    assert!(!page.contains('\0') && page.contains("a\\0d\\0m\\0i\\0n"), "{page}");
    let account = Principal::new("CORP", "\u{1b}]0;owned\u{7}");
    let what = What::ServerLogon { connection: 1, request: None, logon: 1, account, status: 0xC000_0064 };
    let line = transcript::line(&Event { at: Time::default(), by: "iis1".into(), what });
    assert!(
        line.ends_with("logon of CORP\\\\u{1b}]0;owned\\u{7} for a request without id: NTSTATUS C0000064"),
        "{line}"
    );
}
