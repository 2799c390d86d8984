//! Splits a line into words (HAProxy's manual, section 2.2, "Quoting and escaping").

use std::fmt::Write as _;

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The meaning of the word, without quotes and escapes. Environment variables are not replaced.
    pub(super) text: String,
    /// The beginning of the word in the line, in bytes.
    pub(super) start: usize,
    /// The end of the word in the line, in bytes.
    pub(super) end: usize,
}

impl Word {
    /// Replaces environment variables between double quotes by their values (section 2.3).
    pub(super) fn expand(&mut self, line: &str, variable: &dyn Fn(&str) -> Option<String>) {
        if line[self.start..self.end].contains('"') && self.text.contains('$') {
            self.text = expanded(&self.text, variable);
        }
    }
}

/// Returns the text with `$NAME`, `${NAME}` and `${NAME-otherwise}` replaced by their values. A variable that is not
/// set becomes empty.
fn expanded(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (inner, after) = braced.unwrap_or_else(|| rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())));
        let (name, otherwise) = inner.split_once('-').unwrap_or((inner, ""));
        let name = name.trim_end_matches("[*]");
        if name.is_empty() {
            result.push('$');
            continue;
        }
        result.push_str(&variable(name).unwrap_or_else(|| otherwise.to_owned()));
        rest = after;
    }
    result + rest
}

/// Splits a line into words, up to a comment.
///
/// # Errors
/// The error is the position, in bytes, of a quote that is not closed.
pub(super) fn split(line: &str) -> Result<Vec<Word>, usize> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    // The quote that is open, and where it began.
    let mut quote: Option<(char, usize)> = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_open = |mark: char| quote.is_some_and(|(open, _)| open == mark);
        match c {
            '#' if quote.is_none() => break,
            ' ' | '\t' | '\r' | '\x0b' | '\x0c' if quote.is_none() => words.extend(word.take()),
            '\'' | '"' if quote.is_none() || is_open(c) => {
                quote = if quote.is_none() { Some((c, at)) } else { None };
                word.get_or_insert_with(|| Word { text: String::new(), start: at, end: at }).end = at + 1;
            }
            _ => {
                let escape = (c == '\\' && !is_open('\'')).then(|| escaped(&line[at + 1..])).flatten();
                let (meant, length) = escape.map_or((c, c.len_utf8()), |(meant, length)| (meant, 1 + length));
                for _ in line[at + c.len_utf8()..at + length].chars() {
                    chars.next();
                }
                let word = word.get_or_insert_with(|| Word { text: String::new(), start: at, end: at });
                word.text.push(meant);
                word.end = at + length;
            }
        }
    }
    if let Some((_, start)) = quote {
        return Err(start);
    }
    words.extend(word);
    Ok(words)
}

/// Returns the character that an escape after a backslash means, and the number of bytes that belong to it; `None` if
/// the backslash stands for itself (`parse_line` in src/tools.c).
fn escaped(rest: &str) -> Option<(char, usize)> {
    let c = rest.chars().next()?;
    match c {
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'x' => {
            let digits = rest.get(1..3)?;
            u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii).map(|byte| (byte as char, 3))
        }
        ' ' | '#' | '\\' | '"' | '\'' | '$' => Some((c, 1)),
        _ => None,
    }
}

/// Writes a word so that HAProxy reads exactly this text, and interprets no variables, escapes or spaces in it.
pub(super) fn written(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/,@%+=*()[]{}<>!|^~?&;".contains(c) || !c.is_ascii();
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut result = String::from('"');
    for c in text.chars() {
        match c {
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\\' | '"' | '$' => result.extend(['\\', c]),
            c if c.is_ascii_control() => {
                // Writing to a string never fails.
                let _ = write!(result, "\\x{:02x}", c as u32);
            }
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    /// Tests the examples of section 2.2 of the manual, and more.
    #[test]
    fn words_are_those_of_the_manual() {
        for (line, expected) in [
            ("  server  s1 10.0.0.1:80\tcheck # the first", vec!["server", "s1", "10.0.0.1:80", "check"]),
            (r#"http-request set-header X "a b # c""#, vec!["http-request", "set-header", "X", "a b # c"]),
            (r"http-request set-header X a\ b\#c", vec!["http-request", "set-header", "X", "a b#c"]),
            (r"acl x path_reg '^/a\.b$'", vec!["acl", "x", "path_reg", r"^/a\.b$"]),
            (r#"x "a\.b" "a'b" 'a"b' a\.b"#, vec!["x", r"a\.b", "a'b", "a\"b", r"a\.b"]),
            (r"\x67lobal a\x20b", vec!["global", "a b"]),
            ("global\x0bx\x0cy", vec!["global", "x", "y"]),
            (r#"bind "$ADDR":80 "${X}""#, vec!["bind", "$ADDR:80", "${X}"]),
            ("# only a comment", vec![]),
            ("", vec![]),
            (r#"description """#, vec!["description", ""]),
            ("listen caf\u{e9}\r", vec!["listen", "caf\u{e9}"]),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_word() {
        for text in [
            "plain",
            "",
            "a b",
            "a#b",
            "$HOME",
            "a\"b'c",
            "a\\b",
            "a\nb\rc\td",
            "\x0b\x01",
            "%[hdr(host),lower]",
            "caf\u{e9}",
        ] {
            let line = format!("x {} y", written(text));
            assert!(!line.contains('\n'), "{line:?}");
            assert_eq!(texts(&line), ["x", text, "y"], "{line}");
        }
    }

    #[test]
    fn words_know_where_they_stand() {
        let line = "  a 'b c' d";
        let places: Vec<&str> = split(line).unwrap().iter().map(|word| &line[word.start..word.end]).collect();
        assert_eq!(places, ["a", "'b c'", "d"]);
        assert_eq!(split("a 'b"), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_written_so_that_it_is_read_again(text in "[\\x00-\\x7f\u{e9}]{0,20}") {
            proptest::prop_assert_eq!(texts(&written(&text)), vec![text]);
        }

        #[test]
        fn any_line_has_words_within_it(line in "\\PC{0,60}") {
            if let Ok(words) = split(&line) {
                let mut end = 0;
                for word in words {
                    proptest::prop_assert!(word.start >= end && word.end > word.start && word.end <= line.len());
                    proptest::prop_assert!(line.is_char_boundary(word.start) && line.is_char_boundary(word.end));
                    end = word.end;
                }
            }
        }
    }
}
