//! The limits of `stickler serve`: it leaves no processes behind, opens only the requested addresses, and overwrites
//! nobody else's files.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::served::Served;

const PLENTY: Duration = Duration::from_secs(30);

/// Waits until `look` returns a value, and returns that.
#[expect(clippy::disallowed_methods, reason = "processes of the operating system end in real time")]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PLENTY;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PLENTY:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Returns whether a process runs. A process that has ended and that nobody has waited for is a zombie, and does not
/// run.
fn runs(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn send(signal: &str, id: u32) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().expect("kill starts").success());
}

/// Writes a script into this folder, and returns its path.
fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("check");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A check that never ends, with a child that never ends either. Both write their process ids into a file.
const HANGS: &str = "sleep 600 & echo $! $$ >> \"$(dirname \"$0\")/ids\"; wait";

fn serve(arguments: &[&str]) -> Child {
    // If the tests were started with `nohup`, every process ignores SIGHUP.
    Command::new("env")
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_stickler"), "serve", "--iis", "1"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts")
}

#[test]
fn commands_of_checks_end_with_the_server_however_that_ends() {
    for signal in ["-KILL", "-HUP", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = serve(&["--check-command", &script(folder.path(), HANGS)]);
        let ids = folder.path().join("ids");
        let ids = eventually("a check is under way", || {
            let text = fs::read_to_string(&ids).unwrap_or_default();
            text.ends_with('\n').then(|| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        });
        assert!(ids.iter().any(|id| runs(id)), "{ids:?}");
        send(signal, server.id());
        server.wait().unwrap();
        eventually("everything has ended", || (!ids.iter().any(|id| runs(id))).then_some(()));
    }
}

/// Returns the command of a supervisor as `serve` starts it.
fn supervise(command: &[&str]) -> Command {
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_stickler"));
    supervisor.args(["supervise"]).args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    supervisor.process_group(0);
    supervisor
}

#[test]
fn a_supervisor_ends_with_its_programs_status_and_output_while_its_parent_lives() {
    let mut child = supervise(&["sh", "-c", "echo \"$1\"; echo two >&2; exit 7", "sh", "--one"]).spawn().unwrap();
    let pipe = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(7), &b"--one\n"[..], &b"two\n"[..]));
    drop(pipe);
    let mut killed = supervise(&["sh", "-c", "kill -TERM $$"]).spawn().unwrap();
    let pipe = killed.stdin.take();
    assert_eq!(killed.wait().unwrap().code(), Some(128 + 15));
    drop(pipe);
    let mut missing = supervise(&["/nonexistent/check"]).spawn().unwrap();
    let pipe = missing.stdin.take();
    let output = missing.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("the program `/nonexistent/check` cannot run: No such")
    );
    drop(pipe);
}

#[test]
fn a_supervisor_kills_its_group_when_the_pipe_ends_or_when_it_is_asked_to_end() {
    for signal in [None, Some("-TERM"), Some("-HUP")] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = supervise(&[&script(folder.path(), HANGS)]).spawn().unwrap();
        let pipe = child.stdin.take();
        let ids = folder.path().join("ids");
        let ids = eventually("it runs", || fs::read_to_string(&ids).ok().filter(|text| text.ends_with('\n')));
        match signal {
            None => drop(pipe),
            Some(signal) => send(signal, child.id()),
        }
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        eventually("the group has ended", || (!ids.split_whitespace().any(runs)).then_some(()));
    }
}

#[test]
fn a_supervisor_is_not_for_use_by_hand() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_stickler")).args(["supervise", "true"]).stdin(Stdio::piped()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not for use by hand"), "{output:?}");
}

/// Returns the announcement of a site, and its warnings.
fn announced(arguments: &[&str]) -> (String, String) {
    let mut server = serve(arguments);
    let (mut said, mut warned) = (String::new(), String::new());
    let mut output = BufReader::new(server.stdout.take().unwrap());
    while !said.contains("\nCtrl-C") {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "serve ended early: {said}");
    }
    server.kill().unwrap();
    server.stderr.take().unwrap().read_to_string(&mut warned).unwrap();
    server.wait().unwrap();
    (said, warned)
}

#[test]
fn beyond_this_machine_the_balancer_alone_is_open_and_it_is_said() {
    let address = |said: &str, who: &str| {
        let line = said.lines().find(|line| line.starts_with(who)).expect("everybody is named");
        let last = line.split_whitespace().find(|word| word.contains(':') && word.contains('.')).expect("an address");
        last.trim_start_matches("http://").split(':').next().unwrap().to_owned()
    };
    let who = ["balancer", "server", "DC", "KDC"];
    let (said, warned) = announced(&["--listen", "0.0.0.0"]);
    assert_eq!(who.map(|who| address(&said, who)), ["0.0.0.0", "127.0.0.1", "127.0.0.1", "127.0.0.1"], "{said}");
    assert!(warned.starts_with("stickler: warning: the balancer listens on 0.0.0.0, beyond this machine"), "{warned}");
    assert!(!warned.contains("the DC"), "{warned}");
    let (said, warned) = announced(&["--listen-dc", "0.0.0.0"]);
    assert_eq!(who.map(|who| address(&said, who)), ["127.0.0.1", "127.0.0.1", "0.0.0.0", "0.0.0.0"], "{said}");
    assert!(warned.contains("the DC listens on 0.0.0.0") && !warned.contains("the balancer"), "{warned}");
    assert_eq!(announced(&[]).1, "");
}

#[test]
fn files_that_somebody_else_has_written_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (conf, pem) = (file("krb5.conf"), file("ca.pem"));
    for (arguments, path) in [(vec!["--krb5-conf", &conf], &conf), (vec!["--tls", "--ca-file", &pem], &pem)] {
        for _ in 0..2 {
            drop(Served::start("l4-nat", 1, &arguments));
        }
        assert!(fs::read_to_string(path).unwrap().starts_with("# Written by stickler serve"));
        fs::write(path, "mine\n").unwrap();
        let output = serve(&arguments).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("stickler has not written it"), "{said}");
        assert_eq!(fs::read_to_string(path).unwrap(), "mine\n");
    }
}
