//! `stickler serve` with the real curl: the same verdicts on real sockets.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A site that runs until it is dropped.
struct Served {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    url: String,
}

impl Served {
    fn start(balancer: &str, servers: &str) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_stickler"))
            .args(["serve", "--balancer", balancer, "--iis", servers])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        // Whole before anything can fail: dropping it ends the process.
        let mut served = Self { process, output: None, url: String::new() };
        let mut output = BufReader::new(served.process.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        while !line.starts_with("Ctrl-C") {
            line.clear();
            assert_ne!(output.read_line(&mut line).expect("stdout is text"), 0, "serve ended early");
            if let Some(rest) = line.strip_prefix("balancer") {
                served.url.push_str(rest.split_whitespace().last().expect("an address"));
            }
        }
        served.output = Some(output);
        served
    }

    /// Status and body of a request by the real curl.
    fn curl(&self, arguments: &[&str]) -> (String, String) {
        let output = Command::new("curl")
            .args(["--silent", "--noproxy", "*", "--max-time", "20", "--write-out", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}path", self.url))
            .output()
            .expect("curl starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("curl writes the status last");
        (status.to_owned(), body.to_owned())
    }

    fn alice(&self, more: &[&str]) -> (String, String) {
        self.curl(&[&["--ntlm", "-u", "CORP\\alice:Alice-Pa55word"], more].concat())
    }

    /// Ctrl-C, and waits for the end.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill starts").success());
        let code = self.process.wait().expect("the process ends").code();
        let rest =
            self.output.take().expect("it was read from").lines().map_while(Result::ok).collect::<Vec<_>>().join("\n");
        (code, rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Already ended, or ended now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether the real curl is there. Where it has to be, its absence fails the test.
fn curl_is_missing() -> bool {
    let missing = Command::new("curl").arg("--version").output().is_err();
    assert!(!missing || std::env::var_os("STICKLER_REQUIRE_PEERS").is_none(), "curl is not installed");
    if missing {
        eprintln!("SKIPPED: curl is not installed");
    }
    missing
}

#[test]
fn curl_logs_on_through_what_keeps_a_connection() {
    if curl_is_missing() {
        return;
    }
    for balancer in ["l4-nat", "pin-on-401"] {
        let served = Served::start(balancer, "2");
        let (status, body) = served.alice(&[]);
        assert_eq!(status, "200", "{balancer}: {body}");
        assert!(body.contains(r#""user":"CORP\\alice""#), "{balancer}: {body}");
        let (status, body) = served.alice(&["--data-binary", "a body of 24 bytes here."]);
        assert_eq!(status, "200", "{balancer}: {body}");
        assert!(body.contains(r#""length":24"#), "{balancer}: {body}");
        assert_eq!(served.curl(&[]).0, "401", "{balancer}: nobody's credentials");
        assert_eq!(served.curl(&["--ntlm", "-u", "CORP\\alice:wrong"]).0, "401", "{balancer}: a wrong password");
    }
}

#[test]
fn curl_fails_through_a_connection_for_each_request() {
    if curl_is_missing() {
        return;
    }
    assert_eq!(Served::start("close-per-request", "1").alice(&[]).0, "401");
}

#[test]
fn through_a_shared_pool_a_curl_without_credentials_is_served_as_alice() {
    if curl_is_missing() {
        return;
    }
    let served = Served::start("shared-pool", "1");
    assert_eq!(served.curl(&[]).0, "401", "before alice came");
    assert_eq!(served.alice(&[]).0, "200");
    let (status, body) = served.curl(&[]);
    assert_eq!(status, "200", "{body}");
    assert!(body.contains(r#""user":"CORP\\alice""#), "{body}");
}

#[test]
fn ctrl_c_ends_it_cleanly() {
    let (code, rest) = Served::start("pin-on-401", "2").interrupt();
    assert_eq!((code, rest.as_str()), (Some(0), "stopped"));
}
