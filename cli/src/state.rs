//! The runs that failed last in a folder, for `run --rerun`.
//!
//! The runs are stored in the place that the XDG Base Directory Specification provides for state that outlives a program
//! but can be lost: `$XDG_STATE_HOME/stickler/failed`, by default `~/.local/state/stickler/failed`, in one file for
//! each working folder. If the file cannot be written, nothing is stored, and no run fails because of that.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stickler_runner::{Ending, Run, text_file};
use twox_hash::XxHash64;

use crate::Failure;

/// The version of the file format.
const FORMAT: u32 = 1;

/// The maximum size of a file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The runs that failed, with everything that is needed to repeat them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    format: u32,
    /// The working folder.
    folder: PathBuf,
    /// The arm of the runs, `sim` or `wire`.
    pub(crate) arm: String,
    /// The files of the user's own profiles.
    pub(crate) profiles: Vec<PathBuf>,
    /// The runs that failed.
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
    /// The seed of the run.
    pub(crate) seed: u64,
}

impl FailedRun {
    /// Returns the data that is needed to repeat a run; `None` for one that did not fail.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        let failed = matches!(run.ending(), Ending::NotAsExpected(_) | Ending::Failed(_));
        let (path, balancer) = (run.source.path.clone(), run.balancer.to_string());
        failed.then_some(Self { path, balancer, seed: run.seed })
    }
}

impl Failed {
    /// Reads the runs that failed last in the working folder.
    ///
    /// # Errors
    /// No run that failed in this folder is known.
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

    /// Stores the runs that failed in the working folder, if that is possible.
    pub(crate) fn keep(arm: &str, profiles: &[PathBuf], runs: Vec<FailedRun>) {
        let Ok(folder) = env::current_dir() else { return };
        let Some(file) = file(&folder) else { return };
        let failed = Self { format: FORMAT, folder, arm: arm.to_owned(), profiles: profiles.to_vec(), runs };
        // If the file cannot be written, the next `--rerun` reports that it knows no run that failed.
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

/// Returns the path of the file for a working folder; `None` if no variable of the environment says where state
/// belongs.
fn file(folder: &Path) -> Option<PathBuf> {
    let absolute = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    let name = format!("{:016x}.json", XxHash64::oneshot(0, folder.as_os_str().as_encoded_bytes()));
    Some(home.join("stickler/failed").join(name))
}
