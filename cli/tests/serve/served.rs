//! A running `stickler serve`, and the real curl.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A site that runs until it is dropped.
pub(crate) struct Served {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    /// The URL of the balancer, with a slash at its end.
    pub(crate) url: String,
    /// The URLs of the servers, each with a slash at its end.
    pub(crate) servers: Vec<String>,
    /// The folder with the certificate that curl is to trust; `None` without TLS.
    authority: Option<TempDir>,
}

impl Served {
    /// Starts a site with this balancer, this number of servers and more arguments.
    pub(crate) fn start(balancer: &str, servers: u32, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
        command.args(["serve", "--balancer", balancer, "--iis", &servers.to_string()]).args(more);
        let mut served = Self::of(command);
        let mut line = String::new();
        while !line.starts_with("Ctrl-C") {
            line = served.line();
            let url = || line.split_whitespace().last().expect("an address").to_owned();
            if line.starts_with("balancer ") {
                served.url = url();
            } else if line.starts_with("server ") {
                served.servers.push(url());
            }
        }
        served
    }

    /// Starts this command. None of its output is read yet.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the command starts");
        let output = process.stdout.take().map(BufReader::new);
        Self { process, output, url: String::new(), servers: Vec::new(), authority: None }
    }

    /// Waits for the next line of the command's output, and returns it.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().expect("stdout is piped");
        assert_ne!(output.read_line(&mut line).expect("stdout is text"), 0, "serve ended early");
        line.truncate(line.trim_end().len());
        line
    }

    /// Starts a site with TLS. `upstream` is the TLS between the balancer and the servers.
    pub(crate) fn secure(balancer: &str, servers: u32, upstream: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = certificate(&directory);
        let mut served = Self::start(balancer, servers, &[&["--tls", upstream, "--ca-file", &file], more].concat());
        served.authority = Some(directory);
        served
    }

    /// Makes a curl command trust this site.
    pub(crate) fn introduce(&self, curl: &mut Command) {
        if let Some(directory) = &self.authority {
            curl.args(["--cacert", &certificate(directory)]);
        }
    }

    /// Returns the status and the body of a request by the real curl.
    pub(crate) fn curl(&self, arguments: &[&str]) -> (String, String) {
        let mut command = Command::new("curl");
        self.introduce(&mut command);
        command.args(arguments).arg(format!("{}path", self.url));
        status_and_body(command)
    }

    /// Returns the status and the body of a request as alice, by NTLM.
    pub(crate) fn alice(&self, more: &[&str]) -> (String, String) {
        self.curl(&[&["--ntlm", "-u", "CORP\\alice:Alice-Pa55word"], more].concat())
    }

    /// Sends Ctrl-C and waits for the end. Returns the exit code and the rest of the output.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, String) {
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
        // The process has ended already, or ends now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn certificate(directory: &TempDir) -> String {
    directory.path().join("authority.pem").display().to_string()
}

/// Runs a curl command that has its arguments, and returns the status and the body.
pub(crate) fn status_and_body(mut curl: Command) -> (String, String) {
    curl.args(["--silent", "--noproxy", "*", "--max-time", "20", "--write-out", "\n%{http_code}"]);
    let output = curl.output().expect("curl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("curl writes the status last");
    (status.to_owned(), body.to_owned())
}

/// Returns whether one of these programs is not installed. If they are required, a missing one fails the test.
pub(crate) fn is_missing(programs: &[&str]) -> bool {
    let absent = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    let Some(missing) = programs.iter().find(absent) else { return false };
    assert!(std::env::var_os("STICKLER_REQUIRE_PEERS").is_none(), "{missing} is not installed");
    eprintln!("SKIPPED: {missing} is not installed");
    true
}
