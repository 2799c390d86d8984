//! A balancer that runs already: `stickler run --target`. HAProxy is started here by hand, as a user's own would be. It
//! is left out if it is not installed, unless `STICKLER_REQUIRE_PEERS=1`.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "a real balancer is started, and waited for")]

mod peers;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use serde_json::Value;
use tempfile::TempDir;

/// The options of a server whose return is noticed within half a second.
const CHECKED: &str = "check inter 200ms";

/// A HAProxy with one listener.
struct HaProxy {
    process: Child,
    address: SocketAddr,
    servers: Vec<SocketAddr>,
    folder: TempDir,
}

impl HaProxy {
    /// Starts HAProxy in front of this number of servers, if it is installed. `options` are those of a server.
    fn start(servers: usize, options: &str) -> Option<Self> {
        let installed = peers::needed("haproxy");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        let address = free(1)[0];
        // The ports stay open until the first checks have arrived, because HAProxy takes a server out of use at once if
        // its first check fails.
        let ports: Vec<_> = (0..servers).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let servers: Vec<_> = ports.iter().map(|port| port.local_addr().unwrap()).collect();
        let each = servers.iter().enumerate();
        let lines = each
            .map(|(index, server)| format!("    server s{index} {server} {options}\n"))
            .collect::<Vec<_>>()
            .concat();
        let text = format!(
            "global\n    nbthread 1\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    \
             timeout server 30s\nlisten site\n    bind {address}\n{lines}"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(installed?);
        let process = command.arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let haproxy = Self { process, address, servers, folder };
        for tries in 0.. {
            if TcpStream::connect(address).is_ok() {
                break;
            }
            assert!(tries < 1_000, "haproxy does not listen on {address}");
            thread::sleep(Duration::from_millis(10));
        }
        if options.contains("check") {
            // A connection of a health check cannot be accepted by a server, because HAProxy resets it before.
            thread::sleep(Duration::from_secs(2));
        }
        drop(ports);
        Some(haproxy)
    }

    /// Runs scenarios over HAProxy.
    fn run(&self, more: &[&str]) -> Output {
        let servers: Vec<String> = self.servers.iter().map(SocketAddr::to_string).collect();
        run(self.address, &servers.join(","), more)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // The process has ended already, or ends now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns addresses on which nobody listens.
fn free(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// Runs scenarios over the balancer that listens at the address.
fn run(address: SocketAddr, servers: &str, more: &[&str]) -> Output {
    let target = format!("http://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    command.args(["run", "--arm", "wire", "--target", &target, "--servers", servers]).args(more);
    command.env("NO_COLOR", "1").output().unwrap()
}

/// Returns the requirements that a run violated.
fn violated(output: &Output) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts = document["runs"][0]["verdicts"].as_array().unwrap();
    assert!(!verdicts.is_empty(), "it was not skipped: {}", said(output));
    let violated = verdicts.iter().filter(|verdict| verdict["grade"] == "violated");
    violated.map(|verdict| verdict["requirement"].as_str().unwrap().to_owned()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// Returns the requirements that a scenario violates over a fresh HAProxy, whose number of idle connections depends on
/// earlier requests.
fn over_target(scenario: &str) -> Option<Vec<String>> {
    Some(violated(&HaProxy::start(1, "")?.run(&[scenario, "--format", "json"])))
}

fn over_product(scenario: &str) -> Vec<String> {
    let arguments = ["run", scenario, "--arm", "wire", "--balancer", "haproxy-safe", "--format", "json"];
    violated(&Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().unwrap())
}

#[test]
fn a_haproxy_that_runs_gets_the_verdicts_of_one_that_is_started() {
    for (scenario, expected) in
        [("user-after-user", &[][..]), ("anonymous-after-user", &[]), ("interleaved", &[]), ("one-shot", &["ID-1"])]
    {
        let Some(mut seen) = over_target(scenario) else { return };
        // Because time is real, a difference has to occur twice.
        if seen != expected {
            seen = over_target(scenario).unwrap();
        }
        assert_eq!(seen, expected, "{scenario}");
        if over_product(scenario) != seen {
            assert_eq!(over_product(scenario), seen, "{scenario}");
        }
    }
}

#[test]
fn clean_is_a_statement_with_a_number() {
    let Some(haproxy) = HaProxy::start(1, "") else { return };
    let few = haproxy.run(&["user-after-user"]);
    assert_eq!(few.status.code(), Some(4), "{}", said(&few));
    assert!(said(&few).contains("inconclusive: no identity leak in 3 requests of 2 clients"), "{}", said(&few));
    let document: Value =
        serde_json::from_slice(&haproxy.run(&["user-after-user", "--format", "json"]).stdout).unwrap();
    assert_eq!(document["identity"][0]["conclusion"], "inconclusive", "{document}");
    let many = haproxy.run(&["crowd", "--repeat", "10"]);
    assert_eq!(many.status.code(), Some(0), "{}", said(&many));
    assert!(said(&many).contains(": clean: no identity leak in "), "{}", said(&many));
    assert!(said(&many).contains("(a leak of 1% per request would be missed with p = 0.0"), "{}", said(&many));
    let leak = haproxy.run(&["crowd-with-tickets", "--repeat", "3"]);
    assert!(said(&leak).contains(": users are mixed up, in "), "{}", said(&leak));
    assert_eq!(leak.status.code(), Some(1), "one leak is one: {}", said(&leak));
}

#[test]
fn servers_fail_and_come_back_behind_a_target_and_the_target_is_left_alone() {
    let Some(haproxy) = HaProxy::start(2, CHECKED) else { return };
    // A server crashes, which HAProxy has to notice; the next scenario finds both servers in use again.
    let output = haproxy.run(&["blame", "lone-two-backends", "user-after-user", "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    for run in document["runs"].as_array().unwrap() {
        assert!(run.get("skipped").is_none() && run.get("error").is_none(), "{run}");
    }
    let script = haproxy.folder.path().join("crash.star");
    fs::write(&script, "alice = browser(\"alice\")\nalice.get(\"/\")\ncrash(\"lb\")\n").unwrap();
    for (scenario, why) in [
        (script.to_str().unwrap(), "the target cannot crash, hang or start again: it is not Stickler that runs it"),
        ("drain", "the target cannot be told to drain a server"),
        ("backend-crash", "nobody knows when the target's health checks notice something"),
        ("offloaded", "the target has not TLS"),
    ] {
        let output = haproxy.run(&[scenario]);
        assert!(said(&output).contains(why), "{scenario}: {}", said(&output));
        assert_eq!(output.status.code(), Some(3), "{scenario}: nothing was judged");
    }
}

#[test]
fn what_a_target_is_said_to_behave_as_is_held_against_it() {
    let Some(haproxy) = HaProxy::start(2, CHECKED) else { return };
    let unknown = haproxy.run(&["lone-two-backends"]);
    assert!(said(&unknown).contains("not applicable: ID-4 ST-1 ST-3"), "{}", said(&unknown));
    let known = haproxy.run(&["lone-two-backends", "--balancer", "haproxy-safe"]);
    assert!(!said(&known).contains("not applicable"), "{}", said(&known));
    let several = haproxy.run(&["lone-two-backends", "--balancer", "haproxy-safe", "--balancer", "l4-nat"]);
    assert_eq!(several.status.code(), Some(2));
    assert!(said(&several).contains("can behave as only one of these: haproxy-safe, l4-nat"), "{}", said(&several));
}

#[test]
fn a_target_that_reaches_no_server_is_asked_about() {
    let nobody = free(2);
    let output = run(nobody[0], &nobody[1].to_string(), &["user-after-user", "--settle", "0.5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("answers nothing: Connection refused") && said(&output).contains("is it running?"),
        "{}",
        said(&output)
    );
    let Some(haproxy) = HaProxy::start(1, CHECKED) else { return };
    let elsewhere = free(1)[0];
    // The balancer tries for three seconds, until its checks have failed.
    let output = run(haproxy.address, &elsewhere.to_string(), &["user-after-user", "--settle", "6"]);
    let asked = format!("within 6 s: is it configured to send to {elsewhere}?");
    assert!(said(&output).contains("answers 503") && said(&output).contains(&asked), "{}", said(&output));
    let output =
        run(haproxy.address, &format!("{},{elsewhere}", haproxy.servers[0]), &["user-after-user", "--settle", "1"]);
    assert!(said(&output).contains(&format!("has not even connected to {elsewhere}")), "{}", said(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_no_target_is_refused() {
    for (arguments, why) in [
        (&["--target", "https://127.0.0.1", "--servers", "127.0.0.1:1", "--arm", "wire"][..], "without TLS"),
        (&["--target", "http://127.0.0.1", "--arm", "wire"], "--servers"),
        (&["--target", "http://127.0.0.1", "--servers", "127.0.0.1:1"], "a target is on real sockets: --arm wire"),
        (&["--target", "http://127.0.0.1", "--servers", "127.0.0.1:1", "--arm", "wire", "-j", "2"], "--jobs"),
        (&["--servers", "127.0.0.1:1"], "--target"),
        (&["--settle", "1d"], "a number of seconds"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stickler")).arg("run").args(arguments).output().unwrap();
        assert!(output.status.code() == Some(2) && said(&output).contains(why), "{arguments:?}: {}", said(&output));
    }
}
