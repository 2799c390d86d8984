//! The source of a script, with its title and description.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use stickler_runner::{Diagnostic, text_file};

/// The maximum size of a script, in bytes.
pub const MAX_SOURCE: u64 = 64 * 1024;

/// A script that is ready to run over any balancer. It can be cloned cheaply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    name: Arc<str>,
    path: Arc<str>,
    source: Arc<str>,
    /// The folder of the files that it may load; `None` if it may load none.
    folder: Option<Arc<Path>>,
}

/// The reason why a script cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The path as it was given.
        path: String,
        /// The error of the operating system. Invalid UTF-8 is reported as `InvalidData`.
        source: std::io::Error,
    },
    /// The file is longer than [`MAX_SOURCE`].
    #[error("{path} is longer than {MAX_SOURCE} bytes: split the script")]
    TooLong {
        /// The path as it was given.
        path: String,
    },
}

impl Scenario {
    /// Creates a scenario from a source that loads no other files. `path` is shown in errors and in the replay command.
    ///
    /// # Errors
    /// [`ScenarioError::TooLong`]: the source is longer than [`MAX_SOURCE`].
    pub fn new(name: &str, path: &str, source: &str) -> Result<Self, ScenarioError> {
        if source.len() as u64 > MAX_SOURCE {
            return Err(ScenarioError::TooLong { path: path.to_owned() });
        }
        Ok(Self { name: name.into(), path: path.into(), source: source.into(), folder: None })
    }

    /// Reads a script from a regular file, with or without a byte-order mark. Its name is that of the file without
    /// `.star`. At most [`MAX_SOURCE`] bytes are read. The files that it loads are read whenever it is played.
    ///
    /// # Errors
    /// [`ScenarioError`]: the file cannot be read, or is too long.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let shown = path.display().to_string();
        let source = text_file::read(path, MAX_SOURCE).map_err(|source| match source.kind() {
            ErrorKind::FileTooLarge => ScenarioError::TooLong { path: shown.clone() },
            _ => ScenarioError::Unreadable { path: shown.clone(), source },
        })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self { folder: Some(folder.into()), ..Self::new(&name, &shown, &source)? })
    }

    /// Returns the folder of the script's own file; `None` if the script is in no file.
    #[cfg(feature = "scripts")]
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Returns the name: that of the file without `.star`. It is the key of the expected outcomes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path as it was given, or the name of a shipped scenario. `stickler run` accepts either.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the source of the script.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns a message about these bytes of the script.
    pub fn diagnostic(&self, bytes: Range<usize>, message: String, actual: Option<String>) -> Diagnostic {
        Diagnostic::new(&self.path, &self.source, bytes, message, actual)
    }

    /// Returns the first line of the docstring; empty if there is none.
    pub fn title(&self) -> &str {
        self.docstring().trim_start().lines().next().unwrap_or_default().trim_end()
    }

    /// Returns the docstring after its first line, without blank lines around it.
    pub fn description(&self) -> &str {
        self.docstring().trim().split_once('\n').map_or("", |(_, rest)| rest.trim())
    }

    /// Returns the text between the triple quotes at the beginning of the script, after comments and blank lines.
    fn docstring(&self) -> &str {
        let mut rest = self.source.trim_start();
        while rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
        }
        rest.strip_prefix("\"\"\"").and_then(|text| text.split_once("\"\"\"")).map_or("", |(text, _)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(source: &str) -> Scenario {
        Scenario::new("lone", "lone.star", source).unwrap()
    }

    #[test]
    fn the_docstring_gives_title_and_description() {
        let lone = scenario("# licence\n\n\"\"\"A lone client.\n\nIt shows\nmuch.\n\"\"\"\ncurl(\"a\")\n");
        assert_eq!(lone.title(), "A lone client.");
        assert_eq!(lone.description(), "It shows\nmuch.");
        assert_eq!((scenario("x = 1").title(), scenario("\"\"\"One\"\"\"").description()), ("", ""));
        assert_eq!(scenario("\"\"\"never closed").title(), "");
    }

    #[test]
    fn a_script_that_is_too_long_is_refused() {
        let long = " ".repeat(MAX_SOURCE as usize + 1);
        assert!(matches!(Scenario::new("x", "x.star", &long), Err(ScenarioError::TooLong { .. })));
    }

    #[test]
    fn a_script_with_a_byte_order_mark_is_the_script_without_it() {
        let folder = std::env::temp_dir().join(format!("stickler-mark-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("marked.star");
        std::fs::write(&file, "\u{feff}\"\"\"Title.\"\"\"\nx\n").unwrap();
        let marked = Scenario::load(&file).unwrap();
        assert_eq!((marked.title(), marked.source()), ("Title.", "\"\"\"Title.\"\"\"\nx\n"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Scenario::load(Path::new("no/such.star")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such.star: "), "{error}");
    }
}
