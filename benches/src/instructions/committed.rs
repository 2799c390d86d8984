//! The committed counts.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The growth of a count that is allowed, in percent.
pub const GROWTH: u64 = 10;

/// The head of the file.
const HEAD: &str = "\
# Instructions that pieces of work take under valgrind (benches/src/instructions). The step `instructions` of .ci/run
# fails where one takes 10% more, unless it is accepted here with a reason:
#
#     [accepted.NAME]
#     up-to = 1234567
#     reason = \"...\"
#
# `cargo bench --profile release --bench instructions -- --bless` writes the counts anew and removes what was accepted.

";

/// The file `benches/instructions.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// The extensions of the processor that the code could use, see [`extensions`](super::extensions).
    pub extensions: String,
    /// The counts by the name of the work.
    pub instructions: BTreeMap<String, u64>,
    /// The growth that is accepted, by the name of the work.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<String, Accepted>,
}

/// A growth that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accepted {
    /// The largest count that is accepted.
    pub up_to: u64,
    /// The reason.
    pub reason: String,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {what}", path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// The result of comparing a count with the committed one.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The count is not larger than is allowed. The change is a share of the committed count.
    Within(f64),
    /// The count is larger, which is accepted for a reason.
    Accepted(f64, String),
    /// The count is larger than is allowed.
    Grown(f64),
    /// Nothing is committed of this work.
    Unknown,
}

impl Committed {
    /// Reads the file.
    ///
    /// # Errors
    /// [`FileError`] says why it cannot be used; a reason that is empty is none.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let path = || path.to_owned();
        let text = std::fs::read_to_string(path()).map_err(|source| FileError::Io { path: path(), source })?;
        let content = |what| FileError::Content { path: path(), what };
        let committed: Self = toml::from_str(&text).map_err(|error| content(error.to_string()))?;
        for (name, accepted) in &committed.accepted {
            if accepted.reason.trim().is_empty() || !committed.instructions.contains_key(name) {
                return Err(content(format!("accepted.{name} needs a reason, and a count of the same name")));
            }
        }
        Ok(committed)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`FileError::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let text = HEAD.to_owned() + &toml::to_string(self).expect("names and numbers become TOML");
        std::fs::write(path, text).map_err(|source| FileError::Io { path: path.to_owned(), source })
    }

    /// Compares a count with the committed one.
    pub fn compare(&self, name: &str, count: u64) -> Outcome {
        let Some(&before) = self.instructions.get(name) else { return Outcome::Unknown };
        let change = count as f64 / before as f64 - 1.0;
        match self.accepted.get(name) {
            _ if count * 100 <= before * (100 + GROWTH) => Outcome::Within(change),
            Some(accepted) if count <= accepted.up_to => Outcome::Accepted(change, accepted.reason.clone()),
            _ => Outcome::Grown(change),
        }
    }
}

impl Outcome {
    /// Returns whether the build fails.
    pub fn fails(&self) -> bool {
        matches!(self, Self::Grown(_) | Self::Unknown)
    }
}

impl fmt::Display for Outcome {
    /// Writes the change in percent, and what follows from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(change) if *change * 100.0 < -(GROWTH as f64) => {
                write!(f, "{:+.1}%, fewer: `--bless` keeps it so", change * 100.0)
            }
            Self::Within(change) => write!(f, "{:+.1}%", change * 100.0),
            Self::Accepted(change, reason) => write!(f, "{:+.1}%, accepted: {reason}", change * 100.0),
            Self::Grown(change) => write!(f, "{:+.1}%, TOO MANY: at most +{GROWTH}%", change * 100.0),
            Self::Unknown => f.write_str("NOT COMMITTED: `--bless` adds it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> Committed {
        Committed {
            extensions: "x86_64 aes".into(),
            instructions: [("parse".into(), 1000), ("judge".into(), 1000)].into(),
            accepted: [("judge".into(), Accepted { up_to: 1300, reason: "it judges more".into() })].into(),
        }
    }

    #[test]
    fn a_count_may_grow_by_a_tenth_or_as_much_as_is_accepted() {
        let fails = |name, count| committed().compare(name, count).fails();
        assert!(!fails("parse", 1100) && fails("parse", 1101) && !fails("parse", 10));
        assert!(!fails("judge", 1300) && fails("judge", 1301));
        assert!(fails("unknown", 1));
        assert_eq!(committed().compare("judge", 1200).to_string(), "+20.0%, accepted: it judges more");
        assert_eq!(committed().compare("parse", 1200).to_string(), "+20.0%, TOO MANY: at most +10%");
    }

    #[test]
    fn the_file_is_read_as_it_was_written_and_needs_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instructions.toml");
        committed().save(&path).unwrap();
        assert_eq!(Committed::load(&path).unwrap(), committed());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("it judges more", " ")).unwrap();
        assert!(Committed::load(&path).unwrap_err().to_string().contains("accepted.judge needs a reason"));
        assert!(matches!(Committed::load(&folder.path().join("none")), Err(FileError::Io { .. })));
    }
}
