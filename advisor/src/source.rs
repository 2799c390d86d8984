//! A file's text, in which positions in bytes become places.

use std::ops::Range;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::Place;

/// The distance between two positions at which the number of characters before them is known, in bytes. It bounds the
/// work for a place, since a file may be one long line.
const STEP: usize = 256;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Arc<str>,
    pub(crate) text: String,
    /// The beginnings of the lines, in bytes. The first line begins after a byte order mark.
    lines: Vec<usize>,
    /// The number of characters before each multiple of [`STEP`]; empty if every character is one byte.
    characters: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: impl Into<Arc<str>>, text: String) -> Self {
        let first = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let further = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(first).chain(further).collect();
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let mut before = 0;
            for bytes in text.as_bytes().chunks(STEP) {
                characters.push(before);
                before += begun(bytes);
            }
            characters.push(before);
        }
        Self { path: path.into(), text, lines, characters }
    }

    /// Returns the place of these bytes. A position outside of the text is moved to its end.
    pub(crate) fn place(&self, bytes: Range<usize>) -> Place {
        let (line, column) = self.position(bytes.start);
        let (end_line, end_column) = self.position(bytes.end.max(bytes.start));
        Place { file: Arc::clone(&self.path), line, column, end_line, end_column }
    }

    /// Returns a message about these bytes.
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    pub(crate) fn wrong(&self, bytes: Range<usize>, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::new(&self.path, &self.text, bytes, message.into(), None))
    }

    /// Returns the line and the column of a position.
    fn position(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|&begin| begin <= at).max(1);
        let column = self.characters(at).saturating_sub(self.characters(self.lines[line - 1]));
        (line, column + 1)
    }

    /// Returns the number of characters before a position.
    fn characters(&self, at: usize) -> usize {
        let known = self.characters.get(at / STEP);
        known.map_or(at, |before| before + begun(&self.text.as_bytes()[at / STEP * STEP..at]))
    }
}

/// Returns the number of characters that begin in these bytes of UTF-8.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_from_1_without_a_byte_order_mark() {
        let source = Source::new("x", "\u{feff}ab\u{fc}c\r\n\t\u{1f600}d\n".to_owned());
        let place = |text: &str| {
            let at = source.text.find(text).unwrap();
            let Place { line, column, end_line, end_column, .. } = source.place(at..at + text.len());
            (line, column, end_line, end_column)
        };
        assert_eq!(place("ab"), (1, 1, 1, 3));
        assert_eq!(place("c"), (1, 4, 1, 5));
        assert_eq!(place("d"), (2, 3, 2, 4));
        assert_eq!(place("c\r\n\t\u{1f600}"), (1, 4, 2, 3));
        let end = source.place(1_000..1_001);
        assert_eq!((end.line, end.column), (3, 1));
    }

    proptest::proptest! {
        #[test]
        fn a_place_is_what_counting_finds(text in "[a\u{fc}\u{20ac}\u{1f600}\t\n]{0,700}", index in 0_usize..700) {
            let at = text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
            let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let counted = (1 + text[..begin].matches('\n').count(), 1 + text[begin..at].chars().count());
            proptest::prop_assert_eq!(Source::new("x", text).position(at), counted);
        }
    }
}
