//! The files of a script: its own, and those that it loads.
//!
//! A path is relative to the folder of the file that contains the `load`, and leads to a file in the script's folder or
//! in one below it. Absolute paths, `..` and links are refused, so that a script cannot reach any other file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use starlark::syntax::AstModule;
use stickler_runner::{Diagnostic, text_file};

use super::place::bytes;
use super::{DIALECT, errors, nesting};
use crate::Scenario;
use crate::scenario::MAX_SOURCE;

/// The maximum number of files that a script may load, including those that these files load.
pub(crate) const MAX_FILES: usize = 32;

/// The maximum depth to which files may load one another.
pub(crate) const MAX_DEPTH: usize = 8;

/// The maximum total size of all files of a script, in bytes.
pub(crate) const MAX_BYTES: u64 = 512 * 1024;

/// The reason why a file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("this script has no folder from which to load files")]
    NoFolder,
    #[error(
        "`{0}` is not the path of a file below the script's folder: write a relative path with `/` and without `..`"
    )]
    Outside(String),
    #[error("`{0}` is a link, but a script may load only files of its own folder")]
    Link(String),
    #[error("cannot read {path}: {source}")]
    Unreadable { path: String, source: std::io::Error },
    #[error("{path} is longer than {MAX_SOURCE} bytes: split it")]
    TooLong { path: String },
    #[error("these files load one another in a circle: {}", .0.join(", "))]
    Cycle(Vec<String>),
    #[error("more than {MAX_DEPTH} files load one another in a chain: {}", .0.join(", "))]
    TooDeep(Vec<String>),
    #[error("a script may load at most {MAX_FILES} files")]
    TooMany,
    #[error("the files of a script together may have at most {MAX_BYTES} bytes")]
    TooMuch,
}

/// A file of a script.
pub(super) struct File {
    /// The path of the file below the script's folder, with `/` as separator.
    pub(super) key: String,
    pub(super) syntax: AstModule,
    /// The paths in its `load` statements, each with the key of the file.
    pub(super) loads: Vec<(String, String)>,
}

/// The text of a file that may be loaded, as it is on disk.
pub(crate) struct Text {
    /// The path of the file as messages show it.
    pub(crate) path: PathBuf,
    pub(crate) text: Arc<str>,
}

/// Returns the key of the file that a `load` statement of another file names.
///
/// # Errors
/// [`LoadError::Outside`]: the path leads out of the script's folder.
pub(crate) fn key(loading: &str, path: &str) -> Result<String, LoadError> {
    let outside = || LoadError::Outside(path.chars().take(80).collect());
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A character that is not a separator here may be one on another system, where a colon names a drive.
    if path.is_empty() || path.contains(['\\', ':', '\0']) || !Path::new(path).components().all(plain) {
        return Err(outside());
    }
    let parts = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
    Ok(loading.rsplit_once('/').map_or(parts.clone(), |(folder, _)| format!("{folder}/{parts}")))
}

/// Reads the file of this key below a folder.
///
/// # Errors
/// The file is a link or below one, is longer than a script may be, or cannot be read.
pub(crate) fn read_file(folder: &Path, key: &str) -> Result<Text, LoadError> {
    let mut path = folder.to_owned();
    for part in key.split('/') {
        path.push(part);
        if path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink()) {
            return Err(LoadError::Link(path.display().to_string()));
        }
    }
    let shown = path.display().to_string();
    match text_file::read(&path, MAX_SOURCE) {
        Ok(text) => Ok(Text { path, text: text.into() }),
        Err(source) if source.kind() == ErrorKind::FileTooLarge => Err(LoadError::TooLong { path: shown }),
        Err(source) => Err(LoadError::Unreadable { path: shown, source }),
    }
}

/// Reads and parses a script and all files that it loads. Each file comes after those that it loads, and the script's
/// own file comes last.
///
/// # Errors
/// A file cannot be loaded (the place is that of the `load` statement), or a file is not valid Starlark.
pub(super) fn read(scenario: &Scenario) -> Result<Vec<File>, Diagnostic> {
    let mut reader =
        Reader { scenario, folder: scenario.folder(), files: Vec::new(), known: BTreeMap::new(), bytes: 0 };
    let name = scenario.folder().and_then(|_| Path::new(scenario.path()).file_name()).unwrap_or_default();
    let key = name.to_string_lossy().into_owned();
    reader.add(&key, scenario.path(), scenario.source(), &mut Vec::new())?;
    Ok(reader.files)
}

struct Reader<'a> {
    scenario: &'a Scenario,
    folder: Option<&'a Path>,
    files: Vec<File>,
    /// The keys of the files whose reading has begun, each with a flag that says whether it is complete.
    known: BTreeMap<String, bool>,
    bytes: u64,
}

impl Reader<'_> {
    /// Adds a file after those that it loads. `above` are the keys of the files that led to this one.
    fn add(&mut self, key: &str, path: &str, text: &str, above: &mut Vec<String>) -> Result<(), Diagnostic> {
        if let Some(at) = nesting::too_deep(text) {
            let message =
                format!("this statement has more than {} brackets, operators and keywords: split it", nesting::MAX);
            return Err(Diagnostic::new(path, text, at, message, None));
        }
        self.known.insert(key.to_owned(), false);
        self.bytes += text.len() as u64;
        let syntax = AstModule::parse(path, text.to_owned(), &DIALECT);
        let syntax = syntax.map_err(|error| errors::diagnostic(self.scenario, &error))?;
        above.push(key.to_owned());
        let mut loads = Vec::new();
        for load in syntax.loads() {
            let wrong = |error: LoadError| Diagnostic::new(path, text, bytes(load.span.span), error.to_string(), None);
            loads.push((load.module_id.to_owned(), self.load(key, load.module_id, above, wrong)?));
        }
        above.pop();
        self.known.insert(key.to_owned(), true);
        self.files.push(File { key: key.to_owned(), syntax, loads });
        Ok(())
    }

    /// Adds the file that a `load` statement names, unless it was added before, and returns its key.
    fn load(
        &mut self,
        loading: &str,
        named: &str,
        above: &mut Vec<String>,
        wrong: impl Fn(LoadError) -> Diagnostic,
    ) -> Result<String, Diagnostic> {
        let folder = self.folder.ok_or_else(|| wrong(LoadError::NoFolder))?;
        let key = key(loading, named).map_err(&wrong)?;
        match self.known.get(&key) {
            Some(true) => return Ok(key),
            Some(false) => return Err(wrong(LoadError::Cycle(circle(above, &key)))),
            None => {}
        }
        if above.len() > MAX_DEPTH {
            return Err(wrong(LoadError::TooDeep(above.iter().chain([&key]).cloned().collect())));
        }
        if self.known.len() > MAX_FILES {
            return Err(wrong(LoadError::TooMany));
        }
        let Text { path, text } = read_file(folder, &key).map_err(&wrong)?;
        if self.bytes + text.len() as u64 > MAX_BYTES {
            return Err(wrong(LoadError::TooMuch));
        }
        self.add(&key, &path.display().to_string(), &text, above)?;
        Ok(key)
    }
}

/// Returns the files of a cycle, from the one that is loaded again back to itself.
pub(crate) fn circle(above: &[String], key: &str) -> Vec<String> {
    let from = above.iter().position(|above| above == key).unwrap_or(0);
    above[from..].iter().map(String::as_str).chain([key]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_file_that_loads_and_never_leads_out() {
        assert_eq!(key("a.star", "lib.star").unwrap(), "lib.star");
        assert_eq!(key("a.star", "./lib/x.star").unwrap(), "lib/x.star");
        assert_eq!(key("lib/x.star", "y/z.star").unwrap(), "lib/y/z.star");
        for path in
            ["", "/etc/passwd", "../x.star", "lib/../../x.star", "lib\\x.star", "C:x.star", "x\0.star", "..", "//x"]
        {
            assert!(matches!(key("lib/a.star", path), Err(LoadError::Outside(_))), "{path:?}");
        }
    }

    #[test]
    fn a_circle_begins_and_ends_with_the_same_file() {
        let above = ["a.star", "b.star", "c.star"].map(str::to_owned);
        assert_eq!(circle(&above, "b.star"), ["b.star", "c.star", "b.star"]);
        assert_eq!(circle(&above, "c.star"), ["c.star", "c.star"]);
    }
}
