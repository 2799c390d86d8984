//! Real products with the same scenarios: `stickler run --arm wire`, and `compare`. A product that is not installed is
//! left out, unless `STICKLER_REQUIRE_PEERS=1`.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "real processes are started and looked for")]

mod peers;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

/// Returns the command, with a separate folder for temporary files.
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

/// Returns whether a product is installed. If it is missing and required, the test fails.
fn has(program: &str) -> bool {
    peers::needed(program).is_some()
}

/// Writes a profile into a file, in a separate folder.
fn own_profile(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.toml");
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (folder, path)
}

/// Returns the requirements that a run over a balancer violates.
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

/// Asserts that a run over a balancer violates these requirements and no others. Because time is real, a difference has
/// to occur twice.
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

/// Asserts the violations of further products with one user after another, if the program is installed. Each balancer
/// is given with its violated requirements.
fn user_after_user(program: &str, balancers: &[(&str, &[&str])]) {
    if has(program) {
        for (balancer, expected) in balancers {
            assert_violates(balancer, "user-after-user", expected);
        }
    }
}

/// The violations if users are mixed up; those if nobody can log on by NTLM; and those if all is well.
const LEAKS: &[&str] = &["ID-1", "ID-3"];
const FAILS: &[&str] = &["HS-1", "HS-2"];
const SOUND: &[&str] = &[];

#[test]
fn a_real_httpd_serves_one_user_as_another_unless_a_process_is_alone_with_its_pool() {
    user_after_user(
        "apache2",
        &[("httpd", LEAKS), ("httpd-disablereuse", FAILS), ("httpd-prefork", SOUND), ("httpd-sticky", LEAKS)],
    );
}

#[test]
fn a_real_caddy_serves_one_user_as_another() {
    user_after_user("caddy", &[("caddy", LEAKS), ("caddy-no-keepalive", FAILS)]);
}

#[test]
fn nobody_logs_on_through_a_real_lighttpd() {
    user_after_user("lighttpd", &[("lighttpd", FAILS)]);
}

/// The workers run as the user `nobody`, and write a body that is too long for their memory into the run's folder.
#[test]
fn a_real_nginx_takes_a_long_body() {
    if !has("nginx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let arguments = ["run", "in-chunks", "--arm", "wire", "--balancer", "nginx-keepalive", "--transcript"];
    let output = stickler(folder.path(), &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("100000 bytes") && !said.contains("receives 500"), "{said}");
}

#[test]
fn a_real_nginx_that_passes_bytes_keeps_users_apart() {
    if Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists() {
        user_after_user("nginx", &[("nginx-stream", SOUND)]);
    } else {
        assert!(!has("ngx_stream_module.so"), "libnginx-mod-stream is elsewhere");
    }
}

#[test]
fn a_real_varnish_serves_one_user_as_another_unless_it_pipes() {
    user_after_user("varnishd", &[("varnish", LEAKS), ("varnish-pipe", SOUND)]);
}

#[test]
fn a_real_squid_keeps_users_apart_and_can_be_told_to_let_nobody_log_on() {
    user_after_user("squid", &[("squid", SOUND), ("squid-no-connection-auth", &["HS-1"])]);
}

#[test]
fn a_real_pen_keeps_users_apart() {
    user_after_user("pen", &[("pen", SOUND), ("pen-roundrobin", SOUND)]);
}

#[test]
fn nobody_logs_on_through_a_real_traffic_server_unless_it_shares_what_was_authenticated() {
    user_after_user("traffic_server", &[("trafficserver", FAILS), ("trafficserver-not-private", LEAKS)]);
}

/// Debian has no package of Envoy, so Envoy is not required together with the other products.
#[test]
fn a_real_envoy_serves_one_user_as_another_unless_each_client_has_a_pool() {
    if peers::find("envoy").is_some() {
        user_after_user("envoy", &[("envoy", LEAKS), ("envoy-per-downstream", SOUND)]);
    }
}

/// Products that can drain a server give it no new sessions. All other products are skipped with their reason.
#[test]
fn a_server_is_drained_by_the_products_own_means() {
    for (program, balancer) in [("haproxy", "haproxy-tcp"), ("pen", "pen-roundrobin"), ("varnishd", "varnish-pipe")] {
        if has(program) {
            assert_violates(balancer, "drain", &[]);
        }
    }
    if has("lighttpd") {
        let output = run(&["run", "drain", "--arm", "wire", "--balancer", "lighttpd"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("lighttpd cannot drain a server"), "{said}");
    }
}

/// Returns the files of shared memory, which products leave behind when they are killed.
fn shared_memory() -> Vec<String> {
    let files = fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("ShM.") || name.starts_with("stickler"));
    names
}

#[test]
fn the_kernels_nat_keeps_users_apart_in_a_network_of_its_own() {
    // If no namespace can be created, there is no network to change.
    let namespace =
        Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).stderr(Stdio::null()).status();
    if has("nft") && namespace.is_ok_and(|status| status.success()) {
        for profile in ["linux-dnat", "linux-snat", "linux-dnat-source"] {
            assert_violates(profile, "user-after-user", &[]);
            assert_violates(profile, "one-shot", &[]);
        }
    }
}

#[test]
fn our_own_balancers_do_on_real_sockets_what_they_do_in_the_simulation() {
    assert_violates("pin-on-401", "user-after-user", &[]);
    assert_violates("shared-pool", "user-after-user", &["ID-1", "ID-3"]);
}

#[test]
fn faults_are_injected_and_excused() {
    // The scenarios contain a crash and a restart of a server, a hang, held links, and connections that are reset.
    for scenario in ["restart", "pinned-reset", "blame"] {
        assert_violates("pin-on-401", scenario, &[]);
    }
}

#[test]
fn what_real_sockets_cannot_do_is_skipped_with_its_reason() {
    let output = run(&["run", "power-loss", "--arm", "wire", "--balancer", "pin-on-401"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("skipped") && said.contains("can lose power only in a network namespace"), "{said}");
    assert_eq!(output.status.code(), Some(3), "nothing was judged");
}

/// A server without power answers nothing, so a balancer without checks sends requests to it until the client gives up.
#[test]
fn a_server_loses_power_in_a_network_of_its_own() {
    let script = r#"
site(backends = 1)
nobody = browser("nobody", user = None, patience = 2)
nobody.get("/").expect(status = 401)
power_loss("iis1")
nobody.get("/").expect(status = None)
restart("iis1")
nobody.disconnect()
nobody.get("/").expect(status = 401)
"#;
    let own_network = |balancer: &str, file: &Path| {
        let stickler = env!("CARGO_BIN_EXE_stickler");
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", stickler, "run"]).arg(file);
        command.args(["--arm", "wire", "--balancer", balancer]).output().unwrap()
    };
    let namespace = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    if has("nft") && namespace.is_ok_and(|status| status.success()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("powerless.star");
        fs::write(&file, script).unwrap();
        for balancer in ["l4-splice", "pin-on-401", "linux-dnat"] {
            let output = own_network(balancer, &file);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{balancer}: {said}");
        }
    }
}

#[test]
fn a_profile_and_its_product_are_compared_verdict_by_verdict() {
    if has("haproxy") && has("nginx") {
        for profile in ["haproxy-always", "nginx-keepalive"] {
            let output = run(&["compare", profile, "--scenario", "user-after-user", "--trials", "2", "--seeds", "2"]);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert!(said.contains("in 1 scenario are equal, 0 differ"), "{said}");
        }
        let json = ["--trials", "1", "--seeds", "1", "--format", "json"];
        let output = run(&[&["compare", "haproxy-never", "--scenario", "user-after-user"][..], &json].concat());
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let one = &document["comparisons"][0];
        assert_eq!((&one["profile"], &one["product"]), (&"haproxy-never".into(), &"haproxy".into()));
        assert_eq!(one["scenarios"][0]["cells"][0]["verdict"], "equal", "{document}");
    }
}

#[test]
fn a_profile_that_is_wrong_of_its_product_is_found_out() {
    if !has("haproxy") {
        return;
    }
    // The profile says `never`, but the configuration of the product does not.
    let text = r#"
        [[profile]]
        name = "ours"
        extends = "haproxy-always"
        without = ["pin", "prefer_last"]
        program = "haproxy"
        configuration = """
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen site
    bind {{ address }}
    http-reuse never
{% for server in servers %}
    server {{ server.name }} {{ server.address }}
{% endfor %}
"""
    "#;
    let (_folder, profile) = own_profile(text);
    let arguments = ["compare", "--profile", &profile, "--scenario", "user-after-user"];
    let output = run(&[&arguments[..], &["--trials", "2", "--seeds", "2"]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ID-1: violated in 2 of 2 simulated runs, and in 0 of 2 real ones"), "{said}");
}

#[test]
fn exceptions_are_of_profiles_scenarios_and_requirements_that_there_are() {
    let list = run(&["list", "--format", "json"]);
    let list = String::from_utf8(list.stdout).unwrap();
    for exception in stickler_catalogue::exceptions() {
        let profile = stickler_catalogue::profiles().iter().find(|profile| profile.name == exception.profile);
        assert!(profile.is_some_and(|profile| profile.program.is_some()), "{exception:?}");
        for name in [&exception.scenario, &exception.requirement] {
            assert!(list.contains(&format!("\"{name}\"")), "{exception:?}");
        }
    }
}

#[test]
fn a_recorded_run_over_a_product_is_performed_again_from_its_file_alone() {
    if !has("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("runs");
    let record = record.to_str().unwrap();
    let output = run(&["run", "user-after-user", "--arm", "wire", "--balancer", "haproxy-safe", "--record", record]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let file = format!("{record}/user-after-user/haproxy-safe/0.jsonl");
    for arguments in [&["replay", &file][..], &["replay", &file, "--arm", "sim"]] {
        let output = run(arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(": equal, ") && said.contains("nothing violated"), "{said}");
    }
}

#[test]
fn a_product_that_refuses_its_configuration_is_quoted() {
    if !has("haproxy") {
        return;
    }
    let text = r#"
        [[profile]]
        name = "ours"
        extends = "haproxy-safe"
        program = "haproxy"
        configuration = "listen site\n    bind {{ address }}\n    http-reuse sometimes\n"
    "#;
    let (_folder, profile) = own_profile(text);
    let output = run(&["run", "user-after-user", "--arm", "wire", "--profile", &profile]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("haproxy ended before it listened") && said.contains("only supports"), "{said}");
}

/// Returns the ids of the processes that have this text in their command lines.
fn processes(text: &str) -> Vec<u32> {
    let is_theirs = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(is_theirs).collect()
}

/// Kills the command, or the supervisor that it started, while a product runs. Nothing of the product may be left.
fn kill_at(balancer: &str, moment: Duration, supervisor: bool) {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().to_str().unwrap();
    let mut child = stickler(
        folder.path(),
        &["run", "user-after-user", "interleaved", "--arm", "wire", "--balancer", balancer, "--jobs", "1"],
    )
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
    // Without its supervisor, a product continues until the run is over.
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

/// Products that consist of several processes, or that are not children of their own supervisor: the workers of a
/// master, the child of a manager.
const FAMILIES: [(&str, &str); 5] = [
    ("nginx", "nginx-keepalive"),
    ("apache2", "httpd"),
    ("varnishd", "varnish"),
    ("squid", "squid"),
    ("traffic_server", "trafficserver"),
];

#[test]
fn nothing_is_left_of_a_product_whoever_is_killed() {
    let before = shared_memory();
    let families = FAMILIES.into_iter().filter(|(program, _)| has(program));
    for (index, (_, balancer)) in families.enumerate() {
        for step in 0..2 {
            kill_at(balancer, Duration::from_millis(150 + 63 * index as u64 + 400 * step), step == 0);
        }
    }
    let until = Instant::now() + Duration::from_secs(10);
    // Other tests of this file run products at the same time.
    while let left @ [_, ..] =
        &shared_memory().into_iter().filter(|file| !before.contains(file)).collect::<Vec<_>>()[..]
    {
        assert!(Instant::now() < until, "shared memory is left: {left:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "kills a hundred runs, for minutes; the CI step `products` runs it"]
fn nothing_is_left_of_a_hundred_products() {
    let families: Vec<_> = FAMILIES.into_iter().filter(|(program, _)| has(program)).collect();
    for (step, (_, balancer)) in (0..100).zip(families.into_iter().cycle()) {
        kill_at(balancer, Duration::from_millis(5 + 17 * step % 1500), step % 3 == 0);
    }
}
