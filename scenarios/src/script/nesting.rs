//! Bounds the nesting depth of a script's syntax before it is parsed.
//!
//! Starlark's parser keeps its own stack, but its compiler descends the syntax tree on the thread's stack, and
//! `-----...1` nests as deeply as it is long. Every level of nesting needs a bracket, an operator or a keyword.
//! Counting these in a statement therefore bounds the depth without parsing.

use std::ops::Range;

/// The maximum number of brackets, operators and keywords in one statement, and of `elif` in a script.
pub(crate) const MAX: usize = 4_000;

/// Returns the first place at which there are too many of them.
pub(crate) fn too_deep(source: &str) -> Option<Range<usize>> {
    let (mut in_statement, mut elifs, mut depth) = (0, 0, 0_usize);
    for (at, token) in tokens(source) {
        match (token, token.chars().next()?) {
            ("elif", _) => elifs += 1,
            ("not" | "lambda" | "if" | "and" | "or" | "in", _) => in_statement += 1,
            (_, '\n' | ';') if depth == 0 => in_statement = 0,
            (_, '(' | '[' | '{') => (depth, in_statement) = (depth + 1, in_statement + 1),
            (_, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            // A comma separates items without nesting them, and a backslash joins lines.
            (_, ',' | '\\' | '#' | '"' | '\'' | '_') => {}
            (_, sign) if sign.is_ascii_punctuation() => in_statement += 1,
            _ => {}
        }
        if in_statement > MAX || elifs > MAX {
            return Some(at..at + token.len());
        }
    }
    None
}

/// Returns the words, comments, strings, joined line ends and single characters of a text, with their positions.
pub(crate) fn tokens(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &source[at..];
        let token = &rest[..token_length(rest, rest.chars().next()?)];
        at += token.len();
        Some((at - token.len(), token))
    })
}

/// Returns the length of the word, comment, string, joined line end or single character at the beginning of `text`.
fn token_length(text: &str, first: char) -> usize {
    match first {
        '#' => text.find('\n').unwrap_or(text.len()),
        '"' | '\'' => string_length(text, &text[..1]),
        '\\' => 1 + text[1..].chars().next().map_or(0, char::len_utf8),
        c if c.is_alphabetic() || c == '_' => {
            text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
        }
        c => c.len_utf8(),
    }
}

/// Returns the length of a string in single or triple quotes, which ends at the latest with its line or with the
/// script.
fn string_length(text: &str, quote: &str) -> usize {
    let triple = quote.repeat(3);
    let (end, lines) = if text.starts_with(&triple) { (&*triple, true) } else { (quote, false) };
    let mut at = end.len();
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(end) {
            return at + end.len();
        }
        if next == '\n' && !lines {
            return at;
        }
        let escaped = if next == '\\' { text[at + 1..].chars().next().map_or(0, char::len_utf8) } else { 0 };
        at += next.len_utf8() + escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nests_is_counted_to_the_end_of_its_statement() {
        for nesting in ["(", "-", "not ", "+1", ".a", "()", "lambda: ", "1 if 1 else ", "[0]", " and 1", "(\n"] {
            assert!(too_deep(&format!("x = {}", nesting.repeat(MAX))).is_some(), "{nesting}");
            assert_eq!(too_deep(&format!("x = {}", nesting.repeat(MAX / 3))), None, "{nesting}");
        }
        assert_eq!(too_deep(&"x = -1 + f(2)\n".repeat(MAX)), None);
        assert!(too_deep(&format!("if 1:\n pass\n{}", "elif 1:\n pass\n".repeat(MAX + 1))).is_some());
    }

    #[test]
    fn strings_comments_and_elements_do_not_nest() {
        for flat in ["'((('", "\"[[[\"", "\"\"\"(\n(\"\"\"", "# ((((((\n", "x_y, ", "1, ", r"'\'((('"] {
            assert_eq!(too_deep(&format!("f({}", flat.repeat(MAX))), None, "{flat}");
        }
    }

    #[test]
    fn any_text_is_taken() {
        for text in ["", "'", "\"\"\"", "\\", "'\\", "\u{fc}'\u{fc}\\\u{fc}", "#", "\r\n\\\n"] {
            assert_eq!(too_deep(text), None, "{text:?}");
        }
    }
}
