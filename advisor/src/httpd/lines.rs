//! Splits a file into lines and words (<https://httpd.apache.org/docs/2.4/configuring.html#syntax>; server/util.c:
//! `ap_getword_conf`).

use std::ops::Range;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::Place;
use crate::source::Source;

/// A line together with those that continue it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    /// The file of the directive; for a line of a macro, the file that uses the macro.
    pub(super) source: Arc<Source>,
    /// The bytes of the file that it occupies, from its first word to its last one. If it continues in further lines,
    /// they belong to it.
    bytes: Range<usize>,
}

impl Line {
    pub(super) fn place(&self) -> Place {
        self.source.place(self.bytes.clone())
    }

    /// Returns the line with another text, as if it stood at the same place.
    pub(super) fn with_text(&self, text: String) -> Self {
        Self { text, source: Arc::clone(&self.source), bytes: self.bytes.clone() }
    }

    /// Returns a message about the line.
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    pub(super) fn wrong(&self, message: String) -> Box<Diagnostic> {
        self.source.wrong(self.bytes.clone(), message)
    }
}

/// Returns the lines of a file, except for empty lines and comments.
pub(super) fn lines(source: &Arc<Source>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    let mut begin = 0;
    for (index, text) in source.text.split('\n').enumerate() {
        let start = begin;
        begin += text.len() + 1;
        let end = start + text.len();
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = if index == 0 { text.trim_start_matches('\u{feff}') } else { text };
        let mut line =
            open.take().unwrap_or_else(|| Line { text: String::new(), source: Arc::clone(source), bytes: start..end });
        line.bytes.end = end;
        if let Some(continued) = text.strip_suffix('\\') {
            line.text.push_str(continued);
            open = Some(line);
        } else {
            line.text.push_str(text);
            lines.push(line);
        }
    }
    lines.extend(open);
    for line in &mut lines {
        line.text = line.text.trim_matches([' ', '\t']).to_owned();
        line.bytes = trimmed(&source.text, line.bytes.clone());
    }
    lines.retain(|line| !line.text.is_empty() && !line.text.starts_with('#'));
    lines
}

/// Returns these bytes of a text without blanks, ends of lines and continuations at their beginning and end.
fn trimmed(text: &str, bytes: Range<usize>) -> Range<usize> {
    let is_blank = [' ', '\t', '\r', '\n', '\\', '\u{feff}'];
    let whole = &text[bytes.clone()];
    let start = bytes.start + whole.len() - whole.trim_start_matches(is_blank).len();
    start..start + text[start..bytes.end].trim_end_matches(is_blank).len()
}

/// Returns the words of a line, without quotes. A quote that is not closed ends with the line.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    while let Some(first) = rest.chars().next() {
        let quote = Some(first).filter(|c| matches!(c, '"' | '\''));
        let mut word = String::new();
        let mut chars = rest.char_indices().skip(usize::from(quote.is_some())).peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            if quote.map_or_else(|| matches!(c, ' ' | '\t'), |quote| c == quote) {
                end = at + c.len_utf8();
                break;
            }
            let escaped = chars.peek().map(|&(_, next)| next).filter(|&next| next == '\\' || Some(next) == quote);
            if let ('\\', Some(next)) = (c, escaped) {
                word.push(next);
                chars.next();
            } else {
                word.push(c);
            }
        }
        words.push(word);
        rest = rest[end..].trim_start_matches([' ', '\t']);
    }
    words
}

/// Returns a word in the notation in which [`words`] and httpd read exactly this word, with quotes if necessary.
/// Returns `None` for words that quotes cannot contain: with control characters, or with text that httpd would replace
/// by a variable's value.
pub(super) fn written(word: &str) -> Option<String> {
    if word.contains(char::is_control) || word.contains("${") {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:%+,=~@*!?-^$()[]|;&".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Some(word.to_owned());
    }
    Some(format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_httpd() {
        for (text, expected) in [
            ("ProxyPass / http://a/", vec!["ProxyPass", "/", "http://a/"]),
            (r#"Header add X "a \"b\" c" env=Y"#, vec!["Header", "add", "X", "a \"b\" c", "env=Y"]),
            (r"SetEnvIf A '\.x \\ y' b", vec!["SetEnvIf", "A", r"\.x \ y", "b"]),
            (r#"Define X """#, vec!["Define", "X", ""]),
            (r#"ErrorLog "|/bin/x -a"#, vec!["ErrorLog", "|/bin/x -a"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_backslash_continues_a_line_and_a_comment() {
        let text = "# a \\\nb\nProxySet x=1 \\\r\n  y=2\n\n  KeepAlive On\r\n".to_owned();
        let source = Arc::new(Source::new("x", text));
        let lines: Vec<(usize, String)> =
            lines(&source).into_iter().map(|line| (line.place().line, line.text)).collect();
        assert_eq!(lines, [(3, "ProxySet x=1   y=2".to_owned()), (6, "KeepAlive On".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_word(word in "[ -~]{0,20}") {
            if let Some(written) = written(&word) {
                proptest::prop_assert_eq!(words(&written), [word]);
            }
        }

        #[test]
        fn any_line_has_words(line in "\\PC{0,60}") {
            words(&line);
        }
    }
}
