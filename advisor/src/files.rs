//! The files that a configuration consists of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern, PatternError};
use stickler_runner::text_file;

/// The longest file of a configuration, in bytes.
const MOST: u64 = 16 << 20;

/// Most files that a pattern, or a folder, stands for.
const MOST_MATCHES: usize = 1_000;

/// Most names of a folder that are looked at.
const MOST_ENTRIES: usize = 100_000;

/// Patterns mean what they mean to glob(3), which products use.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn unreadable(error: PatternError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Where a configuration's files, and the variables that it names, come from.
pub trait Files {
    /// Reads a file of text.
    ///
    /// # Errors
    /// The file is not there, is no regular one, is too long, or is no text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Returns the files that a pattern of glob(3) stands for, in the order of their names; the path itself where it is no pattern.
    ///
    /// # Errors
    /// The pattern cannot be read, or too many files fit it.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// Returns whether there is a file, of whatever content.
    fn is_there(&self, path: &Path) -> bool;

    /// Returns the value of a variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Disk {
    /// Returns these files in their order, and in place of a folder what HAProxy reads of it: its regular files whose names end with
    /// `.cfg` and do not begin with a dot, in the order of their names' bytes
    /// (<https://docs.haproxy.org/2.6/management.html#3>, `-f`).
    ///
    /// # Errors
    /// A folder cannot be read, or has no such file, or too many.
    pub fn configurations(self, paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for path in paths {
            if !path.is_dir() {
                all.push(path.clone());
                continue;
            }
            let mut found = Vec::new();
            for entry in fs::read_dir(path)?.take(MOST_ENTRIES) {
                let name = entry?.file_name();
                let bytes = name.as_encoded_bytes();
                if bytes.ends_with(b".cfg") && !bytes.starts_with(b".") && path.join(&name).is_file() {
                    found.push(name);
                }
            }
            if found.is_empty() || found.len() > MOST_MATCHES {
                let message = format!("{}: a folder has from 1 to {MOST_MATCHES} files `*.cfg`", path.display());
                return Err(io::Error::other(message));
            }
            found.sort_by(|one, other| one.as_encoded_bytes().cmp(other.as_encoded_bytes()));
            all.extend(found.iter().map(|name| path.join(name)));
        }
        Ok(all)
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        text_file::read(path, MOST)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let text = pattern.to_string_lossy();
        if !is_pattern(&text) {
            return Ok(vec![pattern.to_owned()]);
        }
        let found = glob::glob_with(&text, OPTIONS).map_err(unreadable)?;
        let found: Vec<PathBuf> = found.take(MOST_MATCHES + 1).filter_map(Result::ok).collect();
        if found.len() > MOST_MATCHES {
            return Err(io::Error::other(format!("it stands for more than {MOST_MATCHES} files")));
        }
        Ok(found)
    }

    fn is_there(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Texts in place of files, and an environment of their own.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// The texts, by the paths of the files that they stand for.
    pub files: BTreeMap<PathBuf, String>,
    /// The variables of the environment that are set.
    pub variables: BTreeMap<String, String>,
}

impl Texts {
    /// Returns texts by their paths, in an empty environment.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Self { files, variables: BTreeMap::new() }
    }
}

impl Files for Texts {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let text = pattern.to_string_lossy();
        if !is_pattern(&text) {
            return Ok(vec![pattern.to_owned()]);
        }
        let pattern = Pattern::new(&text).map_err(unreadable)?;
        Ok(self.files.keys().filter(|path| pattern.matches_path_with(path, OPTIONS)).cloned().collect())
    }

    fn is_there(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// Other files, of which some have other texts.
pub struct Instead<'a> {
    /// The other files.
    pub files: &'a dyn Files,
    /// The texts, by their paths.
    pub texts: &'a BTreeMap<PathBuf, String>,
}

impl Files for Instead<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.texts.get(path).map_or_else(|| self.files.read(path), |text| Ok(text.clone()))
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.matching(pattern)
    }

    fn is_there(&self, path: &Path) -> bool {
        self.files.is_there(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.files.variable(name)
    }
}
