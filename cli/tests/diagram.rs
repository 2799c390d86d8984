//! Sequence diagrams of the runs of shipped scenarios: they refer to nothing that is not in the diagram, and leave out
//! nothing that proves a violation. Also `--diagram` from a user's point of view.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_oracle::{Grade, Verdict};
use stickler_report::diagram::{Diagram, Focus, Step};
use stickler_runner::{Arm, Run};
use stickler_sim::SimArm;

/// Scenarios of every kind: handshakes, crowds, Kerberos, faults, TLS with two balancers, raw bytes.
const SCENARIOS: [&str; 11] = [
    "lone-two-backends",
    "anonymous-after-user",
    "re-authentication",
    "crowd",
    "blame",
    "connection-of-the-check",
    "one-shot",
    "not-persisted",
    "two-balancers",
    "by-header",
    "pipelining-with-credentials",
];

const BALANCERS: [&str; 4] = ["l4-nat", "shared-pool", "haproxy-safe", "pin-on-401+B6"];

fn runs() -> Vec<Run> {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let names = SCENARIOS.map(String::from);
    let cases = stickler_scenarios::select(&names, &stickler_catalogue::names()).expect("the scenarios are shipped");
    let balancers = BALANCERS.map(BalancerSpec::named);
    let runs = cases.iter().flat_map(|case| balancers.iter().map(|balancer| case.run(balancer, 0, &arm)));
    runs.filter(|run| run.trace.is_some()).collect()
}

/// A run goes on after its violation. What then happens to others matters to nobody.
#[test]
fn what_follows_the_last_piece_of_evidence_is_folded() {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    for (scenario, balancer) in [("crowd-with-tickets", "pin-on-401"), ("crowd", "shared-pool")] {
        let cases = stickler_scenarios::select(&[scenario.to_owned()], &stickler_catalogue::names());
        let run = cases.expect("it is shipped")[0].run(&BalancerSpec::named(balancer), 0, &arm);
        let trace = run.trace.as_ref().expect("it was performed");
        let diagram = Diagram::of(scenario, trace, &run.verdicts, Focus::Findings);
        let last = diagram.rows.iter().rposition(|row| matches!(row.step, Step::Found { .. })).expect("it is violated");
        let after = &diagram.rows[last + 1..];
        assert!(after.iter().any(|row| matches!(row.step, Step::Folded { events } if events > 20)), "{scenario}");
        assert!(after.len() < 20, "{scenario}: {} rows of {}", after.len(), diagram.rows.len());
    }
}

#[test]
fn a_diagram_refers_to_what_it_has_and_shows_what_proves_its_findings() {
    let (mut drawn, mut with_findings) = (0, 0);
    for run in runs() {
        let trace = run.trace.as_ref().expect("only those are kept");
        let bad = run.verdicts.iter().filter(|verdict| matches!(verdict.grade, Grade::Violated | Grade::NonStrict));
        let each = bad.flat_map(|verdict| {
            let pieces = Verdict::against_balancer(verdict).count().min(2);
            (0..pieces).map(|piece| Focus::Evidence(verdict.requirement, piece))
        });
        for focus in [Focus::Findings].into_iter().chain(each) {
            let diagram = Diagram::of(&run.source.scenario, trace, &run.verdicts, focus);
            let what = format!("{} over {}, {focus:?}", run.source.scenario, run.balancer);
            check(&diagram, &what);
            let chosen = focus.chosen(&run.verdicts);
            assert_eq!(diagram.findings.len(), chosen.len(), "{what}");
            let shown: BTreeSet<usize> = diagram.rows.iter().flat_map(|row| row.events.iter().copied()).collect();
            for (_, evidence) in &chosen {
                let missing: Vec<_> = evidence.events.iter().filter(|event| !shown.contains(event)).collect();
                assert!(missing.is_empty(), "{what}: {missing:?} of {:?}", evidence.events);
            }
            with_findings += usize::from(!chosen.is_empty());
            drawn += 1;
        }
    }
    assert!(
        drawn > 50 && with_findings > 25,
        "{drawn} diagrams, {with_findings} with findings: too few to mean anything"
    );
}

/// Asserts that everything to which a diagram refers is there, that its rows are in order, and that every format
/// contains all of it.
fn check(diagram: &Diagram, what: &str) {
    let (participants, connections, users) =
        (diagram.participants.len(), diagram.connections.len(), diagram.users.len());
    assert!(participants > 0, "{what}");
    let known = |user: Option<usize>| user.is_none_or(|user| user < users);
    for participant in &diagram.participants {
        assert!(known(participant.user), "{what}: {participant:?}");
    }
    for connection in &diagram.connections {
        assert!(connection.at < participants, "{what}: {connection:?}");
        assert!(
            connection.rows.start < connection.rows.end && connection.rows.end <= diagram.rows.len(),
            "{what}: {connection:?}"
        );
        let rows: Vec<usize> = connection.users.iter().map(|(row, _)| *row).collect();
        assert!(rows.is_sorted() && rows.iter().all(|row| *row < diagram.rows.len()), "{what}: {connection:?}");
        assert!(connection.users.iter().all(|(_, user)| known(*user)), "{what}: {connection:?}");
    }
    let mut found = BTreeSet::new();
    for (index, row) in diagram.rows.iter().enumerate() {
        assert!(row.proves.iter().all(|finding| *finding < diagram.findings.len()), "{what}: {row:?}");
        match &row.step {
            Step::Arrow(arrow) => {
                assert!(arrow.from < participants && arrow.to < participants, "{what}: {row:?}");
                assert!(arrow.from != arrow.to && known(arrow.user), "{what}: {row:?}");
                let Some(connection) = arrow.connection else { continue };
                assert!(connection < connections, "{what}: {row:?}");
                let connection = &diagram.connections[connection];
                assert!([arrow.from, arrow.to].contains(&connection.at), "{what}: {row:?}");
                assert!(connection.rows.contains(&index), "{what}: {row:?} is outside of {connection:?}");
            }
            Step::Note { from, to, .. } => assert!(from <= to && *to < participants, "{what}: {row:?}"),
            Step::Closed { connection, .. } => assert!(*connection < connections, "{what}: {row:?}"),
            Step::Found { finding } => assert!(found.insert(*finding), "{what}: {finding} is found twice"),
            Step::Folded { events } => assert!(*events > 0, "{what}: {row:?}"),
        }
    }
    assert_eq!(found.len(), diagram.findings.len(), "{what}");
    for width in [40, 80, 120, 200] {
        let text = diagram.text(width);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= width, "{what}: {widest} columns in place of {width}\n{text}");
    }
    let svg = diagram.svg_without_style();
    for tag in ["<g", "<text", "<title", "<desc", "<svg"] {
        let end = format!("</{}>", &tag[1..]);
        let begun = svg.matches(&format!("{tag} ")).count() + svg.matches(&format!("{tag}>")).count();
        assert_eq!(begun, svg.matches(&end).count(), "{what}: {tag}");
    }
    assert!(diagram.mermaid().starts_with("sequenceDiagram\n"), "{what}");
}

fn stickler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts")
}

fn both(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

const LEAK: [&str; 4] = ["run", "anonymous-after-user", "--balancer", "shared-pool"];

#[test]
fn text_stands_below_the_evidence_and_also_where_all_is_well() {
    let (text, errors) = both(&stickler(&[&LEAK[..], &["--diagram"]].concat()));
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in {text}\n{errors}"));
    assert!(place("replay: stickler run") < place(">>> ID-2 violated:"), "{text}");
    assert!(place(">>> ID-2 violated:") < place("1 run, 1 as expected"), "{text}");
    let (text, errors) = both(&stickler(&["run", "anonymous-after-user", "--balancer", "pin-on-401", "--diagram"]));
    assert!(text.contains("NTLM Challenge") && text.contains("1 run, 1 as expected"), "{text}\n{errors}");
}

#[test]
fn a_format_for_other_programs_is_all_that_is_printed() {
    let output = stickler(&[&LEAK[..], &["--diagram=svg"]].concat());
    let (text, errors) = both(&output);
    assert!(output.status.success() && text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}\n{errors}");
    let (text, errors) = both(&stickler(&[&LEAK[..], &["--diagram=mermaid"]].concat()));
    assert!(text.starts_with("sequenceDiagram\n") && !text.contains("1 run"), "{text}\n{errors}");
}

#[test]
fn what_cannot_be_drawn_is_an_error_that_says_what_to_do() {
    let output = stickler(&[
        "run",
        "anonymous-after-user",
        "--balancer",
        "shared-pool",
        "--balancer",
        "l4-nat",
        "--diagram=svg",
    ]);
    let (_, errors) = both(&output);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("these are 2 runs: name one scenario and one --balancer"), "{errors}");
    let output = stickler(&[&LEAK[..], &["--diagram", "--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", both(&output).1);
    assert!(both(&output).1.contains("choose one"), "{}", both(&output).1);
}

#[test]
fn a_recorded_run_is_drawn_when_it_is_replayed() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let folder = folder.path().to_str().expect("the folder's path is UTF-8");
    stickler(&[&LEAK[..], &["--record", folder]].concat());
    let file = format!("{folder}/anonymous-after-user/shared-pool/0.jsonl");
    let (text, errors) = both(&stickler(&["replay", &file, "--diagram"]));
    assert!(text.contains("equal, ") && text.contains(">>> ID-2 violated:"), "{text}\n{errors}");
    let (text, errors) = both(&stickler(&["replay", &file, "--diagram=svg"]));
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}\n{errors}");
}
