//! Tests of `stickler run` from a user's point of view: exit codes, messages, replay.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn stickler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts")
}

/// Writes a script into a separate folder, and returns its path.
fn script(folder: &str, source: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("the test's folder can be made");
    let path = folder.join("script.star");
    std::fs::write(&path, source).expect("the test's script can be written");
    path
}

/// Runs a script over one balancer. Returns the exit code and the text of both streams.
fn run(folder: &str, source: &str, balancer: &str) -> (Option<i32>, String, String) {
    let path = script(folder, source);
    let path = path.to_str().expect("the test's path is UTF-8");
    let output = stickler(&["run", path, "--balancer", balancer]);
    // The path of the folder differs between machines.
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(path, "script.star");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_shipped_scenario_ends_as_expected() {
    // The suite in `scenarios` tests this over all mechanisms.
    let output = stickler(&["run", "--balancer", "l4-nat", "--balancer", "shared-pool", "--balancer", "pin-on-401"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stderr(&output));
    assert!(text.contains(", 0 not as expected"), "{text}");
}

#[test]
fn many_balancers_have_a_row_each_and_a_fault_is_a_name_like_any_other() {
    let mut arguments = vec!["run", "lone-two-backends", "--balancer", "pin-on-401+B6"];
    for balancer in ["l4-nat", "l4-dsr", "pin-on-401", "pin-coupled", "pin-cookie", "squid"] {
        arguments.extend(["--balancer", balancer]);
    }
    let output = stickler(&arguments);
    assert_eq!(output.status.code(), Some(1), "the defect violates what nothing expects: {}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains(" pin-on-401+B6   no "), "{text}");
    assert!(text.contains(" squid           yes "), "{text}");
}

#[test]
fn a_defect_that_cannot_be_put_there_says_where_it_can() {
    let output = stickler(&["run", "parity", "--balancer", "l4-nat+B6"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot be put on `l4-nat`: "), "{}", stderr(&output));
}

#[test]
fn profiles_of_ones_own_are_run_over_and_a_wrong_one_points_at_the_place() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("own.toml");
    let path = file.to_str().expect("the test's path is UTF-8");
    let shipped = include_str!("../../catalogue/profiles/proxies.toml");
    let squid = shipped.split("[[profile]]").find(|text| text.contains("name = \"squid\"")).expect("squid is there");
    let own = format!("[[profile]]{}", squid.replace("name = \"squid\"", "name = \"ours\""));
    std::fs::write(&file, &own).expect("the test's profile can be written");
    let output = stickler(&["run", "lone-two-backends", "--profile", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 run, 1 as expected"), "{}", stdout(&output));
    assert!(stdout(&stickler(&["explain", path])).starts_with("ours: "));

    std::fs::write(&file, own.replacen("layer = \"L7\"", "layer = \"L9\"", 1)).expect("and again");
    let output = stickler(&["run", "lone-two-backends", "--profile", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("own.toml:"), "{}", stderr(&output));
}

#[test]
fn what_explain_prints_as_toml_is_a_profile_to_start_from() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("printed.toml");
    let path = file.to_str().expect("the test's path is UTF-8");
    for (name, own) in [("haproxy-safe", "haproxy-safe"), ("pin-on-401+B6", "my-pin-on-401-b6")] {
        let printed = stickler(&["explain", name, "--format", "toml"]);
        assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
        std::fs::write(&file, stdout(&printed)).expect("the test's profile can be written");
        assert_eq!(stdout(&stickler(&["explain", path, "--format", "toml"])), stdout(&printed));
        let output = stickler(&["run", "lone-one-backend", "--profile", path, "--balancer", own]);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    }
    let extended = "[[profile]]\nname = \"ours\"\nextends = \"pin-on-401\"\nsource = \"a wish\"\nscrub = \"X-User\"\n";
    std::fs::write(&file, extended).expect("and again");
    let output = stickler(&["run", "lone-two-backends", "--profile", path]);
    assert!(stdout(&output).contains("1 run, 1 as expected"), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn explain_tells_of_profiles_mechanisms_and_faults() {
    let explained = |name| stdout(&stickler(&["explain", name]));
    assert!(explained("haproxy-safe").contains("[1] "), "with sources");
    assert!(explained("pin-on-401").starts_with("pin-on-401 (M12): "));
    assert!(explained("pin-on-401+B6").contains("with the defect B6 (host-not-pinned)"));
    assert_eq!(stickler(&["explain", "haproxi"]).status.code(), Some(2));
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_another_process() {
    let arguments = [
        "run",
        "mixed",
        "restart",
        "--balancer",
        "pin-on-401",
        "--balancer",
        "shared-pool",
        "--format",
        "json",
        "--transcript",
        "--seed",
    ];
    let with = |seed| stdout(&stickler(&[&arguments[..], &[seed]].concat()));
    let first = with("11");
    assert!(first.contains("trace_hash"), "{first}");
    assert!(first == with("11"), "two processes with one seed printed different documents");
    assert!(first != with("12"), "another seed has another trace");
}

#[test]
fn an_unexpected_violation_exits_1_with_evidence_and_a_replay_command() {
    let leak = "\"\"\"A leak.\"\"\"\nsite(backends = 1)\ncurl(\"alice\").get(\"/\")\nbrowser(\"mallory\", user = None).get(\"/\")\n";
    let (code, out, _) = run("leak", leak, "shared-pool");
    assert_eq!(code, Some(1), "{out}");
    insta::assert_snapshot!("leak", out);
    assert_eq!(run("leak", leak, "l4-nat").0, Some(0));
}

#[test]
fn an_expectation_that_does_not_hold_shows_the_line_and_the_actual_value() {
    let (code, out, _) =
        run("expectation", "alice = curl(\"alice\")\nalice.get(\"/\").expect(status = 404)\n", "l4-nat");
    assert_eq!(code, Some(1), "{out}");
    insta::assert_snapshot!("expectation", out);
}

#[test]
fn what_a_script_prints_is_shown() {
    let (code, out, _) = run("printing", "print(\"seen:\", curl(\"alice\").get(\"/\").user)\n", "l4-nat");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(r"printed: seen: CORP\alice"), "{out}");
}

#[test]
fn a_wrong_script_exits_2_and_points_at_the_place() {
    for (name, source) in [
        ("unknown-name", "alice = curl(\"alice\")\nalcie.get(\"/\")\n"),
        ("wrong-type", "curl(\"alice\").get(7)\n"),
        ("unknown-host", "curl(\"alice\")\ncrash(\"iis9\")\n"),
        ("syntax", "def f(:\n"),
        (
            "endless-loop",
            "def f():\n    for a in range(1000000000):\n        for b in range(1000000000):\n            pass\nf()\n",
        ),
        ("huge-list", "x = [0] * (1 << 28)\n"),
        ("doubling", "def f():\n    x = \"ab\"\n    for i in range(60):\n        x = x + x\nf()\n"),
    ] {
        let (code, out, err) = run(name, source, "l4-nat");
        assert_eq!(code, Some(2), "{name}: {out}\n{err}");
        assert!(err.contains("script.star:"), "{name}: no place in: {err}");
        assert!(!err.contains("panicked"), "{name}: {err}");
        insta::assert_snapshot!(format!("wrong-{name}"), err);
    }
}

#[test]
fn a_scripts_own_mistake_is_no_finding_and_what_was_seen_before_it_is_judged_and_shown() {
    let before = "site(backends = 1)\nalice = browser(\"alice\")\nprint(alice.get(\"/\").status)\n";
    for mistake in [
        "alice.get(\"/\", headers = {\"Connection\": \"close\"})",
        "alice.get(\"/\", headers = {\"transfer-encoding\": \"chunked\"})",
        "alice.get(\"/a`b\")",
        "alice.request(\"CONNECT\", \"/\")",
    ] {
        let (code, out, err) = run("mistake", &format!("{before}{mistake}\n"), "pin-on-401");
        assert_eq!(code, Some(2), "{out}\n{err}");
        assert!(err.contains("script.star:4:1: "), "{err}");
        assert!(out.contains("printed: 200\n") && !out.contains("violated"), "{out}");
        assert!(out.contains("1 run, 0 as expected, 0 not as expected, 1 not performed to the end"), "{out}");
    }
    let leak = "browser(\"mallory\", user = None).get(\"/\")\nfail(\"here\")\n";
    let (code, out, err) = run("mistake", &format!("{before}{leak}"), "shared-pool");
    assert_eq!(code, Some(2), "{out}\n{err}");
    assert!(out.contains("ID-2 violated: mallory's request r2") && out.contains(" ID-2 ?"), "{out}");
    assert!(out.contains("not performed to the end; all of the above is about what was seen until then"), "{out}");
    assert!(err.contains("script.star:5:1: fail: here"), "{err}");
    let output = stickler(&["run", script("mistake", leak).to_str().unwrap(), "--format", "json", "-b", "l4-nat"]);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("it is JSON");
    assert_eq!((output.status.code(), &json["runs"][0]["error"]["line"]), (Some(2), &2.into()));
}

#[test]
fn over_tls_a_name_that_no_certificate_has_is_the_scripts_mistake() {
    let script = "site(tls = \"own\")\nbrowser(\"alice\", host = \"other.example\").get(\"/\")\n";
    for balancer in ["l4-nat", "pin-on-401"] {
        let (code, out, err) = run("other-name", script, balancer);
        assert_eq!(code, Some(2), "{out}\n{err}");
        assert!(err.contains("script.star:2:1: the site's certificate is for www.corp.example"), "{err}");
        let known = script.replace("other.example", "www.corp.example");
        assert_eq!(run("known-name", &known, balancer).0, Some(0));
    }
}

#[test]
fn a_script_that_means_nothing_is_not_green() {
    let (code, _, err) = run("nothing", "curl(\"mallory\", user = None).send_raw(\"\")\n", "l4-nat");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("script.star:1:1: the script sends nothing"), "{err}");
    let (code, out, err) = run("bytes", "curl(\"mallory\", user = None).send_raw(\"x\")\n", "l4-nat");
    assert_eq!(code, Some(3), "{out}\n{err}");
    assert!(out.contains("skipped 1: nothing was put to the test"), "{out}");
}

#[test]
fn more_runs_than_can_be_kept_are_refused_before_the_first() {
    let output = stickler(&["run", "--repeat", "4294967295"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(" runs, and 100000 are the most: choose fewer seeds"), "{}", stderr(&output));
    assert_eq!(stickler(&["matrix", "--repeat", "4294967295"]).status.code(), Some(2));
}

#[test]
fn files_without_an_end_are_refused() {
    for arguments in [["run", "/dev/zero"], ["run", "--profile=/dev/zero"], ["replay", "/dev/zero"]] {
        let output = stickler(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("/dev/zero") && said.contains("it is a device, and no regular file"), "{said}");
    }
}

#[test]
fn the_places_of_a_script_with_a_byte_order_mark_are_those_of_its_text() {
    let (code, out, err) = run("marked", "\u{feff}curl(\"alice\").get(7)\n", "l4-nat");
    assert_eq!(code, Some(2), "{out}\n{err}");
    assert!(err.contains("script.star:1:1: ") && err.contains("1 | curl("), "{err}");
}

#[test]
fn a_site_that_is_declared_broken_is_shown_so_and_is_not_in_the_table_of_balancers() {
    let source = "site(broken = \"nobody has the password\")\nalice = browser(\"alice\", password = \"x\")\nalice.get(\"/\").expect(status = 200)\n";
    let (code, out, err) = run("broken", source, "l4-nat");
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(out.contains("declared broken, whatever the balancer: nobody has the password\n"), "{out}");
    let path = script("broken", source);
    let output = stickler(&["run", path.to_str().unwrap()]);
    let runs = format!("\n{} runs, ", stickler_catalogue::mechanisms().len());
    assert!(!stdout(&output).contains("users kept apart") && stdout(&output).contains(&runs), "{}", stdout(&output));
}

#[test]
fn a_balancer_that_does_not_exist_exits_2_with_the_nearest_name() {
    let output = stickler(&["run", "--balancer", "pin-on-40l"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean `pin-on-401`?"), "{}", stderr(&output));
    assert_eq!(stickler(&["run", "--sed", "1"]).status.code(), Some(2), "a wrong option");
}

#[test]
fn nothing_to_run_is_never_a_silent_green() {
    let output = stickler(&["run", "no-such-scenario"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty");
    std::fs::create_dir_all(&empty).expect("the test's folder can be made");
    assert_eq!(stickler(&["run", empty.to_str().expect("UTF-8")]).status.code(), Some(3));
}

#[test]
fn list_shows_scenarios_balancers_and_requirements() {
    let text = stdout(&stickler(&["list"]));
    for name in ["interleaved", "l4-nat", "close-per-request", "shared-pool", "pin-on-401", "HS-1", "ST-2"] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&stickler(&["list", "--format", "json"]))).expect("it is JSON");
    assert!(json["scenarios"].as_array().is_some_and(|scenarios| scenarios.len() >= 12), "{json}");
}
