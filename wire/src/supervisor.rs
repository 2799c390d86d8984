//! A supervisor: a process that ends other processes when its parent has ended.
//!
//! A process that is killed (SIGKILL), or that ends with its terminal (SIGHUP), cannot end the processes that it has
//! started. Therefore it starts a supervisor in between:
//!
//! ```text
//! parent ── pipe to stdin ──▶ supervisor ──▶ program ──▶ whatever that starts
//!                             └────────── one process group ──────────┘
//! ```
//!
//! The supervisor leads a process group, and the program and its children are in it. The parent keeps the other end of
//! the pipe. However the parent ends, the operating system closes that end; the supervisor then reads the end of the
//! pipe, and kills the group, including itself. If the program ends first, the supervisor ends with the program's
//! status, and the parent kills the rest of the group.
//!
//! * [`Supervisor`]: the parent's side: how a supervisor is started.
//! * [`keep`]: the same for a folder, which is removed when the process that needed it has ended.
//! * [`supervise`]: the supervisor's side, which the program named there calls. `stickler` does so for a subcommand
//!   that its help does not show.

use std::ffi::OsString;
#[cfg(unix)]
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// The way in which a supervisor is started: a program that calls [`supervise`] with the arguments that follow these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Supervisor {
    /// Returns a supervisor that is this program with these arguments. Either `--folder` and a folder to keep are added
    /// to them, or `--`, the program to be supervised, and its own arguments.
    pub fn new(program: PathBuf, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { program, arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Returns a command for a program under supervision, to which arguments can be added. The child's standard input
    /// is the pipe. The group ends when the pipe is dropped, so it must be kept as long as the program may run.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.own();
        command.arg("--").arg(program);
        command
    }

    /// Returns a command that creates a folder and keeps it for as long as the command's standard input is open:
    /// [`keep`].
    #[must_use]
    pub fn keeping(&self, folder: &Path) -> Command {
        let mut command = self.own();
        command.arg("--folder").arg(folder).stdout(Stdio::piped());
        command
    }

    fn own(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        command
    }
}

/// Runs a program until it ends, and returns its exit code (128 plus the signal's number if a signal ended it, as in
/// shells). If standard input ends first, or on SIGHUP, SIGINT or SIGTERM, the function kills its process group,
/// including this process, and does not return. The program's own standard input is empty.
///
/// # Errors
/// The program cannot be started, this process does not lead a process group, or its standard input is not a pipe.
#[cfg(unix)]
pub fn supervise(program: &OsString, arguments: &[OsString]) -> io::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if rustix::process::getpgrp() != rustix::process::getpid() {
            // Other processes of the same group would be killed as well.
            return Err(io::Error::other("a supervisor leads a process group of its own: it is not for use by hand"));
        }
        let mut parent = Parent::on_standard_input()?;
        let mut child = std::process::Command::new(program);
        child.args(arguments).stdin(Stdio::null());
        let mut child = Command::from(child).spawn()?;
        tokio::select! {
            biased;
            status = child.wait() => status.map(code),
            () = parent.gone() => kill_group(),
        }
    })
}

/// Creates a folder that only this user can read (and through which, for root, the group of `nobody` can pass), writes
/// a line to standard output when it is ready, and removes it with its contents when standard input ends, or on SIGHUP,
/// SIGINT or SIGTERM.
///
/// # Errors
/// The folder cannot be created, or standard input is not a pipe.
#[cfg(unix)]
pub fn keep(folder: &Path) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut parent = Parent::on_standard_input()?;
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        let nobody = crate::products::nobody();
        if nobody != 0 {
            // nginx's workers, which run as nobody, have their temporary files below it.
            std::os::unix::fs::chown(folder, None, Some(nobody))?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o710))?;
        }
        // If the reader has ended by now, nobody reads the line, and the folder is removed at once.
        let _ = writeln!(io::stdout(), "made");
        parent.gone().await;
        // A program that is being killed may still write for a moment.
        for _ in 0..REMOVALS {
            let _ = std::fs::remove_dir_all(folder);
            crate::shared_memory::remove_with(folder);
            tokio::time::sleep(BETWEEN_REMOVALS).await;
            if !folder.exists() {
                break;
            }
        }
        Ok(())
    })
}

/// The number of times that a folder is removed if it exists again, and the time in between.
#[cfg(unix)]
const REMOVALS: u32 = 500;
#[cfg(unix)]
const BETWEEN_REMOVALS: std::time::Duration = std::time::Duration::from_millis(10);

/// The parent of this process.
#[cfg(unix)]
struct Parent {
    pipe: tokio::net::unix::pipe::Receiver,
    signals: [tokio::signal::unix::Signal; 3],
}

#[cfg(unix)]
impl Parent {
    fn on_standard_input() -> io::Result<Self> {
        use std::os::fd::AsFd as _;

        use tokio::signal::unix::{SignalKind, signal};

        let pipe = io::stdin().as_fd().try_clone_to_owned()?;
        let signals =
            [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { pipe: tokio::net::unix::pipe::Receiver::from_owned_fd(pipe)?, signals })
    }

    /// Waits until the parent has ended, or asks this process to end.
    async fn gone(&mut self) {
        use tokio::io::AsyncReadExt as _;

        let [hangup, interrupt, terminate] = &mut self.signals;
        let pipe = &mut self.pipe;
        let ended = async {
            // Nothing is ever written into it.
            let mut bytes = [0; 64];
            while let Ok(1..) = pipe.read(&mut bytes).await {}
        };
        tokio::select! {
            () = ended => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(unix)]
fn kill_group() -> io::Result<i32> {
    crate::shared_memory::remove(rustix::process::getpgrp());
    rustix::process::kill_current_process_group(rustix::process::Signal::KILL)?;
    Err(io::Error::other("the process group is still there after it was killed"))
}

#[cfg(unix)]
fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}
