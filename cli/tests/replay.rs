//! `stickler run --record` and `stickler replay`: a run file is enough to make the run again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_runner::{Arm, play};
use stickler_scenarios::shipped;
use stickler_sim::SimArm;

/// Mechanisms of every kind: packets, bytes, HTTP, with pools, pins, checks, cookies, a logon of its own, and defects.
const BALANCERS: [&str; 8] = [
    "l4-nat",
    "l4-splice",
    "shared-pool",
    "pin-on-401",
    "pin-checked-logon",
    "haproxy-cookie",
    "close-per-request",
    "pin-on-401+B6",
];

fn stickler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder for a test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the test's folder can be made");
    folder
}

/// Records a run, and returns the path of its file.
fn recorded(name: &str, scenario: &str, balancer: &str) -> String {
    let folder = folder(name);
    let into = folder.to_str().expect("the test's path is UTF-8");
    let output = stickler(&["run", scenario, "--balancer", balancer, "--seed", "3", "--record", into]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", text(&output.stderr));
    let path = folder.join(scenario).join(balancer).join("3.jsonl");
    assert!(path.exists(), "{} was not written", path.display());
    path.to_str().expect("the test's path is UTF-8").to_owned()
}

#[test]
fn the_plan_of_every_shipped_scenario_gives_the_same_trace_without_its_script() {
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    for case in shipped(&stickler_catalogue::names()).unwrap() {
        for name in BALANCERS {
            let run = case.run(&BalancerSpec::named(name), 5, &arm);
            let Some(trace) = run.trace else { continue };
            let json = serde_json::to_string(&trace.plan()).unwrap();
            let plan = serde_json::from_str(&json).unwrap();
            let scenario = case.scenario.name();
            let again = play(&plan, &SimArm).unwrap_or_else(|error| panic!("{scenario} over {name}: {error}"));
            assert!(trace.to_json_lines() == again.to_json_lines(), "{scenario} over {name} gives another trace");
        }
    }
}

#[test]
fn a_recorded_run_is_replayed_and_equal() {
    let ok = recorded("replay-equal", "replayed-ticket", "l4-splice");
    let leak = recorded("replay-leak", "anonymous-after-user", "shared-pool");
    let output = stickler(&["replay", &ok, &leak]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with(&format!("{ok}: equal, ")), "{out}");
    assert!(lines[1].contains("violated: ") && lines[1].contains("ID-2"), "{out}");
}

#[test]
fn a_difference_is_shown_as_the_first_event_that_differs() {
    let path = recorded("replay-different", "lone-one-backend", "l4-nat");
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.contains("\"status\":200"));
    std::fs::write(&path, content.replacen("\"status\":200", "\"status\":201", 1)).unwrap();
    let output = stickler(&["replay", &path]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.contains("is the first that differs") && out.contains("201") && out.contains("200"), "{out}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    let path = recorded("replay-wrong", "lone-one-backend", "l4-nat");
    let content = std::fs::read_to_string(&path).unwrap();
    for (wrong, message) in [
        (content[..content.len() - 3].to_owned(), "it was cut off"),
        (content.replacen("\"format\":1", "\"format\":9", 1), ":1: the file has format 9"),
        (content.replacen("{\"step\"", "{\"stop\"", 1), ":2: column 7: unknown variant `stop`"),
        (content.replacen("\"l4-nat\"", "\"l4-nut\"", 1), "there is no balancer called `l4-nut`"),
        (content.replacen("{\"await\":1}", "{\"await\":7}", 1), "there is no `r7`"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let output = stickler(&["replay", &path]);
        assert_eq!(output.status.code(), Some(2), "{message}: {}", text(&output.stdout));
        let error = text(&output.stderr);
        assert!(error.contains(message) && error.contains(&path), "{error}");
    }
    let output = stickler(&["replay", "no/such.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no/such.jsonl:1: cannot read on: "), "{}", text(&output.stderr));
}

#[test]
fn nothing_recorded_is_ever_overwritten() {
    let path = recorded("replay-twice", "parity", "l4-nat");
    let before = std::fs::read(&path).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay-twice");
    let into = folder.to_str().unwrap();
    let output = stickler(&["run", "parity", "--balancer", "l4-nat", "--seed", "3", "--record", into]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is there already"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_run_that_only_skips_is_no_success() {
    let folder = folder("replay-skips");
    let script = folder.join("crash.star");
    std::fs::write(&script, "alice = curl('alice')\nalice.get('/')\ncrash('lb')\n").unwrap();
    let script = script.to_str().unwrap();
    let into = folder.join("recorded");
    let output = stickler(&["run", script, "--balancer", "l4-nat", "--record", into.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("every run was skipped"), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("1 skipped\nskipped 1: `lb` translates addresses"),
        "{}",
        text(&output.stdout)
    );
    let both = stickler(&["run", script, "--balancer", "l4-nat", "--balancer", "pin-on-401"]);
    assert_eq!(both.status.code(), Some(0), "{}", text(&both.stdout));
    assert!(
        text(&both.stdout).contains("2 runs, 1 as expected, 0 not as expected, 1 skipped"),
        "{}",
        text(&both.stdout)
    );
}
