//! Real products under the same scenarios: `stickler run --arm wire`, and `compare`. A product that is not installed is left out,
//! unless `STICKLER_REQUIRE_PEERS=1`.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "real processes are started and looked for")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// The command, with a folder for temporary files of its own.
fn stickler(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    command.args(arguments).env("TMPDIR", folder).env("NO_COLOR", "1");
    command
}

/// Runs the command to its end, in a folder that has to be empty afterwards.
fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = stickler(folder.path(), arguments).output().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "run folders are removed");
    output
}

/// Whether a product is there; fails where it has to be.
fn has(program: &str) -> bool {
    let there =
        ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    let required = env::var_os("STICKLER_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(there || !required, "{program} is not installed, and STICKLER_REQUIRE_PEERS=1");
    there
}

/// The requirements that a run over a balancer violates.
fn violated(balancer: &str, scenario: &str) -> Vec<String> {
    let output = run(&["run", scenario, "--arm", "wire", "--balancer", balancer, "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["arm"], "wire");
    let verdicts = run["verdicts"].as_array().unwrap().iter();
    assert!(verdicts.len() > 0, "it was not skipped: {run}");
    let violated = verdicts.filter(|verdict| verdict["grade"] == "violated");
    violated.map(|verdict| verdict["requirement"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that a run over a balancer violates these requirements, and no other. Time is real: what differs has to differ again.
fn assert_violates(balancer: &str, scenario: &str, expected: &[&str]) {
    if violated(balancer, scenario) != expected {
        assert_eq!(violated(balancer, scenario), expected, "{scenario} over {balancer}, for the second time");
    }
}

#[test]
fn a_real_haproxy_keeps_users_apart_by_default() {
    if has("haproxy") {
        assert_violates("haproxy-safe", "user-after-user", &[]);
        assert_violates("haproxy-safe", "interleaved", &[]);
    }
}

#[test]
fn a_real_nginx_with_keepalive_serves_one_user_as_another() {
    if has("nginx") {
        assert_violates("nginx-keepalive", "user-after-user", &["ID-1", "ID-3"]);
    }
}

#[test]
fn our_own_balancers_do_on_real_sockets_what_they_do_in_the_simulation() {
    assert_violates("pin-on-401", "user-after-user", &[]);
    assert_violates("shared-pool", "user-after-user", &["ID-1", "ID-3"]);
}

#[test]
fn faults_are_injected_and_excused() {
    // A crash and a restart of a server, a hang, links that are held, connections that are reset.
    for scenario in ["restart", "pinned-reset", "blame"] {
        assert_violates("pin-on-401", scenario, &[]);
    }
}

#[test]
fn what_real_sockets_cannot_do_is_skipped_with_its_reason() {
    let output = run(&["run", "power-loss", "--arm", "wire", "--balancer", "pin-on-401"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("skipped") && said.contains("cannot lose power"), "{said}");
    assert_eq!(output.status.code(), Some(3), "nothing was judged");
}

#[test]
fn a_profile_and_its_product_are_compared_verdict_by_verdict() {
    if has("haproxy") && has("nginx") {
        for profile in ["haproxy-always", "nginx-keepalive"] {
            let output = run(&["compare", profile, "--scenario", "user-after-user", "--trials", "2", "--seeds", "2"]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert!(said.contains("in 1 scenarios are equal, 0 differ"), "{said}");
        }
    }
}

#[test]
fn a_product_that_refuses_its_configuration_is_quoted() {
    if !has("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("ours.toml");
    let text = r#"
        [[profile]]
        name = "ours"
        extends = "haproxy-safe"
        program = "haproxy"
        configuration = "listen site\n    bind {{ address }}\n    http-reuse sometimes\n"
    "#;
    fs::write(&profile, text).unwrap();
    let output = run(&["run", "user-after-user", "--arm", "wire", "--profile", profile.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("haproxy ended before it listened") && said.contains("only supports"), "{said}");
}

/// The processes that have this text in their command line, by number.
fn processes(text: &str) -> Vec<u32> {
    let is_theirs = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(is_theirs).collect()
}

/// Kills this process, or the supervisor that it started, while a product runs; nothing is left of the product.
fn kill_at(moment: Duration, supervisor: bool) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().to_str().unwrap();
    let balancer = if has("nginx") { "nginx-keepalive" } else { "haproxy-safe" };
    let mut child =
        stickler(folder.path(), &["run", "identity", "--arm", "wire", "--balancer", balancer, "--jobs", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    thread::sleep(moment);
    let own_pid = child.id();
    let supervisors = processes(own).into_iter().filter(|&pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parent == Some(own_pid)
    });
    let victims: Vec<u32> = if supervisor { supervisors.collect() } else { vec![own_pid] };
    for pid in victims {
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    }
    // Without its supervisor a product goes on until the run is over.
    let _ = child.wait();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let (left, files) = (processes(own), fs::read_dir(folder.path()).unwrap().count());
        if left.is_empty() && files == 0 {
            return;
        }
        assert!(
            Instant::now() < until,
            "processes {left:?} and {files} folders are left of a run killed after {moment:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_left_of_a_product_whoever_is_killed() {
    if has("nginx") || has("haproxy") {
        for (index, moment) in (0..10).map(|step| Duration::from_millis(20 + 63 * step)).enumerate() {
            kill_at(moment, index % 2 == 0);
        }
    }
}

#[test]
#[ignore = "kills a hundred runs, for minutes; the CI step `products` runs it"]
fn nothing_is_left_of_a_hundred_products() {
    if has("nginx") || has("haproxy") {
        for step in 0..100 {
            kill_at(Duration::from_millis(5 + 17 * step % 1500), step % 2 == 0);
        }
    }
}
