//! The files of which a configuration consists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern, PatternError};
use stickler_runner::text_file;

/// The maximum size of a configuration file, in bytes.
const MOST: u64 = 16 << 20;

/// The maximum number of files that match a pattern, or that are in a folder.
const MOST_MATCHES: usize = 1_000;

/// The maximum number of names in a folder that are examined.
const MOST_ENTRIES: usize = 100_000;

/// The options by which patterns have the meaning that they have in glob(3), which products use.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn unreadable(error: PatternError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// The source of a configuration's files, and of the variables that it names.
pub trait Files {
    /// Reads a file of text.
    ///
    /// # Errors
    /// The file does not exist, is not a regular file, is too long, or is not text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Returns the files that match a pattern of glob(3), in the order of their names. If the path is not a pattern,
    /// the result is the path itself.
    ///
    /// # Errors
    /// The pattern is not valid, or too many files match it.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// Returns whether there is a file at this path, whatever its content.
    fn is_there(&self, path: &Path) -> bool;

    /// Returns the value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Disk {
    /// Returns these files in their order. A folder is replaced by the files in it that HAProxy reads: its regular
    /// files whose names end with `.cfg` and do not begin with a dot, in the order of their names' bytes
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
            return Err(io::Error::other(format!("it matches more than {MOST_MATCHES} files")));
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

/// A set of texts instead of files, with a separate environment.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// The texts, by the paths of the files that they represent.
    pub files: BTreeMap<PathBuf, String>,
    /// The environment variables that are set.
    pub variables: BTreeMap<String, String>,
}

impl Texts {
    /// Returns texts by their paths, with an empty environment.
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

/// Other files, some of which have a different text.
pub struct Instead<'a> {
    /// The other files.
    pub files: &'a dyn Files,
    /// The different texts, by their paths.
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
