//! Escaping of text that comes from a peer or a script, so that it can be shown.
//!
//! A peer chooses user names, paths and header values, and the author of a script chooses what is printed. A terminal
//! would obey an ESC in such text, a page would be truncated at a NUL, and an override of the writing direction would
//! show the reader a different name. A trace records the text unchanged. All code that shows it uses this module.
//!
//! * [`line()`] escapes one line of text, or a part of one.
//! * [`lines`] escapes text of several lines, each of which consists of parts that contain no line end.
//! * [`json`] escapes a JSON document, which stays equivalent.
//!
//! Control characters are escaped, and characters that have no glyph: format characters such as U+202E (right-to-left
//! override), separators other than the space, and private and unassigned code points. Text contains them in the
//! notation of Rust, `\u{1b}`. A backslash is not escaped, since many user names contain one. Therefore text does not
//! distinguish `\u{1b}` from ESC, but JSON does.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns the text in which every character that cannot be shown is escaped, including line ends.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_plain, |out, c| out.extend(c.escape_debug()))
}

/// Returns the text in which every character that cannot be shown is escaped, except for line feeds.
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c == '\n' || is_plain(c), |out, c| out.extend(c.escape_debug()))
}

/// Returns the JSON document in which every character in a string that cannot be shown is escaped.
pub fn json(document: &str) -> Cow<'_, str> {
    // Outside strings, a document is ASCII. Inside strings, it has already escaped the control characters of ASCII.
    let stays = |c: char| (c.is_ascii() && c != '\u{7f}') || is_plain(c);
    replaced(document, stays, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// Returns whether a character can be shown without escaping.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // The standard library knows which characters are printable. It is asked about a character that follows another,
    // since a combining accent counts as printable only after a letter.
    format!("a{c}").escape_debug().count() == 2
}

fn replaced(text: &str, stays: impl Fn(char) -> bool, replace: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if text.chars().all(&stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stays(c) { out.push(c) } else { replace(&mut out, c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_shown_is_left_alone() {
        for text in ["", "CORP\\alice", "a \"quoted\" 'name'", "Jürgen", "Ju\u{308}rgen", "山田", "हिन्दी", "[31m"]
        {
            assert_eq!(line(text), text);
            assert!(matches!(lines(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn what_a_terminal_obeys_and_what_hides_is_escaped() {
        assert_eq!(line("\u{1b}]0;owned\u{7}"), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(line("a\0b\r\nc\td"), "a\\0b\\r\\nc\\td");
        assert_eq!(line("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(line("\u{202e}ecila\u{2066}"), "\\u{202e}ecila\\u{2066}");
        assert_eq!(line("\u{2028}\u{200b}\u{feff}\u{a0}\u{e000}"), "\\u{2028}\\u{200b}\\u{feff}\\u{a0}\\u{e000}");
    }

    #[test]
    fn several_lines_keep_their_ends_and_nothing_else() {
        assert_eq!(lines("a\nb\r\n\u{85}c"), "a\nb\\r\n\\u{85}c");
    }

    #[test]
    fn a_json_document_stays_the_same_document() {
        let value =
            serde_json::json!({"a\u{202e}": ["\u{1b}\u{7f}\u{9b}\u{2028}\u{1f468}\u{200d}\u{e0041}", "\\u{1b} \\"]});
        for document in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = json(&document);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
            assert!(escaped.chars().all(|c| c == '\n' || is_plain(c)), "{escaped}");
            assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41"), "{escaped}");
        }
    }
}
