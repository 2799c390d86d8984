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

    /// Returns the files that a path with patterns of a shell (`*`, `?`, `[a-c]`) in its components stands for, in the order of their
    /// names; the path itself where it has none.
    ///
    /// # Errors
    /// A folder cannot be read, or there are too many such files.
    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// Returns whether there is a file, of whatever content.
    fn is_there(&self, path: &Path) -> bool;

    /// Returns the value of a variable of the environment; `None` where it is not set.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        text_file::read(path, MOST)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        let mut is_pattern = false;
        for component in pattern.components() {
            let name = component.as_os_str().to_string_lossy();
            if !name.contains(['*', '?', '[']) {
                found.iter_mut().for_each(|path| path.push(component));
                continue;
            }
            let mut further = Vec::new();
            for folder in &found {
                add_matches(folder, &name, &mut further)?;
            }
            further.sort();
            found = further;
            is_pattern = true;
        }
        // What follows a pattern is not in every folder.
        found.retain(|path| !is_pattern || path.symlink_metadata().is_ok());
        Ok(found)
    }

    fn is_there(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Adds the entries of a folder whose names fit a pattern.
fn add_matches(folder: &Path, pattern: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match fs::read_dir(here) {
        Ok(entries) => entries,
        // Without the folder, there is none of its files either.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if is_like(pattern, &name.to_string_lossy()) {
            found.push(folder.join(name));
        }
        if found.len() > MOST_MATCHES {
            return Err(io::Error::other(format!("it stands for more than {MOST_MATCHES} files")));
        }
    }
    Ok(())
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

/// Whether a name fits a pattern of a shell with `*`, `?` and `[a-c]`. A name that begins with a dot needs a pattern that does.
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
            Some(&c) if c == '?' || (c == name[seen] && c != '[') => (at, seen) = (at + 1, seen + 1),
            Some('[') if class(&pattern[at..], name[seen]).is_some() => {
                (at, seen) = (at + class(&pattern[at..], name[seen]).unwrap_or(1), seen + 1);
            }
            _ => {
                let Some((begin, reached)) = star else { return false };
                star = Some((begin, reached + 1));
                (at, seen) = (begin + 1, reached + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

/// The length of the class that a pattern begins with (`[a-c]`, `[!x]`), where the character is of it. A bracket that is not closed is
/// itself.
fn class(pattern: &[char], c: char) -> Option<usize> {
    // A closing bracket that comes first is one of the characters.
    let first = if matches!(pattern.get(1), Some('!' | '^')) { 2 } else { 1 };
    let Some(end) = pattern.iter().skip(first + 1).position(|&c| c == ']').map(|at| at + first + 1) else {
        return (c == '[').then_some(1);
    };
    let members = &pattern[first..end];
    let mut at = 0;
    let mut is_in = false;
    while at < members.len() {
        match members[at..] {
            [low, '-', high, ..] => {
                is_in |= (low..=high).contains(&c);
                at += 3;
            }
            _ => {
                is_in |= members[at] == c;
                at += 1;
            }
        }
    }
    (is_in == (first == 1)).then_some(end + 1)
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
            ("[ab]*.conf", "b-site.conf", true),
            ("[ab]*.conf", "c.conf", false),
            ("*[!0-9]", "a1", false),
            ("[!0-9]x", "ax", true),
            ("[]a]", "]", true),
            ("a[b", "a[b", true),
        ] {
            assert_eq!(is_like(pattern, name), fits, "{pattern} {name}");
        }
    }
}
