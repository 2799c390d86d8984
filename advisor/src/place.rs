//! The place of a statement in a file.

use std::fmt;
use std::sync::Arc;

/// A place in a file: from its first character to the one after its last character. Lines and columns are counted from
/// 1, and columns are counted in characters (Unicode code points). A byte order mark is not counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The path of the file, as it was given or included.
    pub file: Arc<str>,
    /// The line of the first character.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// The line of the last character.
    pub end_line: usize,
    /// The column after the last character.
    pub end_column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
