//! A folder that exists as long as a run needs it, however the run ends.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::{Supervisor, shared_memory};

/// The folder of a run. A separate process creates it, and removes it when this value is dropped, or when this process
/// has ended.
pub(crate) struct Folder {
    path: PathBuf,
    keeper: Child,
}

impl Folder {
    /// Creates a folder among the system's temporary ones.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub(crate) fn new(supervisor: &Supervisor) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("stickler-{:016x}", u64::from_ne_bytes(random)));
        let mut keeper = supervisor.keeping(&path).into_std().spawn()?;
        let made = keeper.stdout.take().map(BufReader::new);
        let mut line = String::new();
        made.map(|mut made| made.read_line(&mut line)).transpose()?;
        let folder = Self { path, keeper };
        if line.is_empty() {
            Err(io::Error::other(format!("cannot make {}", folder.path.display())))
        } else {
            Ok(folder)
        }
    }

    /// Returns the path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // The keeper may have been killed by another process. An error about files that are gone does not matter.
        let _ = fs::remove_dir_all(&self.path);
        shared_memory::remove_with(&self.path);
    }
}
