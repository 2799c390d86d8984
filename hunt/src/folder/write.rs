//! Writes the folder of a hunt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, at};
use super::read::{self, State};
use super::{Description, FolderError, Problem, Record, Short};
use crate::judge::Kind;
use crate::search::{Finding, Found, Key, Place};

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// The folder of a hunt in progress. No other process can hunt in it.
pub struct Folder {
    path: PathBuf,
    arm: String,
    /// The records of the findings that were written.
    records: BTreeMap<Key, Record>,
    /// The places of the plans that were written.
    corpus: BTreeSet<Place>,
    /// The lock, which is held as long as this value exists.
    _lock: File,
}

impl Folder {
    /// Opens a folder to hunt in, creating it if necessary, and returns what an earlier part of the same hunt has
    /// found. A folder that is refused stays as it is.
    ///
    /// # Errors
    /// [`FolderError`]: the folder contains a different hunt or files that no hunt has written, or it cannot be read or
    /// written.
    pub fn open(path: &Path, description: &Description) -> Result<(Self, Found), FolderError> {
        if path.is_dir() {
            holds_hunt(path, description)?;
        }
        stickler_runner::folder::create(path).map_err(at(path))?;
        let (lock, is_new) = lock(path)?;
        let opened = Self::locked(path, description, lock);
        if opened.is_err() && is_new {
            // If it cannot be removed, the lock harms nobody.
            let _ = fs::remove_file(path.join(LOCK));
        }
        opened
    }

    /// Opens a folder that this process has locked.
    fn locked(path: &Path, description: &Description, lock: File) -> Result<(Self, Found), FolderError> {
        let (mut found, mut records) = (Found::default(), BTreeMap::new());
        // Another process may have hunted here until it was locked, so that the first answer does not count.
        if holds_hunt(path, description)? {
            (_, found, records) = read::read(path)?;
        } else {
            files::write_json(&path.join("hunt.json"), description)?;
        }
        let corpus = found.corpus.keys().copied().collect();
        let folder = Self { path: path.to_owned(), arm: description.arm.clone(), records, corpus, _lock: lock };
        Ok((folder, found))
    }

    /// Writes what is new: first the findings, then the plans, and finally the list of units that are done.
    ///
    /// # Errors
    /// [`FolderError`]: a file cannot be written. The folder can still be read.
    pub fn save(&mut self, found: &Found) -> Result<(), FolderError> {
        found.findings.values().try_for_each(|finding| self.keep(finding))?;
        let wanted: BTreeSet<Place> = found.corpus.keys().copied().collect();
        for place in wanted.difference(&self.corpus) {
            files::write_a_plan(&self.plan_path(*place), &found.corpus[place], &self.arm)?;
        }
        files::write_json(&self.path.join("state.json"), &State::of(found))?;
        for place in self.corpus.difference(&wanted) {
            let path = self.plan_path(*place);
            fs::remove_file(&path).map_err(at(&path))?;
        }
        self.corpus = wanted;
        Ok(())
    }

    /// Writes a finding, unless the folder has one of the same kind from an earlier run.
    ///
    /// # Errors
    /// [`FolderError`]: the finding cannot be written.
    pub fn keep(&mut self, finding: &Finding) -> Result<(), FolderError> {
        let key = finding.key();
        if self.records.get(&key).is_some_and(|record| record.place <= finding.place) {
            return Ok(());
        }
        let folder = self.folder_of(finding);
        for old in ["finding.json", "short.jsonl", "finding.star"] {
            remove(&folder.join(old))?;
        }
        let record = Record {
            balancer: finding.plan.balancer.to_string(),
            kind: finding.kind.clone(),
            declared: finding.declared,
            summary: finding.summary.clone(),
            place: finding.place,
            short: None,
        };
        files::write_a_plan(&folder.join("found.jsonl"), &finding.plan, &self.arm)?;
        files::write_json(&folder.join("finding.json"), &record)?;
        self.records.insert(key, record);
        Ok(())
    }

    /// Writes the result of shrinking a finding: its description, the bytes of the run file, and the script if there is
    /// one.
    ///
    /// # Errors
    /// [`FolderError`]: a file cannot be written.
    pub fn keep_short(
        &mut self,
        finding: &Finding,
        short: Short,
        run: &[u8],
        script: Option<&str>,
    ) -> Result<(), FolderError> {
        let folder = self.folder_of(finding);
        let Some(record) = self.records.get_mut(&finding.key()) else { return Ok(()) };
        files::replace(&folder.join("short.jsonl"), |out| io::Write::write_all(out, run))?;
        if let Some(script) = script {
            files::replace(&folder.join("finding.star"), |out| io::Write::write_all(out, script.as_bytes()))?;
        }
        record.short = Some(short);
        files::write_json(&folder.join("finding.json"), record)
    }

    /// Copies the result of shrinking a finding from the folder of another shard.
    ///
    /// # Errors
    /// [`FolderError`]: a file cannot be read or written.
    pub fn take_short(&mut self, finding: &Finding, from: &Path) -> Result<(), FolderError> {
        let folder = self.folder_of(finding);
        for name in ["short.jsonl", "finding.star"] {
            let (from, to) = (from.join(name), folder.join(name));
            match fs::read(&from) {
                Ok(bytes) => files::replace(&to, |out| io::Write::write_all(out, &bytes))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(&from)(error)),
            }
        }
        let record: Record = files::json(&from.join("finding.json"))?;
        files::write_json(&folder.join("finding.json"), &record)?;
        self.records.insert(finding.key(), record);
        Ok(())
    }

    /// Returns the record of a finding, if it was written.
    pub fn record(&self, finding: &Finding) -> Option<&Record> {
        self.records.get(&finding.key())
    }

    /// Returns the folder of a finding.
    pub fn folder_of(&self, finding: &Finding) -> PathBuf {
        finding_folder(&self.path, &finding.plan.balancer.to_string(), &finding.kind)
    }

    fn plan_path(&self, place: Place) -> PathBuf {
        self.path.join("corpus").join(format!("{:06}-{:03}.jsonl", place.unit, place.run))
    }
}

/// Returns the folder of a finding within the folder of a hunt.
pub fn finding_folder(hunt: &Path, balancer: &str, kind: &Kind) -> PathBuf {
    hunt.join("findings").join(files::part(balancer)).join(kind.file_name())
}

/// Returns whether the folder holds the hunt with this description; `false` if it is empty.
fn holds_hunt(path: &Path, description: &Description) -> Result<bool, FolderError> {
    let head = path.join("hunt.json");
    if read::exists(&head) {
        let there = read::description(&head)?;
        return match description.difference(&there) {
            Some((field, wanted, found)) => Err(at(path)(Problem::OtherHunt { field, found, wanted })),
            None => Ok(true),
        };
    }
    if holds_something(path).map_err(at(path))? { Err(at(path)(Problem::NotEmpty)) } else { Ok(false) }
}

/// Locks a folder. The lock ends when the file is dropped, or when the process ends in any way. Returns whether the
/// file is new as well.
fn lock(path: &Path) -> Result<(File, bool), FolderError> {
    let path = path.join(LOCK);
    let is_new = !read::exists(&path);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok((file, is_new)),
        Err(TryLockError::WouldBlock) => Err(at(&path)(Problem::Locked)),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Returns whether the folder contains anything except the lock.
fn holds_something(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != LOCK {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}
