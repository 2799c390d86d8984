//! The files that a configuration consists of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stickler_runner::text_file;

/// The longest file of a configuration, in bytes.
const MOST: u64 = 16 << 20;

/// Most files that a pattern stands for.
const MOST_MATCHES: usize = 1_000;

/// Where a configuration's files come from.
pub trait Files {
    /// Reads a file of text.
    ///
    /// # Errors
    /// It is not there, no regular file, too long or no text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Returns the files that a path with `*` or `?` in its last component stands for, in the order of their names; the path itself
    /// where it has neither.
    ///
    /// # Errors
    /// The folder cannot be read, or has too many such files.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// Returns whether there is a file, of whatever content.
    fn is_there(&self, path: &Path) -> bool;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        text_file::read(path, MOST)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.contains(['*', '?']) {
            return Ok(vec![pattern.to_owned()]);
        }
        let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut found = Vec::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // Without the folder, there is none of its files either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if is_like(&name, &entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
            if found.len() > MOST_MATCHES {
                return Err(io::Error::other(format!("it stands for more than {MOST_MATCHES} files")));
            }
        }
        found.sort();
        Ok(found)
    }

    fn is_there(&self, path: &Path) -> bool {
        path.is_file()
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
}

/// Whether a name fits a pattern of a shell with `*` and `?`. A name that begins with a dot needs a pattern that does.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    // Where the last `*` stands, and up to where of the name it reaches.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[seen] => (at, seen) = (at + 1, seen + 1),
            _ => {
                let Some((begin, reached)) = star else { return false };
                star = Some((begin, reached + 1));
                (at, seen) = (begin + 1, reached + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*.conf", ".a.conf", false),
            ("*", "anything", true),
            ("a?c*", "abcde", true),
            ("a?c*", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
        ] {
            assert_eq!(is_like(pattern, name), fits, "{pattern} {name}");
        }
    }
}
