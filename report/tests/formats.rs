//! Tests the formats of test runners: the output for each kind of case, and the escaping of text from peers.
//!
//! `cli/tests/reports.rs` tests the output of the command, and validates it with other programs.

use std::time::Duration;

use proptest::prelude::*;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use stickler_model::escape;
use stickler_report::sarif::{Change, Edit, Finding, Level, Log, Notice, Rule};
use stickler_report::test_case::{Place, Problem, TestCase, TestResult};
use stickler_report::{github, junit, tap};

/// Returns text that breaks a format without escaping.
fn harm() -> impl Strategy<Value = String> {
    const BAD: &[&str] = &[
        "]]>",
        "<![CDATA[",
        "</failure>",
        "<!--",
        "&amp;",
        "&#0;",
        "\"",
        "'",
        "<",
        "\u{1b}[31m",
        "\0",
        "\u{fffe}",
        "\u{ffff}",
        "\u{202e}",
        "\n",
        "\r\n",
        "\n::error::owned",
        "::",
        "%0A",
        "%",
        ":",
        ",",
        "#",
        " # SKIP x",
        "\\#",
        "\\",
        "\nnot ok 1",
        "\nok 1",
        "\n1..1",
        "\nBail out!",
        "\n  ...",
        "\n  ---",
        "- ",
        "\t",
        "\u{85}",
        "\u{2028}",
        "é",
        "山",
        "\u{1f468}",
    ];
    proptest::collection::vec(prop_oneof![proptest::sample::select(BAD).prop_map(str::to_owned), "[a-z]{1,3}"], 0..6)
        .prop_map(|parts| parts.concat())
}

fn place(file: &str) -> Place {
    Place::of_range(file.to_owned(), (3, 7), (3, 12))
}

fn case(suite: &str, name: &str, result: TestResult) -> TestCase {
    TestCase { suite: suite.to_owned(), name: name.to_owned(), result, place: None, took: None }
}

fn problem(text: &str) -> Problem {
    Problem { summary: text.to_owned(), details: format!("{text}\nsecond line") }
}

/// Returns one case of each kind.
fn all(text: &str) -> Vec<TestCase> {
    let took = Some(Duration::from_micros(1_234_567));
    vec![
        TestCase { took, ..case("clean", text, TestResult::Passed) },
        TestCase { place: Some(place(text)), took, ..case(text, text, TestResult::Failed(problem(text))) },
        TestCase { place: Some(place(text)), ..case(text, "error", TestResult::Error(problem(text))) },
        case(text, "skipped", TestResult::Skipped(text.to_owned())),
    ]
}

#[test]
fn junit_has_a_suite_for_each_balancer_and_tells_failures_from_errors() {
    insta::assert_snapshot!(junit::document(&all("shared-pool")));
}

#[test]
fn tap_has_a_point_for_each_case_and_tells_failures_from_errors() {
    insta::assert_snapshot!(tap::document(&all("shared-pool"), None));
}

#[test]
fn workflow_commands_annotate_what_failed_and_count_what_was_skipped() {
    let mut cases = all("a: 100%, #1");
    cases.push(case("x", "skipped", TestResult::Skipped("a: 100%, #1".to_owned())));
    insta::assert_snapshot!(github::document(&cases));
}

#[test]
fn workflow_commands_have_columns_only_within_one_line() {
    let annotated = |place: Place| {
        let text =
            github::document(&[TestCase { place: Some(place), ..case("x", "y", TestResult::Error(problem("z"))) }]);
        text.split_once(",title=").unwrap().0.to_owned()
    };
    let file = || "a".to_owned();
    assert_eq!(
        annotated(Place::of_range(file(), (3, 7), (3, 12))),
        "::error file=a,line=3,endLine=3,col=7,endColumn=12"
    );
    assert_eq!(annotated(Place::of_range(file(), (3, 7), (4, 2))), "::error file=a,line=3,endLine=4");
    assert_eq!(annotated(Place::of_file(file())), "::error file=a");
    let start = Place { line: Some(3), column: Some(7), ..Place::of_file(file()) };
    assert_eq!(annotated(start), "::error file=a,line=3,col=7");
}

#[test]
fn nothing_at_all_is_a_document_too() {
    assert_eq!(tap::document(&[], None), "TAP version 13\n1..0 # SKIP nothing was run\n");
    assert_eq!(github::document(&[]), "");
    let report = Report::deserialize_from_str(&junit::document(&[])).unwrap();
    assert_eq!((report.tests, report.test_suites.len()), (0, 0));
}

#[test]
fn what_is_missing_fails_the_whole_of_tap() {
    let text = tap::document(&all("x"), Some("3 of 7 runs\nare missing"));
    assert!(text.ends_with("Bail out! 3 of 7 runs\\nare missing\n"), "{text}");
}

/// Returns a value as GitHub decodes it.
fn read(value: &str, escapes: &[(&str, &str)]) -> String {
    escapes.iter().fold(value.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain)).replace("%25", "%")
}

/// Returns a log with a finding, its rule, a fix and a notice.
fn log(text: &str) -> Log {
    let rule = |id: &str| Rule { id: id.to_owned(), text: text.to_owned(), help: text.to_owned() };
    let edit = |first, count| Edit { file: "a.cfg".to_owned(), first, count, text: "new\n".to_owned() };
    let finding = Finding {
        rule: "ID-1".to_owned(),
        level: Level::Error,
        message: text.to_owned(),
        places: vec![place(text), place("other.cfg")],
        fixes: vec![Change { title: text.to_owned(), edits: vec![edit(2, 0), edit(5, 1)] }],
    };
    let notice = Notice { message: text.to_owned(), place: Some(place(text)) };
    Log { rules: vec![rule("HS-1"), rule("ID-1")], findings: vec![finding], errors: Vec::new(), warnings: vec![notice] }
}

#[test]
fn sarif_has_rules_places_and_fixes() {
    insta::assert_snapshot!(log("a text").document("0.0.0"));
}

#[test]
fn a_file_is_named_by_a_uri() {
    let uri = |path: &str| {
        let places = vec![place(path)];
        let finding = Finding { places, ..log("x").findings.remove(0) };
        let document = Log { findings: vec![finding], ..Log::default() }.document("0");
        let value: serde_json::Value = serde_json::from_str(&document).unwrap();
        let location = &value["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        location["artifactLocation"]["uri"].as_str().map(str::to_owned).unwrap()
    };
    assert_eq!(uri("conf/haproxy.cfg"), "conf/haproxy.cfg");
    assert_eq!(uri("./a b#1?%.cfg"), "a%20b%231%3F%25.cfg");
    assert_eq!(uri("/etc/haproxy/h\u{fc}.cfg"), "file:///etc/haproxy/h%C3%BC.cfg");
    assert_eq!(uri("a:b.cfg"), "./a:b.cfg");
}

proptest! {
    #[test]
    fn sarif_is_harmless_json_whatever_it_is_about(text in harm()) {
        let document = log(&text).document("0");
        prop_assert!(document.chars().all(|c| c == '\n' || !c.is_control()), "{document:?}");
        let value: serde_json::Value = serde_json::from_str(&document).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let run = &value["runs"][0];
        prop_assert_eq!(&run["results"][0]["message"]["text"], &*escape::lines(&text));
        prop_assert_eq!(run["tool"]["driver"]["rules"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn junit_is_xml_with_these_cases_whatever_they_are_called(text in harm()) {
        let document = junit::document(&all(&text));
        let allowed = |c: char| matches!(c, '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        prop_assert!(document.chars().all(allowed), "{document:?}");
        let report = Report::deserialize_from_str(&document).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!((report.tests, report.failures, report.errors), (4, 1, 1));
        let cases: Vec<_> = report.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
        prop_assert_eq!(cases[0].name.as_str(), &*escape::line(&text));
        let failed = cases.iter().find_map(|case| match &case.status {
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, message, .. } => message.clone(),
            _ => None,
        });
        prop_assert_eq!(failed.as_ref().map(quick_junit::XmlString::as_str), Some(&*escape::line(&text)));
    }

    #[test]
    fn tap_has_four_points_and_two_blocks_whatever_they_are_called(text in harm()) {
        let document = tap::document(&all(&text), None);
        let lines: Vec<&str> = document.lines().collect();
        prop_assert_eq!(&lines[..2], &["TAP version 13", "1..4"][..]);
        let points: Vec<&&str> = lines.iter().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
        let starts = ["ok 1 - clean: ", "not ok 2 - ", "not ok 3 - ", "ok 4 - "];
        prop_assert_eq!(points.len(), 4);
        prop_assert!(points.iter().zip(starts).all(|(point, start)| point.starts_with(start)), "{document}");
        // A directive begins at a `#` without a backslash in front of it.
        let directives = |line: &str| line.replace("\\\\", "").replace("\\#", "").matches('#').count();
        prop_assert_eq!(points.iter().take(3).map(|point| directives(point)).sum::<usize>(), 0);
        prop_assert!(lines.iter().skip(2).all(|line| line.starts_with("  ") || points.contains(&line)), "{document}");
        prop_assert!(document.chars().all(|c| c == '\n' || !c.is_control()), "{document:?}");
    }

    #[test]
    fn workflow_commands_are_a_line_each_and_say_what_came(text in harm()) {
        let document = github::document(&all(&text));
        let lines: Vec<&str> = document.lines().collect();
        prop_assert_eq!(lines.len(), 3, "{}", document);
        for line in &lines[..2] {
            let (properties, message) = line.strip_prefix("::error ").and_then(|rest| rest.split_once("::")).unwrap();
            let file = properties.strip_prefix("file=").and_then(|rest| rest.split_once(',')).unwrap().0;
            let escapes = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")];
            prop_assert_eq!(read(file, &escapes), escape::line(&text));
            prop_assert!(read(message, &escapes[..2]).ends_with("\nsecond line"), "{message}");
        }
        prop_assert!(lines[2].starts_with("::notice title=1 case was skipped::"), "{document}");
    }
}
