//! Keeps what criterion prints out of the way: several lines for each of some five hundred benchmarks.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Sends what is printed, by way of both outputs, to a file until it is dropped.
pub(crate) struct Quiet {
    log: PathBuf,
    #[cfg(unix)]
    terminal: File,
    #[cfg(unix)]
    outputs: [std::os::fd::OwnedFd; 2],
}

impl Quiet {
    /// Sends both outputs to this file. Where the system cannot do that, everything is printed.
    pub(crate) fn start(log: &Path) -> io::Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(log)?;
        #[cfg(unix)]
        {
            use rustix::{io::dup, stdio};
            let outputs = [dup(stdio::stdout())?, dup(stdio::stderr())?];
            let terminal = File::from(dup(&outputs[1])?);
            stdio::dup2_stdout(&file)?;
            stdio::dup2_stderr(&file)?;
            Ok(Self { log: log.to_owned(), terminal, outputs })
        }
        #[cfg(not(unix))]
        {
            drop(file);
            Ok(Self { log: log.to_owned() })
        }
    }

    /// Says on the terminal what is measured now.
    pub(crate) fn say(&mut self, what: &str) {
        // Nothing depends on whether anybody reads it.
        #[cfg(unix)]
        let _ = writeln!(self.terminal, "measuring {what}");
        #[cfg(not(unix))]
        let _ = writeln!(io::stderr(), "measuring {what}");
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // If an output cannot be restored, the report is still in its files.
        let _ = io::stdout().flush();
        #[cfg(unix)]
        {
            let _ = rustix::stdio::dup2_stdout(&self.outputs[0]);
            let _ = rustix::stdio::dup2_stderr(&self.outputs[1]);
        }
        if std::thread::panicking() {
            eprintln!("a benchmark panicked: {} says why", self.log.display());
        }
    }
}
