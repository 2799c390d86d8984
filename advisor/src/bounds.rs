//! The limits on every configuration: no control characters, and a bounded length including all included files.

use std::path::Path;

use stickler_runner::Diagnostic;

use crate::Files;

/// The maximum number of bytes in all files together, each counted as often as it is included, with names replaced by
/// their values.
const MOST_BYTES: usize = 64 << 20;

/// The number of bytes that may still be read.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { left: MOST_BYTES }
    }

    /// Takes this number of bytes.
    ///
    /// # Errors
    /// Fewer bytes are left.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            format!("the configuration is longer than {MOST_BYTES} bytes including all included files")
        })?;
        Ok(())
    }
}

/// Reads the file with which a configuration begins, and returns the file's name and text.
///
/// # Errors
/// The file cannot be read, or has a character that [`check_characters`] refuses.
pub(crate) fn read_first(path: &Path, files: &dyn Files) -> Result<(String, String), Box<Diagnostic>> {
    let name = path.display().to_string();
    let text = files
        .read(path)
        .map_err(|error| Box::new(Diagnostic::new(&name, "", 0..0, format!("cannot be read: {error}"), None)))?;
    check_characters(&name, &text)?;
    Ok((name, text))
}

/// The maximum amount of work for all sites of a configuration: the number of directives that are examined, counted
/// again for each site.
const MOST_WORK: usize = 20_000_000;

/// Refuses a configuration with so many sites that reading each of them, with everything that applies to it, would take
/// very long.
///
/// # Errors
/// The work exceeds the limit.
pub(crate) fn check_work(path: &Path, work: usize) -> Result<(), Box<Diagnostic>> {
    if work <= MOST_WORK {
        return Ok(());
    }
    let message = format!(
        "there are too many sites with too many lines: {work} lines would have to be read, but at most {MOST_WORK} may be"
    );
    Err(Box::new(Diagnostic::new(&path.display().to_string(), "", 0..0, message, None)))
}

/// Refuses control characters other than tabs and ends of lines, and byte order marks that are not at the beginning.
/// Products treat them differently: as spaces, ends of lines, the end of the file, or letters.
///
/// # Errors
/// The text has such a character, at this place.
pub(crate) fn check_characters(path: &str, text: &str) -> Result<(), Box<Diagnostic>> {
    let mut previous: Option<(usize, char)> = None;
    for (at, c) in text.char_indices() {
        if let Some((before, '\r')) = previous
            && c != '\n'
        {
            return Err(refused(path, text, before, '\r'));
        }
        let is_mark = c == '\u{feff}' && at > 0;
        if is_mark || (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            return Err(refused(path, text, at, c));
        }
        previous = Some((at, c));
    }
    match previous {
        Some((at, '\r')) => Err(refused(path, text, at, '\r')),
        _ => Ok(()),
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "it is an error, which is boxed everywhere")]
fn refused(path: &str, text: &str, at: usize, c: char) -> Box<Diagnostic> {
    let message =
        format!("the character U+{:04X} is not accepted here, because products read it in different ways", c as u32);
    Box::new(Diagnostic::new(path, text, at..at + c.len_utf8(), message, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_have_their_place() {
        for (text, line, column) in [
            ("a\nb\u{b}c", 2, 2),
            ("a\u{c}", 1, 2),
            ("\0", 1, 1),
            ("a\rb\n", 1, 2),
            ("a\n\u{feff}b", 2, 1),
            ("\u{feff}\u{feff}a", 1, 2),
            ("a\u{85}b", 1, 2),
            ("a\u{7f}", 1, 2),
            ("a\r", 1, 2),
        ] {
            let error = check_characters("f", text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}");
        }
        check_characters("f", "\u{feff}a\tä\u{a0}\r\nb\n").unwrap();
    }

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new();
        budget.take(MOST_BYTES).unwrap();
        budget.take(1).unwrap_err();
    }
}
