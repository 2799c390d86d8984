//! A TOML file that is being read, and errors with their places in it.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{Spanned, Value};

use crate::nearest::nearest;
use stickler_runner::Diagnostic;

/// An error in a TOML file beside scripts, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub Box<Diagnostic>);

/// The text of a file, and the name under which errors show it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The text of the file, which is TOML.
    pub text: &'a str,
    /// The path of the file.
    pub origin: &'a str,
}

impl Source<'_> {
    /// Reads the whole file as one type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        toml::from_str(self.text).map_err(|error| self.wrong(error.span().unwrap_or(0..0), error.message().to_owned()))
    }

    /// Reads one value as one type.
    pub(super) fn value<T: DeserializeOwned>(&self, value: Spanned<Value>) -> Result<T, FileError> {
        let span = value.span();
        value.into_inner().try_into().map_err(|error: toml::de::Error| self.wrong(span, error.message().to_owned()))
    }

    /// Refuses a name that does not exist, with the nearest known name as a hint.
    pub(super) fn check<'n>(
        &self,
        kind: &str,
        name: &str,
        span: &Range<usize>,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), FileError> {
        let known: Vec<&str> = known.into_iter().collect();
        if known.contains(&name) {
            return Ok(());
        }
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(self.wrong(span.clone(), format!("there is no {kind} `{name}`{hint}")))
    }

    /// Returns the parts of a string that lists names, each with its place.
    pub(super) fn list<'n>(&self, names: &'n Spanned<String>) -> Vec<(&'n str, Range<usize>)> {
        let whole = names.span();
        let written = self.text.get(whole.clone()).unwrap_or_default();
        let mut from = 0;
        let part = |name: &'n str| {
            // A name that is written with escapes is not found in the text. The place is then that of the whole string.
            let Some(at) = written.get(from..).and_then(|rest| rest.find(name)) else { return (name, whole.clone()) };
            let start = whole.start + from + at;
            from += at + name.len();
            (name, start..start + name.len())
        };
        names.get_ref().split(',').map(str::trim).map(part).collect()
    }

    pub(super) fn wrong(&self, span: Range<usize>, message: String) -> FileError {
        FileError(Box::new(Diagnostic::new(self.origin, self.text, span, message, None)))
    }
}
