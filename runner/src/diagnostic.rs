//! A message with its place in a text.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use stickler_model::escape;

use crate::excerpt::{self, floor_char_boundary};

/// A message about a place in a script or in another text file: an error, or an expectation that did not hold.
///
/// It is displayed as `file:line:column: message`, followed by the line itself and a mark under the place with the
/// actual value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnostic {
    /// The file's path as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The length of the place in characters, at least 1.
    pub width: usize,
    /// The text of the line.
    pub line_text: String,
    /// What is wrong.
    pub message: String,
    /// The value that was found there, in Starlark's notation.
    pub actual: Option<String>,
}

impl Diagnostic {
    /// Returns a message about these bytes of `source`, which was read from `file`. A range outside of the text is
    /// moved to its end.
    pub fn new(file: &str, source: &str, bytes: Range<usize>, message: String, actual: Option<String>) -> Self {
        let start = floor_char_boundary(source, bytes.start);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_text = source[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + line_text.len();
        let end = floor_char_boundary(source, bytes.end).clamp(start, line_end.max(start));
        Self {
            file: file.to_owned(),
            line: 1 + source[..line_start].matches('\n').count(),
            column: 1 + source[line_start..start].chars().count(),
            width: source[start..end].chars().count().max(1),
            line_text: line_text.to_owned(),
            message,
            actual,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, message) = (escape::line(&self.file), escape::lines(&self.message));
        writeln!(f, "{file}:{}:{}: {message}", self.line, self.column)?;
        let label = self.actual.as_ref().map(|actual| format!("actual: {actual}"));
        let drawn = excerpt::drawn(&self.line_text, (self.line, self.column), self.width, label.as_deref());
        f.write_str(&drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_place_in_characters() {
        let script = "a = 1\n\u{fc}\u{fc} = bcd\n";
        let at = script.find("bcd").unwrap();
        let diagnostic = Diagnostic::new("x.star", script, at..at + 3, "wrong".into(), Some("7".into()));
        assert_eq!(diagnostic.to_string(), "x.star:2:6: wrong\n  |\n2 | \u{fc}\u{fc} = bcd\n  |      ^^^ actual: 7");
    }

    #[test]
    fn the_mark_is_under_the_place_after_tabs_and_wide_characters() {
        let script = "\t\u{5c71}e\u{301} = bcd";
        let at = script.find("bcd").unwrap();
        let diagnostic = Diagnostic::new("x.star", script, at..at + 3, "wrong".into(), None);
        // The tab takes four columns of the terminal, the next character two, and the accent none.
        let shown = "x.star:1:8: wrong\n  |\n1 |     \u{5c71}e\u{301} = bcd\n  |           ^^^";
        assert_eq!(diagnostic.to_string(), shown);
    }

    #[test]
    fn any_range_at_all_gives_a_diagnostic() {
        let script = "\u{fc}b\n\nc";
        for start in 0..10 {
            for end in 0..10 {
                let diagnostic = Diagnostic::new("x.star", script, Range { start, end }, String::new(), None);
                assert!(diagnostic.line <= 3 && diagnostic.width >= 1);
                let _ = diagnostic.to_string();
            }
        }
    }

    #[test]
    fn a_line_that_a_terminal_would_obey_is_shown_and_does_nothing() {
        let script = "x = \"\u{1b}[2J\u{202e}\t\" + y";
        let at = script.find('y').unwrap();
        let diagnostic = Diagnostic::new("\u{1b}.star", script, at..at + 1, "no\u{7}".into(), Some("a\nb".into()));
        let shown =
            "\\u{1b}.star:1:16: no\\u{7}\n  |\n1 | x = \" [2J     \" + y\n  |                   ^ actual: a\\nb";
        assert_eq!(diagnostic.to_string(), shown);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let script = &format!("{}X{}", "a".repeat(1_000), "b".repeat(1_000));
        let shown = Diagnostic::new("x.star", script, 1_000..1_001, String::new(), None).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2].find('X'), lines[3].find('^'));
        assert!(lines[2].len() < 200);
    }
}
