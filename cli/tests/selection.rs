//! The runs that `stickler run` makes, and their expectations: selection, shards, --fail-fast, --rerun, --expectations,
//! --bless.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use stickler_report::json::{RunRecord, Runs};
use tempfile::TempDir;

/// A leak over a shared pool: two violations, of ID-2 and of the script.
const LEAK: &str = "\"\"\"A leak.\n\nTags: leaks, short\n\"\"\"\nsite(backends = 1)\ncurl(\"alice\").get(\"/\")\n\
                    browser(\"mallory\", user = None).get(\"/\").expect(status = 401)\n";
const FINE: &str = "\"\"\"Fine.\"\"\"\nsite(backends = 1)\ncurl(\"alice\").get(\"/\").expect(status = 200)\n";

/// Creates a folder with both scripts, in which the state is stored as well.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("leak.star"), LEAK).unwrap();
    fs::write(folder.path().join("fine.star"), FINE).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    command.args(arguments).current_dir(folder).env("XDG_STATE_HOME", folder.join("state"));
    command
}

fn stickler(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the command starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the runs that a command made, and its exit code.
fn runs(folder: &Path, arguments: &[&str]) -> (Vec<RunRecord>, Option<i32>) {
    let output = stickler(folder, &[&["run", "--format", "json"], arguments].concat());
    let document: Runs =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (document.runs, output.status.code())
}

fn scenarios(folder: &Path, arguments: &[&str]) -> BTreeSet<String> {
    runs(folder, arguments).0.into_iter().map(|run| run.scenario).collect()
}

#[test]
fn scenarios_are_chosen_by_pattern_group_tag_and_requirement() {
    let folder = folder();
    let of = |arguments: &[&str]| scenarios(folder.path(), &[arguments, &["-b", "l4-nat"]].concat());
    let lone = of(&["lone-*"]);
    assert!(lone.len() >= 2 && lone.iter().all(|name| name.starts_with("lone-")), "{lone:?}");
    let identity = of(&["--group", "ident*"]);
    assert!(identity.contains("user-after-user") && !identity.contains("lone-one-backend"), "{identity:?}");
    let of_id5 = of(&["--requirement", "id-5"]);
    assert!(of_id5.contains("re-authentication") && !of_id5.contains("lone-one-backend"), "{of_id5:?}");
    assert_eq!(of(&[".", "--tag", "leaks"]), BTreeSet::from(["leak".to_owned()]));
    let both = of(&["--tag", "kerberos", "--requirement", "HS-1"]);
    assert!(!both.is_empty() && both.is_subset(&of(&["--tag", "kerberos"])), "{both:?}");
}

#[test]
fn a_selection_that_leaves_nothing_is_no_success() {
    let folder = folder();
    for (arguments, code, why) in [
        (["zzz-*", "-b", "l4-nat"], 3, "no shipped scenario and no group fits the pattern `zzz-*`"),
        (["fine.star", "--tag", "none"], 3, "select none of"),
        (["fine.star", "--requirement", "ID-99"], 2, "there is no requirement `ID-99`"),
        (["fine.star", "--group", "["], 2, "a pattern has *, ? and [...]"),
        (["fine.star", "--shard", "3/2"], 2, "a part is I/N"),
        (["fine.star", "--today", "2027-01-01"], 2, "--expectations"),
        (["fine.star", "--reason", "x"], 2, "--bless"),
    ] {
        let output = stickler(folder.path(), &[&["run"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn shards_make_every_run_once() {
    let folder = folder();
    let of = |shard: &str| {
        let (runs, _) =
            runs(folder.path(), &["fine.star", "leak.star", "--repeat", "3", "-b", "l4-nat", "--shard", shard]);
        runs.into_iter().map(|run| (run.scenario, run.seed)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = ["1/4", "2/4", "3/4", "4/4"].into_iter().flat_map(of).collect();
    all.sort();
    let mut whole = of("1/1");
    whole.sort();
    assert_eq!((all.len(), all), (6, whole));
}

#[test]
fn fail_fast_ends_with_the_first_failure_and_says_what_is_missing() {
    let folder = folder();
    let arguments = ["run", "leak.star", "--repeat", "9", "-b", "shared-pool", "--fail-fast", "--report", "tap=r.tap"];
    let output = stickler(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("8 of 9 runs were not made"), "{}", stderr(&output));
    let tap = fs::read_to_string(folder.path().join("r.tap")).unwrap();
    assert!(tap.contains("\n1..9\nnot ok 1 ") && tap.contains("\nBail out! 8 of 9 runs were not made"), "{tap}");
    assert_eq!(tap.matches(" # SKIP not made: --fail-fast ends after the first run").count(), 8, "{tap}");
}

#[test]
fn a_rerun_makes_what_failed_and_nothing_else() {
    let folder = folder();
    let nothing = stickler(folder.path(), &["run", "--rerun"]);
    assert_eq!(nothing.status.code(), Some(3), "{}", stderr(&nothing));
    let all = ["fine.star", "leak.star", "-b", "l4-nat", "-b", "shared-pool", "--seed", "5"];
    assert_eq!(runs(folder.path(), &all).1, Some(1));
    let (again, code) = runs(folder.path(), &["--rerun"]);
    let again: Vec<_> = again.iter().map(|run| (&*run.path, &*run.balancer, run.seed)).collect();
    assert_eq!((again, code), (vec![("leak.star", "shared-pool", 5)], Some(1)));
    fs::write(folder.path().join("leak.star"), FINE).unwrap();
    assert_eq!(runs(folder.path(), &["--rerun"]).1, Some(0));
    assert_eq!(stickler(folder.path(), &["run", "--rerun"]).status.code(), Some(3), "nothing fails any more");
}

#[test]
fn a_state_that_cannot_be_written_fails_no_run() {
    let folder = folder();
    let output = command(folder.path(), &["run", "fine.star", "-b", "l4-nat"])
        .env("XDG_STATE_HOME", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn an_accepted_violation_is_as_expected_until_its_day() {
    let folder = folder();
    let accept = |requirement: &str| {
        let text = format!(
            "[[accept]]\nscenario = \"le*\"\nbalancer = \"shared-pool\"\nrequirement = \"{requirement}\"\nreason = \"ticket 7\"\nuntil = 2027-06-30\n"
        );
        fs::write(folder.path().join("accepted.toml"), text).unwrap();
    };
    let on = |day: &str| {
        let arguments = ["run", "leak.star", "-b", "shared-pool", "--expectations", "accepted.toml", "--today", day];
        stickler(folder.path(), &arguments)
    };
    accept("ID-2");
    assert_eq!(on("2027-06-30").status.code(), Some(0), "{}", stderr(&on("2027-06-30")));
    let expired = on("2027-07-01");
    assert_eq!(expired.status.code(), Some(1));
    assert!(
        stderr(&expired).contains("accepted.toml:1:1: ID-2 was accepted until 2027-06-30 (ticket 7)"),
        "{}",
        stderr(&expired)
    );
    // An accepted violation that does not happen is not as expected.
    fs::write(folder.path().join("leak.star"), FINE).unwrap();
    let passed = on("2027-06-30");
    assert_eq!(passed.status.code(), Some(1));
    let text = String::from_utf8_lossy(&passed.stdout).into_owned();
    assert!(text.contains("expected violated (because: ticket 7)"), "{text}");
    // An expired entry is reported if nothing else is wrong.
    assert_eq!(on("2027-07-01").status.code(), Some(1));
    accept("ID-77");
    let wrong = on("2027-06-30");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("accepted.toml:4:15: there is no requirement `ID-77`"), "{}", stderr(&wrong));
}

#[test]
fn what_is_blessed_is_expected_and_mixed_up_users_need_a_word_more() {
    let folder = folder();
    let run = ["run", "leak.star", "-b", "shared-pool"];
    let bless = [&run[..], &["--bless", "--reason", "a \"pool\" for all"]].concat();
    let refused = stickler(folder.path(), &bless);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("ID-2 is violated, which means that users are mixed up; --allow-identity"),
        "{}",
        stderr(&refused)
    );
    assert!(!folder.path().join("expected.toml").exists());
    let blessed = stickler(folder.path(), &[&bless[..], &["--allow-identity"]].concat());
    assert_eq!(blessed.status.code(), Some(0), "{}", stderr(&blessed));
    let table = fs::read_to_string(folder.path().join("expected.toml")).unwrap();
    assert!(table.contains("ID-2 = \"violated\"") && table.contains("script = \"fails\""), "{table}");
    assert_eq!(stickler(folder.path(), &run).status.code(), Some(0), "{table}");
    assert_eq!(
        stickler(folder.path(), &["run", "leak.star", "-b", "l4-nat"]).status.code(),
        Some(0),
        "the others as before"
    );
    // An existing row stays.
    fs::write(folder.path().join("leak.star"), FINE).unwrap();
    let again = stickler(folder.path(), &bless);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("it already has a row for leak over shared-pool"), "{}", stderr(&again));
    assert_eq!(fs::read_to_string(folder.path().join("expected.toml")).unwrap(), table);
}

#[test]
fn what_is_shipped_is_not_blessed() {
    let folder = folder();
    let arguments = ["run", "lone-two-backends", "-b", "pin-on-401+B6", "--bless", "--reason", "x"];
    let output = stickler(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("its expectations are shipped with Stickler"), "{}", stderr(&output));
}

#[test]
fn a_script_may_come_from_standard_input() {
    let folder = folder();
    let mut child = command(folder.path(), &["run", "-", "-b", "l4-nat", "-b", "shared-pool"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(FINE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert!(text.contains("stdin") && text.contains("2 runs, 2 as expected"), "{text}");
}
