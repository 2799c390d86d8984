//! Health checks by a command of the operator, on real sockets only.
//!
//! The command gets the arguments `host port uri user find`, and the user's password in the environment variable
//! [`PASSWORD`]. Every user of the machine can read arguments (`ps`), but only the process's own user can read its
//! environment. The published script on which this is based takes the password as an argument instead. Exit status 0
//! means up.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use stickler_lb_core::health::{CheckRule, Probe};
use stickler_lb_core::{Backend, Text};
use stickler_lb_proxy::BoxFuture;
use stickler_lb_proxy::health::Prober;
use stickler_model::{Identity, Name, escape};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::Supervisor;

/// The environment variable with the password of the check's user. It is not set if the check has no user.
pub const PASSWORD: &str = "STICKLER_CHECK_PASSWORD";

/// The number of bytes that are kept of a command's standard output, and of its standard error. Further output is read,
/// so that the command is not blocked, and dropped.
const KEPT: usize = 2048;

/// The time for reading the output that a command wrote before it ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A function that is called for each check that failed.
pub type CheckSink = Arc<dyn Fn(CheckFailure) + Send + Sync>;

/// The report of a check by command that found a backend down.
#[derive(Debug, thiserror::Error)]
#[error("the check of {backend} failed: {why}{}", told(.output))]
pub struct CheckFailure {
    /// The backend.
    pub backend: Name,
    /// Why the check failed.
    pub why: CheckEnd,
    /// The start of the command's output: at most 2 KiB of standard output, followed by at most as much of standard
    /// error. A backend may have influenced it, so it is shown in one line and escaped.
    pub output: String,
}

/// The way in which a check by command failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckEnd {
    /// The command ended with a status other than 0.
    #[error("the command ended with {0}")]
    Status(ExitStatus),
    /// The command did not end in time, and was killed with everything that it had started.
    #[error("the command did not end within {0:?} and was killed")]
    Late(Duration),
    /// The command could not be started, or could not be waited for.
    #[error("the command `{}` cannot be run: {error}", program.display())]
    Unable {
        /// The command.
        program: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

/// Checks each backend with a command.
///
/// The command runs in its own process group. The group is killed when the command's time is up, when the check is
/// dropped, and when the command itself has ended and left processes behind. (On systems other than Unix, only the
/// command is killed.) With a [`Supervisor`], the group is also killed when this process ends, however it ends.
pub struct CheckCommand {
    program: PathBuf,
    supervisor: Option<Supervisor>,
    uri: Text,
    find: Text,
    user: String,
    password: Option<String>,
    limit: Duration,
    failed: Option<CheckSink>,
}

impl CheckCommand {
    /// Returns checks by this program, as `user`, with the time limit, the URI and the string of this rule; if the rule
    /// has none, they are `/` and the empty string. Each failure is reported to `failed`.
    pub fn new(program: PathBuf, rule: &CheckRule, user: Option<&Identity>, failed: Option<CheckSink>) -> Self {
        let (uri, find) = match &rule.probe {
            Probe::Tcp => ("/".into(), "".into()),
            Probe::Http { uri, expect } => (uri.clone(), expect.find.clone()),
            Probe::Logon { uri, find, .. } => (uri.clone(), find.clone()),
        };
        let password = user.map(|user| user.password.clone());
        let user = user.map(|user| user.principal.to_string()).unwrap_or_default();
        Self { program, supervisor: None, uri, find, user, password, limit: rule.timeout, failed }
    }

    /// Returns the same checks under a supervisor, if there is one.
    #[must_use]
    pub fn supervised(self, supervisor: Option<Supervisor>) -> Self {
        Self { supervisor, ..self }
    }

    /// Runs the command once.
    async fn ask(&self, address: SocketAddr) -> Result<(), (CheckEnd, String)> {
        let unable = |error| CheckEnd::Unable { program: self.program.clone(), error };
        let mut running = Running::start(self.command(address)).map_err(|error| (unable(error), String::new()))?;
        let why = match timeout(self.limit, running.end()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => CheckEnd::Status(status),
            Ok(Err(error)) => unable(error),
            Err(_) => CheckEnd::Late(self.limit),
        };
        running.kill();
        Err((why, running.said()))
    }

    fn command(&self, address: SocketAddr) -> Command {
        let mut command = if let Some(supervisor) = &self.supervisor {
            supervisor.command(&self.program)
        } else {
            let mut command = Command::new(&self.program);
            command.stdin(Stdio::null());
            #[cfg(unix)]
            command.process_group(0);
            command
        };
        command.arg(address.ip().to_string()).arg(address.port().to_string());
        command.args([&*self.uri, &self.user, &*self.find]);
        match &self.password {
            Some(password) => command.env(PASSWORD, password),
            None => command.env_remove(PASSWORD),
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Prober for CheckCommand {
    fn probe<'a>(&'a self, _index: usize, backend: &'a Backend) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Err((why, output)) = self.ask(backend.address).await else { return true };
            if let Some(failed) = &self.failed {
                failed(CheckFailure { backend: backend.name.clone(), why, output });
            }
            false
        })
    }
}

/// A command in progress, and its output so far.
struct Running {
    child: Child,
    /// The process group of the command, until it is killed.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
    /// The pipe whose end a supervisor reads when this process ends.
    _pipe: Option<ChildStdin>,
    stdout: Said<ChildStdout>,
    stderr: Said<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        let (stdout, stderr) = (Said::new(child.stdout.take()), Said::new(child.stderr.take()));
        #[cfg(unix)]
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self {
            child,
            #[cfg(unix)]
            group,
            _pipe: pipe,
            stdout,
            stderr,
        })
    }

    /// Waits for the command alone. Processes that it has started in the background may live longer, and hold its
    /// output open.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let Self { child, stdout, stderr, .. } = self;
        let listening = async {
            tokio::join!(stdout.listen(), stderr.listen());
            std::future::pending().await
        };
        let status = tokio::select! {
            biased;
            status = child.wait() => status?,
            never = listening => never,
        };
        self.kill();
        let rest = async { tokio::join!(self.stdout.listen(), self.stderr.listen()) };
        // A process that has left the group may still hold its output, and is not waited for.
        let _ = timeout(LAST_WORDS, rest).await;
        Ok(status)
    }

    /// Kills the rest of the command's process group. This happens only once, and right after the command was waited
    /// for, so no other group has its number yet.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group.take() {
            // There may be no process left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
    }

    fn said(&self) -> String {
        let all = [self.stdout.kept.as_slice(), &self.stderr.kept].concat();
        String::from_utf8_lossy(&all).trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The start of the output from a pipe.
struct Said<P> {
    pipe: Option<P>,
    kept: Vec<u8>,
}

impl<P: AsyncRead + Unpin> Said<P> {
    const fn new(pipe: Option<P>) -> Self {
        Self { pipe, kept: Vec::new() }
    }

    /// Reads to the end, and keeps the start.
    async fn listen(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = pipe.read(&mut piece).await {
            let room = KEPT - self.kept.len();
            self.kept.extend_from_slice(&piece[..count.min(room)]);
        }
    }
}

fn told(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; it said: {}", escape::line(output)) }
}
