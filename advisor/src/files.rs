//! The files that a configuration consists of.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};
use stickler_runner::text_file;

/// The longest file of a configuration, in bytes.
const MOST: u64 = 16 << 20;

/// Most files that a pattern stands for.
const MOST_MATCHES: usize = 1_000;

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

/// Other files, of which one has another text.
pub struct Instead<'a> {
    /// The other files.
    pub files: &'a dyn Files,
    /// The path of the one.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Files for Instead<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == self.path { Ok(self.text.clone()) } else { self.files.read(path) }
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
