//! Tests of `stickler run --record` and `stickler replay`: a run file is enough to repeat the run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_runner::{Arm, play};
use stickler_scenarios::shipped;
use stickler_sim::SimArm;

/// Mechanisms of every kind: with packets, bytes or HTTP, with pools, pins, health checks, cookies, their own logon, and
/// defects.
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

/// Creates an empty folder for a test.
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
        (
            content.replacen("{\"step\"", "{\"stop\"", 1),
            ":2: the line is malformed at column 7: unknown variant `stop`",
        ),
        (content.replacen("\"l4-nat\"", "\"l4-nut\"", 1), "there is no balancer called `l4-nut`"),
        (
            content.replacen("\"arm\":\"sim\"", "\"arm\":\"lab\"", 1),
            ":1: the file was recorded by the arm `lab`, which is not available",
        ),
        (
            content.replacen("\"name\":\"iis1\"", "\"name\":\"lb\"", 1),
            ":1:1: there is already a client or host called `lb`",
        ),
        (
            content.replacen("\"step\":{\"start\":{", "\"step\":{\"start\":{\"surplus\":1,", 1),
            "unknown field `surplus`",
        ),
        (content.replacen("{\"await\":1}", "{\"await\":7}", 1), "`r7` does not exist"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let output = stickler(&["replay", &path]);
        assert_eq!(output.status.code(), Some(2), "{message}: {}", text(&output.stdout));
        let error = text(&output.stderr);
        assert!(error.contains(message) && error.contains(&path), "{error}");
    }
    let output = stickler(&["replay", "no/such.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no/such.jsonl: the file cannot be opened: "), "{}", text(&output.stderr));
}

#[test]
fn a_products_profile_is_in_the_file_with_its_data() {
    let path = recorded("replay-profile", "parity", "haproxy-safe+B6");
    let content = std::fs::read_to_string(&path).unwrap();
    let head: serde_json::Value = serde_json::from_str(content.lines().next().unwrap()).unwrap();
    let profile = &head["balancer"]["profile"];
    assert_eq!((&profile["name"], &profile["defects"]), (&"haproxy-safe".into(), &serde_json::json!(["B6"])));
    assert!(profile["toml"].as_str().unwrap().starts_with("[[profile]]\nname = \"haproxy-safe\"\n"), "{profile}");
    let output = stickler(&["replay", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn nothing_recorded_is_ever_overwritten() {
    let path = recorded("replay-twice", "parity", "l4-nat");
    let before = std::fs::read(&path).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay-twice");
    let into = folder.to_str().unwrap();
    let output = stickler(&["run", "parity", "--balancer", "l4-nat", "--seed", "3", "--record", into]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("exists already"), "{}", text(&output.stderr));
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

#[test]
fn the_name_of_a_host_is_not_a_clients() {
    let path = recorded("replay-host", "lone-one-backend", "l4-nat");
    let content = std::fs::read_to_string(&path).unwrap();
    let line = content.lines().position(|line| line.contains("{\"step\":{\"add_client\"")).unwrap() + 1;
    for host in ["lb", "iis1", "dc"] {
        let named = content.replace("\"alice\"", &format!("\"{host}\""));
        std::fs::write(&path, named).unwrap();
        let output = stickler(&["replay", &path]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let error = text(&output.stderr);
        assert!(
            error.contains(&format!("{path}:{line}:1: there is already a client or host called `{host}`")),
            "{error}"
        );
    }
}

/// Returns the text of a run file that contains only the plan of a recorded run.
fn plan_alone(path: &str) -> String {
    let content = std::fs::read_to_string(path).unwrap();
    let plan: Vec<&str> = content
        .lines()
        .enumerate()
        .filter(|(at, line)| *at == 0 || line.starts_with("{\"step\""))
        .map(|(_, line)| line)
        .collect();
    let steps = plan.len() - 1;
    format!("{}\n{{\"end\":{{\"steps\":{steps},\"events\":0,\"how\":\"complete\"}}}}\n", plan.join("\n"))
}

#[test]
fn a_plan_alone_is_performed_and_compared_with_nothing() {
    let sound = recorded("replay-plan", "anonymous-after-user", "l4-nat");
    std::fs::write(&sound, plan_alone(&sound)).unwrap();
    let output = stickler(&["replay", &sound]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.starts_with(&format!("{sound}: performed, ")) && out.contains(" events, nothing violated, "), "{out}");
    assert!(!out.contains("equal"), "{out}");

    let leak = recorded("replay-plan-leak", "anonymous-after-user", "shared-pool");
    std::fs::write(&leak, plan_alone(&leak)).unwrap();
    let output = stickler(&["replay", &leak]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.contains(": performed, ") && out.contains("violated: "), "{out}");
    assert!(out.contains("ID-2 violated: mallory's request "), "with evidence: {out}");

    let content = std::fs::read_to_string(&leak).unwrap();
    let head = content.lines().next().unwrap();
    std::fs::write(&leak, format!("{head}\n{{\"end\":{{\"steps\":0,\"events\":0,\"how\":\"complete\"}}}}\n")).unwrap();
    let output = stickler(&["replay", &leak]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains(&format!("{leak}:1: the plan has no steps")), "{}", text(&output.stderr));
}

#[test]
fn what_differs_in_promises_and_verdicts_is_named() {
    let path = recorded("replay-changed", "anonymous-after-user", "shared-pool");
    let content = std::fs::read_to_string(&path).unwrap();
    let replayed = |content: String| {
        std::fs::write(&path, content).unwrap();
        let output = stickler(&["replay", &path]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let promises = content.lines().find(|line| line.starts_with("{\"promises\":{")).unwrap();
    let other = "{\"promises\":{\"persistence\":{\"secs\":77,\"nanos\":0},\"cookie\":\"abc\"}}";
    let out = replayed(content.replacen(promises, other, 1));
    assert!(out.contains("  `persistence`\n  recorded: {\"nanos\":0,\"secs\":77}\n  now:      null\n"), "{out}");
    assert!(out.contains("  `cookie`\n  recorded: \"abc\"\n  now:      (nothing)\n"), "{out}");

    let verdict = |id: &str| {
        let start = format!("{{\"verdict\":{{\"requirement\":\"{id}\"");
        content.lines().find(|line| line.starts_with(&start)).unwrap()
    };
    let missing = content.replacen(&format!("{}\n", verdict("HS-1")), "", 1);
    let out = replayed(missing);
    assert!(out.contains("the events are equal, and HS-1 is judged differently\n  recorded: no verdict\n"), "{out}");
    let changed = verdict("ID-2").replacen("\"violated\"", "\"ok\"", 1);
    let out = replayed(content.replacen(verdict("ID-2"), &changed, 1));
    assert!(out.contains("and ID-2 is judged differently") && out.contains("now:      violated: mallory's"), "{out}");
}

/// Runs a script, and replays the recorded run.
fn replayed_script(name: &str, source: &str, balancer: &str) -> (Output, Output) {
    let folder = folder(name);
    let script = folder.join("script.star");
    std::fs::write(&script, source).unwrap();
    let into = folder.join("recorded");
    let run = stickler(&["run", script.to_str().unwrap(), "-b", balancer, "--record", into.to_str().unwrap()]);
    let file = into.join("script").join(balancer).join("0.jsonl");
    let replay = stickler(&["replay", file.to_str().unwrap()]);
    (run, replay)
}

#[test]
fn the_longest_that_a_script_may_send_is_replayed() {
    let source = "alice = browser(\"alice\")\nalice.get(\"/\")\nalice.send_raw(\"\\x7f\" * (1 << 20))\n\
                  alice.post(\"/\", \"\\x7f\" * (1 << 20))\nprint(\"x\" * 5000000)\nexpect(False, \"x\" * 5000000)\n";
    let (run, replay) = replayed_script("replay-long", source, "l4-nat");
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    assert_eq!(replay.status.code(), Some(0), "{}{}", text(&replay.stdout), text(&replay.stderr));
    assert!(text(&replay.stdout).contains(": equal, "), "{}", text(&replay.stdout));
}

#[test]
fn what_is_too_long_for_a_plan_is_the_scripts_error_and_what_came_before_it_is_replayed() {
    for (name, wrong, why) in [
        ("raw", "alice.send_raw(\"x\" * 5000000)", "one action can send at most 1048576 raw bytes"),
        ("text", "alice.post(\"/\", \"x\" * 5000000)", "the text of a body can have at most 1048576 bytes"),
        (
            "fields",
            "alice.get(\"/\", headers = {\"X%d\" % n: \"y\" for n in range(30000)})",
            "at most 1000 header fields",
        ),
        ("password", "curl(\"bob\", password = \"x\" * 5000000)", "at most 1000 bytes each"),
        ("host", "browser(\"bob\", host = \"x\" * 5000000)", "is not a valid host"),
        ("drain", "drain(\"x\" * 5000000)", "is not a valid name"),
    ] {
        let source = format!("alice = browser(\"alice\")\nalice.get(\"/\")\n{wrong}\n");
        let (run, replay) = replayed_script(&format!("replay-too-long-{name}"), &source, "l4-nat");
        assert_eq!(run.status.code(), Some(2), "{name}: {}", text(&run.stdout));
        let error = text(&run.stderr);
        assert!(error.contains("script.star:3:") && error.contains(why), "{name}: {error:.2000}");
        assert_eq!(replay.status.code(), Some(0), "{name}: {}{}", text(&replay.stdout), text(&replay.stderr));
    }
}

#[test]
fn where_nothing_can_be_recorded_nothing_is_run() {
    let folder = folder("record-nowhere");
    let file = folder.join("file");
    std::fs::write(&file, "x").unwrap();
    let mut places = vec![file.to_str().unwrap().to_owned()];
    if cfg!(unix) {
        places.push("/dev/null".into());
    }
    if cfg!(target_os = "linux") {
        places.push("/sys/x".into());
    }
    #[cfg(unix)]
    {
        let link = folder.join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        places.push(link.to_str().unwrap().to_owned());
    }
    for place in places {
        let output = stickler(&["run", "parity", "-b", "l4-nat", "--record", &place]);
        assert_eq!(output.status.code(), Some(2), "{place}");
        let error = text(&output.stderr);
        assert!(error.contains(&format!("nothing can be recorded in {place}: ")), "{error}");
        assert_eq!(text(&output.stdout), "", "nothing was run");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
}

#[test]
fn a_file_that_cannot_be_written_later_costs_no_result() {
    let folder = folder("record-later");
    // The scenario's folder is a file in this case.
    std::fs::write(folder.join("parity"), "x").unwrap();
    let into = folder.to_str().unwrap();
    let output = stickler(&["run", "parity", "-b", "l4-nat", "-b", "pin-on-401", "--record", into]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("2 runs, 2 as expected"), "{}", text(&output.stdout));
    let error = text(&output.stderr);
    assert!(error.contains("cannot write ") && error.contains("; and 1 more of the files"), "{error}");
}

#[test]
fn a_run_without_a_trace_is_said_to_be_not_recorded() {
    let folder = folder("record-untraced");
    let script = folder.join("script.star");
    std::fs::write(&script, "site(front = \"no-such\")\ncurl(\"alice\").get(\"/\")\n").unwrap();
    let into = folder.join("recorded");
    let output = stickler(&["run", script.to_str().unwrap(), "-b", "l4-nat", "--record", into.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("1 of 1 runs not recorded: without a trace"), "{}", text(&output.stderr));
    assert!(!into.join("script").exists());
}

/// A replay sees that the events are the same, and not that somebody changed what no event shows.
#[test]
fn a_record_that_was_edited_contradicts_itself_at_a_line() {
    let path = recorded("replay-edited", "anonymous-after-user", "l4-nat");
    let content = std::fs::read_to_string(&path).unwrap();
    let line_of = |key: &str| content.lines().position(|line| line.starts_with(&format!("{{\"{key}\""))).unwrap() + 1;
    for (line, from, to) in [
        (1, "\"seed\":3", "\"seed\":5"),
        (1, "\"scenario\":\"anonymous-after-user\"", "\"scenario\":\"another\""),
        (line_of("expected"), "\"ID-2\":[\"ok\"]", "\"ID-2\":[\"violated\"]"),
        (line_of("end"), "\"complete\"", "{\"skipped\":\"x\"}"),
    ] {
        assert!(content.contains(from), "{content}");
        std::fs::write(&path, content.replacen(from, to, 1)).unwrap();
        for more in [&["--arm", "sim"][..], &["--format", "json"], &["--shrink"]] {
            let output = stickler(&[&["replay", &path], more].concat());
            assert_eq!(output.status.code(), Some(2), "{to}: {}", text(&output.stdout));
            let error = text(&output.stderr);
            assert!(error.contains(&format!("{path}:{line}: the line does not agree")), "{error}");
            assert!(error.contains("the file contradicts itself"), "{error}");
            if more.contains(&"json") {
                let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                let place = &document["errors"][0]["place"];
                assert_eq!((&place["file"], &place["line"]), (&path.clone().into(), &line.into()), "{document}");
                assert_eq!(document["replays"][0]["outcome"], "wrong", "{document}");
            }
        }
    }
}

#[test]
fn a_file_that_an_editor_left_without_its_last_line_end_is_whole() {
    let path = recorded("replay-unended", "lone-one-backend", "l4-nat");
    let content = std::fs::read_to_string(&path).unwrap();
    for whole in [content.trim_end().to_owned(), content.replace('\n', "\r\n")] {
        std::fs::write(&path, whole).unwrap();
        let output = stickler(&["replay", &path]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(": equal, "), "{}", text(&output.stdout));
    }
}

#[test]
fn a_file_beyond_the_limit_is_refused_by_its_length() {
    let path = folder("replay-large").join("large.jsonl");
    // The file has a length, and no content.
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let output = stickler(&["replay", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("large.jsonl: the file is longer than 536870912 bytes, the limit of a run file"), "{error}");
}
