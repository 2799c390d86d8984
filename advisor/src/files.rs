//! The files that a configuration consists of.

use std::io;
use std::path::{Path, PathBuf};

use glob::MatchOptions;
use stickler_runner::text_file;

/// The longest file of a configuration, in bytes.
const MOST: u64 = 16 << 20;

/// Most files that a pattern stands for.
const MOST_MATCHES: usize = 1_000;

/// Where a configuration's files, and the variables that it names, come from.
pub trait Files {
    /// Reads a file of text.
    ///
    /// # Errors
    /// It is not there, no regular file, too long or no text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Returns the files that a pattern of glob(3) stands for, in the order of their names; the path itself where it is no pattern.
    ///
    /// # Errors
    /// It is no pattern that can be read, or there are too many such files.
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
        if !text.contains(['*', '?', '[']) {
            return Ok(vec![pattern.to_owned()]);
        }
        // As glob(3) does it, which products use.
        let options =
            MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, ..MatchOptions::new() };
        let found =
            glob::glob_with(&text, options).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
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
