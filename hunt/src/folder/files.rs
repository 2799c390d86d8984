//! Reads and writes single files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stickler_model::Plan;
use stickler_runner::file::{Reader, write_plan};
use stickler_runner::{Source, text_file};

use super::{FolderError, Problem};

/// The maximum size of a `state.json` that is read, in bytes; it suffices for ten million points.
const MAX_JSON: u64 = 256 << 20;

/// Returns a function that adds this path to an error.
pub(super) fn at<E: Into<Problem>>(path: &Path) -> impl FnOnce(E) -> FolderError {
    |error| FolderError { path: path.to_owned(), problem: error.into() }
}

/// Returns an error if the path is not that of a folder.
pub(super) fn is_folder(path: &Path) -> Result<(), FolderError> {
    match fs::metadata(path) {
        Ok(known) if known.is_dir() => Ok(()),
        Ok(_) => Err(at(path)(Problem::NotAFolder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(at(path)(Problem::Missing)),
        Err(error) => Err(at(path)(error)),
    }
}

/// Reads a file of JSON.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    let text = text_file::read(path, MAX_JSON).map_err(|error| at(path)(Problem::Wrong(error.to_string())))?;
    serde_json::from_str(&text).map_err(at(path))
}

/// Reads the plan of a run file.
pub(super) fn plan(path: &Path) -> Result<Plan, FolderError> {
    Reader::open(path).and_then(Reader::into_plan).map_err(|error| at(path)(Problem::Plan(Box::new(error))))
}

/// Writes a file of JSON that ends with a line feed.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FolderError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(at(path))?;
    text.push(b'\n');
    replace(path, |out| out.write_all(&text))
}

/// Writes a plan as a run file.
pub(super) fn write_a_plan(path: &Path, plan: &Plan, arm: &str) -> Result<(), FolderError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let source = Source { path: format!("{name}.jsonl"), scenario: name };
    replace(path, |mut out| write_plan(plan, &source, arm, &mut out))
}

/// Replaces a file by one that is written completely first.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), FolderError> {
    let mut bytes = Vec::new();
    let put = || {
        write(&mut bytes)?;
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes).and_then(|()| fs::rename(&new, path)).inspect_err(|_| {
            // An incomplete file is useless; the previous one stays.
            let _ = fs::remove_file(&new);
        })
    };
    put().map_err(at(path))
}

/// Returns the name of a balancer or a kind as part of a path.
pub(super) fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_+".contains(c) { c } else { '_' };
    let part: String = name.chars().map(plain).take(100).collect();
    if part.is_empty() { "_".to_owned() } else { part }
}
