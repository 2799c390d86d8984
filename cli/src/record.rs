//! Run files of a folder: SCENARIO/BALANCER/SEED.jsonl.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use stickler_runner::{Run, file};

use crate::Failure;
use crate::jobs::Job;

/// A folder that run files are written into. No file of it is ever overwritten.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder. It is an error where two of the jobs would write the same file, or one is there already, so
    /// that nothing is lost after minutes of work.
    pub(crate) fn prepare(path: &Path, jobs: &[Job<'_>]) -> Result<Self, Failure> {
        let folder = Self(path.to_owned());
        let mut files = std::collections::BTreeSet::new();
        for job in jobs {
            let scenario = &job.case.scenario;
            let file = folder.file(scenario.name(), &job.balancer.to_string(), job.seed);
            if file.exists() {
                return Err(Failure::Wrong(format!(
                    "{} is there already, and run files are not overwritten: choose another folder for --record",
                    file.display()
                )));
            }
            if !files.insert(file) {
                let name = scenario.name();
                return Err(Failure::Wrong(format!(
                    "two scripts are called `{name}`, and would be recorded in the same file: record them one by one"
                )));
            }
        }
        Ok(folder)
    }

    /// Writes the file of a run. A run without a trace, as one that was skipped before it had a world, has none.
    pub(crate) fn record(&self, run: &Run) -> Result<(), Failure> {
        if run.trace.is_none() {
            return Ok(());
        }
        let path = self.file(&run.source.scenario, &run.balancer.to_string(), run.seed);
        write(run, &path).map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", path.display())))
    }

    fn file(&self, scenario: &str, balancer: &str, seed: u64) -> PathBuf {
        self.0.join(part(scenario)).join(part(balancer)).join(format!("{seed}.jsonl"))
    }
}

fn write(run: &Run, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut out = BufWriter::new(File::create_new(path)?);
    file::write(run, &mut out)?;
    out.flush()
}

/// A name as one part of a path.
fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let part: String = name.chars().map(plain).collect();
    // Neither the folder itself nor the one above it.
    if part.chars().all(|c| c == '.') { format!("_{part}") } else { part }
}
