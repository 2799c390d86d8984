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

/// Reads a file of JSON.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    let text = text_file::read(path, MAX_JSON).map_err(|error| at(path)(Problem::Wrong(error.to_string())))?;
    serde_json::from_str(&text).map_err(at(path))
}

/// Reads the plan of a run file.
pub(super) fn plan(path: &Path) -> Result<Plan, FolderError> {
    Reader::open(path).and_then(Reader::into_plan).map_err(|error| at(path)(Problem::Plan(error.to_string())))
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
        file.write_all(&bytes).inspect_err(|_| {
            // An incomplete file is useless; the previous one stays.
            let _ = fs::remove_file(&new);
        })?;
        fs::rename(new, path)
    };
    put().map_err(at(path))
}

/// Returns the name of a balancer or a kind as part of a path.
pub(super) fn part(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_+".contains(c) { c } else { '_' };
    let part: String = name.chars().map(plain).take(100).collect();
    if part.is_empty() { "_".to_owned() } else { part }
}
