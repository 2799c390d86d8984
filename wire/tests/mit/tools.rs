//! Programs of MIT Kerberos, each in its own directory.
#![expect(clippy::disallowed_methods, reason = "child processes live in real time")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The time that one program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The directories of daemons, which `PATH` may not contain.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// The output of a program.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    /// The text of standard output, followed by standard error.
    pub(crate) text: String,
}

/// A directory with a `krb5.conf`, a credential cache and whatever else a test puts there.
pub(crate) struct Desk {
    directory: TempDir,
}

impl Desk {
    /// Returns a desk with this `krb5.conf` if these programs are installed. Otherwise prints a note, and returns
    /// `None`.
    pub(crate) fn new(programs: &[&str], krb5_conf: &str) -> Option<Self> {
        if let Some(missing) = programs.iter().find(|program| find(program).is_none()) {
            assert!(
                std::env::var_os("STICKLER_REQUIRE_PEERS").is_none(),
                "`{missing}` is not installed (Debian: curl, krb5-user, krb5-kdc, krb5-admin-server)"
            );
            println!("skipped: `{missing}` is not installed (Debian: curl, krb5-user, krb5-kdc, krb5-admin-server)");
            return None;
        }
        let desk = Self { directory: tempfile::tempdir().unwrap() };
        desk.write("krb5.conf", krb5_conf.as_bytes());
        Some(desk)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Runs a program to its end, with `input` as its standard input.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> Said {
        let mut child = Running(self.command(program, arguments).stdin(Stdio::piped()).spawn().unwrap());
        // A program that asks for nothing may have ended already.
        let _ = child.0.stdin.take().unwrap().write_all(input.as_bytes());
        let begun = Instant::now();
        while child.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < LIMIT, "{program} {arguments:?} takes more than {LIMIT:?}");
            pause();
        }
        child.said()
    }

    /// Starts a program that ends when the value is dropped.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Running {
        Running(self.command(program, arguments).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Runs `kinit` with a password.
    pub(crate) fn kinit(&self, arguments: &[&str], password: &str) -> Said {
        self.run("kinit", arguments, &format!("{password}\n"))
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(find(program).unwrap());
        let cache = format!("FILE:{}", self.path("cache").display());
        command.args(arguments).env_clear().env("LC_ALL", "C").env("HOME", self.directory.path());
        command.env("KRB5_CONFIG", self.path("krb5.conf")).env("KRB5CCNAME", cache);
        command.env("KRB5_KDC_PROFILE", self.path("kdc.conf")).env("KRB5RCACHENAME", "none:");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Pauses briefly while another program works.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// A child process, which is killed when this value is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Ends the program, and returns its output so far.
    pub(crate) fn said(mut self) -> Said {
        let _ = self.0.kill();
        let status = self.0.wait().unwrap();
        let mut text = String::new();
        for pipe in [self.0.stdout.take().map(read), self.0.stderr.take().map(read)] {
            text.push_str(&pipe.unwrap());
        }
        Said { ok: status.success(), text }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(mut pipe: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn find(program: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}
