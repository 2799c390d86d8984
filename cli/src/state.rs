//! Which runs failed last in a folder, for `run --rerun`.
//!
//! It is kept where the XDG Base Directory Specification has state that outlives a program and is worth little:
//! `$XDG_STATE_HOME/stickler/failed`, by default `~/.local/state/stickler/failed`, in one file for each working folder. Where it cannot
//! be written, nothing is kept, and no run fails for it.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stickler_runner::{Ending, Run, text_file};
use twox_hash::XxHash64;

use crate::Failure;

/// The version of the files.
const FORMAT: u32 = 1;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The runs that failed, and what it takes to make them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    format: u32,
    /// The working folder.
    folder: PathBuf,
    /// `sim` or `wire`.
    pub(crate) arm: String,
    /// Files of profiles.
    pub(crate) profiles: Vec<PathBuf>,
    /// The runs.
    pub(crate) runs: Vec<FailedRun>,
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailedRun {
    /// The path of its script, or the name of a shipped scenario.
    pub(crate) path: String,
    /// The balancer's name, with its defects.
    pub(crate) balancer: String,
    /// The seed.
    pub(crate) seed: u64,
}

impl FailedRun {
    /// Returns what it takes to make a run again; `None` for one that did not fail.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        let failed = matches!(run.ending(), Ending::NotAsExpected(_) | Ending::Failed(_));
        let (path, balancer) = (run.source.path.clone(), run.balancer.to_string());
        failed.then_some(Self { path, balancer, seed: run.seed })
    }
}

impl Failed {
    /// Reads what failed last in the working folder.
    ///
    /// # Errors
    /// Nothing is known of it, or nothing failed.
    pub(crate) fn last() -> Result<Self, Failure> {
        let nothing =
            || Failure::Nothing("no run that failed in this folder is known: --rerun has nothing to do".to_owned());
        let folder = env::current_dir().map_err(|_| nothing())?;
        let file = file(&folder).ok_or_else(nothing)?;
        let text = text_file::read(&file, MAX_FILE).map_err(|_| nothing())?;
        let failed: Self = serde_json::from_str(&text).map_err(|_| nothing())?;
        let fits = failed.format == FORMAT && failed.folder == folder && !failed.runs.is_empty();
        if fits { Ok(failed) } else { Err(nothing()) }
    }

    /// Keeps what failed in the working folder, if that is possible.
    pub(crate) fn keep(arm: &str, profiles: &[PathBuf], runs: Vec<FailedRun>) {
        let Ok(folder) = env::current_dir() else { return };
        let Some(file) = file(&folder) else { return };
        let failed = Self { format: FORMAT, folder, arm: arm.to_owned(), profiles: profiles.to_vec(), runs };
        // The next run knows nothing then, and says so.
        drop(failed.write(&file));
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut new, self)?;
        new.flush()?;
        new.persist(file)?;
        Ok(())
    }
}

/// The file of a working folder; `None` where nobody says where state belongs.
fn file(folder: &Path) -> Option<PathBuf> {
    let absolute = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    let name = format!("{:016x}.json", XxHash64::oneshot(0, folder.as_os_str().as_encoded_bytes()));
    Some(home.join("stickler/failed").join(name))
}
