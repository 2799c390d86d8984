//! Run files are read back as they were written, and what is wrong with one is said with its line.

use std::time::Duration;

use stickler_model::event::{Closed, Decided};
use stickler_model::trace::Promises;
use stickler_model::{
    Action, ClientSpec, Event, Header, Identity, Name, Principal, Profile, RequestId, RequestSpec, Time, TokenId,
    Trace, What,
};
use stickler_oracle::{Cited, Evidence, Failure, Grade, Party, Requirement, Verdict};

use super::*;
use crate::{Deviation, End, Ending, Expected, Run, Source};

/// A run with every kind of line.
fn run() -> Run {
    let identity = Identity { principal: Principal::new("CORP", "alice"), password: "x".into() };
    let actions = [
        Action::AddClient(ClientSpec::new("alice".into(), Profile::BROWSER, Some(identity))),
        Action::MakeToken { id: TokenId(1), client: "alice".into() },
        Action::Start { id: RequestId(4), request: RequestSpec::new("alice".into(), "GET", "/") },
        Action::Await(RequestId(4)),
    ];
    let event = |by: &str, what| Event { at: Time(1_500), by: Name::from(by), what };
    let mut events: Vec<Event> = actions.into_iter().map(|action| event("world", What::Action(action))).collect();
    events.push(event("iis1", What::ServerClosed { connection: 1, how: Closed::ByPeer }));
    events.push(event(
        "lb",
        What::Decision {
            downstream: 1,
            upstream: None,
            backend: Some("iis1".into()),
            request: Some(RequestId(4)),
            decision: Decided::CloseDownstream,
        },
    ));
    let balancer = BalancerSpec::named("pin-on-401+B6");
    let promises = Promises { persistence: Some(Duration::from_mins(1)), ..Promises::default() };
    let evidence = vec![Evidence {
        fault: Party::Balancer,
        failure: Failure::WrongUser,
        about: vec![Cited::Request { client: "alice".into(), id: RequestId(4) }],
        summary: "it leaks".into(),
        events: vec![4],
    }];
    Run {
        source: Source { scenario: "lone".into(), path: "scripts/lone.star".into() },
        arm: "sim".into(),
        balancer: balancer.clone(),
        seed: 7,
        trace: Some(Trace { header: Header { seed: 7, balancer, topology: Topology::default(), promises }, events }),
        verdicts: vec![Verdict { requirement: Requirement::Id1, grade: Grade::Violated, exercised: 2, evidence }],
        failures: vec![Diagnostic::new("lone.star", "x = 1\n", 0..1, "wrong".into(), Some("2".into()))],
        printed: vec!["one\ntwo".into()],
        end: End::Complete,
        expected: Expected {
            grades: [(Requirement::Id1, vec![Grade::Ok])].into(),
            script: None,
            reason: Some("because".into()),
        },
    }
}

fn written(run: &Run) -> String {
    let mut text = Vec::new();
    assert!(write(run, &mut text).unwrap());
    String::from_utf8(text).unwrap()
}

fn read(text: &str) -> Result<(Reader<&[u8]>, Vec<Event>), FileError> {
    let mut reader = Reader::new(text.as_bytes(), "x.jsonl")?;
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        events.push(event);
    }
    Ok((reader, events))
}

/// Reads a whole file that is wrong.
fn wrong(text: &str) -> String {
    match read(text).and_then(|(reader, _)| reader.finish()) {
        Ok(_) => panic!("this file makes sense:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_was_written_is_read_back() {
    let run = run();
    let text = written(&run);
    let (reader, events) = read(&text).unwrap();
    let trace = run.trace.as_ref().unwrap();
    assert_eq!((&reader.source, &reader.arm, &reader.plan), (&run.source, &run.arm, &trace.plan()));
    assert_eq!((reader.promises.as_ref(), &events), (Some(&trace.header.promises), &trace.events));
    let results = reader.finish().unwrap();
    let Run { verdicts, expected, failures, printed, .. } = run;
    assert_eq!(results, Results { verdicts, expected, failures, printed });
}

#[test]
fn a_plan_alone_is_a_file_too() {
    let plan = run().trace.unwrap().plan();
    let mut text = Vec::new();
    write_plan(&plan, &Source::default(), "sim", &mut text).unwrap();
    let (reader, events) = read(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!((&reader.plan, reader.promises.is_none(), events.len()), (&plan, true, 0));
    assert_eq!(reader.finish().unwrap(), Results::default());
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_noticed() {
    let text = written(&run());
    for length in 0..text.len() {
        let error = wrong(&text[..length]);
        assert!(error.starts_with("x.jsonl:"), "{error}");
    }
}

#[test]
fn another_format_is_named() {
    let text = written(&run()).replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(wrong(&text), "x.jsonl:1: the file has format 2, and this version of Stickler reads format 1");
    assert!(wrong("site()\n").starts_with("x.jsonl:1: this is no run file: its first line is not the head of one ("));
    assert!(wrong("").starts_with("x.jsonl:1: this is no run file"));
}

#[test]
fn a_step_that_makes_no_sense_is_shown_with_its_line() {
    let text = written(&run());
    let twice = text.replacen("{\"step\":{\"await\":4}}\n", "{\"step\":{\"await\":4}}\n{\"step\":{\"await\":4}}\n", 1);
    assert_eq!(
        wrong(&twice),
        "x.jsonl:6: this step makes no sense: an earlier step waits for `r4` already: a request has one answer"
    );
    let unknown = text.replacen("{\"step\":{\"await\":4}}", "{\"step\":{\"await\":5}}", 1);
    assert_eq!(wrong(&unknown), "x.jsonl:5: this step makes no sense: there is no `r5`: no step brings it into being");
}

#[test]
fn lines_that_are_malformed_or_misplaced_are_shown_with_their_number() {
    let text = written(&run());
    let lines: Vec<&str> = text.lines().collect();
    let broken = text.replacen("{\"printed\"", "{\"print\"", 1);
    assert!(wrong(&broken).starts_with("x.jsonl:16: column 8: unknown variant `print`"), "{}", wrong(&broken));
    let mut swapped = lines.clone();
    swapped.swap(14, 15);
    let misplaced = format!("{}\n", swapped.join("\n"));
    assert!(wrong(&misplaced).contains("cannot stand here"), "{}", wrong(&misplaced));
    let step_below = format!("{text}{}\n", lines[1]);
    assert!(wrong(&step_below).contains("something stands below it"), "{}", wrong(&step_below));
    let fewer = text.replacen(&format!("{}\n", lines[10]), "", 1);
    assert!(wrong(&fewer).contains("the last line counts 6 events, and 5 stand above it"), "{}", wrong(&fewer));
}

#[test]
fn a_line_without_end_is_given_up() {
    let long = format!("{{\"format\":1,\"stickler\":\"{}", "x".repeat(MAX_LINE + 10));
    assert_eq!(wrong(&long), format!("x.jsonl:1: this line is longer than {MAX_LINE} bytes: it is none of a run file"));
}

#[test]
fn a_plan_with_a_million_steps_is_refused_at_the_first_one_too_many() {
    let text = written(&run());
    let head = text.lines().next().unwrap();
    let mut many = format!("{head}\n");
    for _ in 0..=stickler_model::plan::MAX_STEPS {
        many.push_str("{\"step\":{\"advance\":{\"secs\":0,\"nanos\":1}}}\n");
    }
    assert_eq!(wrong(&many), "x.jsonl:100002: a plan has 100000 steps at most");
}

#[test]
fn an_expected_outcome_decides_how_a_run_ended() {
    let run = run();
    let Ending::NotAsExpected(deviations) = run.ending() else { panic!("ID-1 was to be kept") };
    assert!(matches!(
        deviations[..],
        [Deviation::Grade { requirement: Requirement::Id1, .. }, Deviation::Script { .. }]
    ));
}
