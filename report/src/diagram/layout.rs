//! Breaks text into lines of bounded width and keeps words whole.

use std::borrow::Cow;

use stickler_model::escape;
use unicode_width::UnicodeWidthStr as _;

/// Returns text of a peer or a script as a part of a line, with at most `most` characters. Longer text is reduced to
/// its start and its end.
pub(super) fn brief(text: &str, most: usize) -> Cow<'_, str> {
    // A text may have megabytes, so no more of it is read than is shown.
    let long = text.char_indices().nth(most).is_some();
    if !long {
        return escape::line(text);
    }
    let (head, tail) = (most * 2 / 3, most - most * 2 / 3 - 1);
    let head: String = text.chars().take(head).collect();
    let tail: String = text.chars().rev().take(tail).collect::<Vec<_>>().into_iter().rev().collect();
    Cow::Owned(format!("{}…{}", escape::line(&head), escape::line(&tail)))
}

/// Breaks a text between words into lines of at most `width` columns. A word that is wider than a line is shortened in
/// its middle.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shortened(word, width);
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word.into_owned()),
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// Returns the text in at most `width` columns, without its middle if it is wider.
pub(super) fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let head = taken(text.chars(), room.div_ceil(2));
    let tail: String = taken(text.chars().rev(), room / 2).chars().rev().collect();
    Cow::Owned(format!("{head}…{tail}"))
}

/// Returns the leading characters that fit in `width` columns.
fn taken(characters: impl Iterator<Item = char>, width: usize) -> String {
    let mut text = String::new();
    for character in characters {
        text.push(character);
        if text.width() > width {
            text.pop();
            break;
        }
    }
    text
}

/// Returns the text followed by spaces up to a width of `width` columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_alone() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(wrap("山田 太郎", 5), ["山田", "太郎"]);
        assert_eq!(wrap("/inbox?item=12345678 as", 9), ["/inb…5678", "as"]);
    }

    #[test]
    fn what_is_long_keeps_its_start_and_its_end() {
        assert_eq!(brief("/inbox", 6), "/inbox");
        assert_eq!(brief("/inbox?item=1", 9), "/inbox…=1");
        assert_eq!(brief("a\u{1b}b", 9), "a\\u{1b}b");
        let long = format!("{}\u{202e}", "x".repeat(1 << 20));
        assert_eq!(brief(&long, 7), "xxxx…x\\u{202e}");
    }

    #[test]
    fn a_shortened_word_fits() {
        for width in 1..12 {
            assert!(shortened("山田太郎alice", width).width() <= width);
        }
        assert_eq!(padded("山", 4), "山  ");
    }
}
