//! The run files of a folder: SCENARIO/BALANCER/SEED.jsonl.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use stickler_runner::{Run, file, folder};

use crate::Failure;
use crate::jobs::Job;

/// A folder into which run files are written. None of its files is ever overwritten.
pub(crate) struct Folder(PathBuf);

/// The result of recording a run.
pub(crate) enum Recorded {
    /// The file of the run was written.
    Written,
    /// The run has no file, because it has no trace: for example, it was skipped before its world was built.
    NoTrace,
    /// The file of the run cannot be written, for this reason.
    Failed(String),
}

impl Folder {
    /// Creates the folder, and checks that files can be created in it.
    ///
    /// # Errors
    /// No file can be created in the folder, two of the jobs would write the same file, or one of the files exists.
    /// These errors are noticed early, so that no results are lost after minutes of work.
    pub(crate) fn prepare(path: &Path, jobs: &[Job<'_>]) -> Result<Self, Failure> {
        let folder = Self(path.to_owned());
        let mut files = std::collections::BTreeSet::new();
        for job in jobs {
            let scenario = &job.case.scenario;
            let file = folder.file(scenario.name(), &job.balancer.to_string(), job.seed);
            if file.exists() {
                return Err(Failure::Wrong(format!(
                    "{} exists already, and run files are not overwritten: choose another folder for --record",
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
        probe(path)
            .map_err(|error| Failure::Wrong(format!("nothing can be recorded in {}: {error}", path.display())))?;
        Ok(folder)
    }

    /// Writes the file of a run.
    pub(crate) fn record(&self, run: &Run) -> Recorded {
        if run.trace.is_none() {
            return Recorded::NoTrace;
        }
        let path = self.file(&run.source.scenario, &run.balancer.to_string(), run.seed);
        match write(run, &path) {
            Ok(()) => Recorded::Written,
            Err(error) => Recorded::Failed(format!("cannot write {}: {error}", path.display())),
        }
    }

    fn file(&self, scenario: &str, balancer: &str, seed: u64) -> PathBuf {
        self.0.join(part(scenario)).join(part(balancer)).join(format!("{seed}.jsonl"))
    }
}

/// Creates the folder, and a file in it that is removed again.
fn probe(folder: &Path) -> io::Result<()> {
    folder::create(folder)?;
    let file = folder.join(format!(".stickler-{}", std::process::id()));
    File::create_new(&file)?.write_all(b"\n")?;
    fs::remove_file(file)
}

fn write(run: &Run, path: &Path) -> io::Result<()> {
    folder::create_for(path)?;
    let mut out = BufWriter::new(File::create_new(path)?);
    file::write(run, &mut out).and_then(|_| out.flush()).inspect_err(|_| {
        // A part of a run file is of no use.
        let _ = fs::remove_file(path);
    })
}

/// Returns a name in a form that is one component of a path.
fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let part: String = name.chars().map(plain).collect();
    // The component must not stand for the folder itself or for its parent.
    if part.chars().all(|c| c == '.') { format!("_{part}") } else { part }
}
