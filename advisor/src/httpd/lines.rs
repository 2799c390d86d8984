//! Splits a file into lines and words (<https://httpd.apache.org/docs/2.4/configuring.html#syntax>; server/util.c:
//! `ap_getword_conf`).

use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::Place;

/// The text of a file, for messages about it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: Arc<str>,
    pub(super) text: String,
}

/// A line together with those that continue it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    /// The file of the directive; for a line of a macro, the file that uses the macro.
    pub(super) source: Arc<Source>,
    /// The number of the line, from 1.
    pub(super) number: usize,
    /// The beginning of the line in the file, in bytes.
    pub(super) start: usize,
}

impl Line {
    pub(super) fn place(&self) -> Place {
        Place { file: Arc::clone(&self.source.path), line: self.number }
    }

    /// Returns a message about the line.
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    pub(super) fn wrong(&self, message: String) -> Box<Diagnostic> {
        let Source { path, text } = &*self.source;
        let line = text[self.start..].lines().next().unwrap_or_default();
        let start = self.start + line.len() - line.trim_start().len();
        Box::new(Diagnostic::new(path, text, start..self.start + line.trim_end().len(), message, None))
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
        let text = text.strip_suffix('\r').unwrap_or(text);
        let text = if index == 0 { text.trim_start_matches('\u{feff}') } else { text };
        let mut line = open.take().unwrap_or_else(|| Line {
            text: String::new(),
            source: Arc::clone(source),
            number: index + 1,
            start,
        });
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
    }
    lines.retain(|line| !line.text.is_empty() && !line.text.starts_with('#'));
    lines
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
        let source = Arc::new(Source { path: "x".into(), text });
        let lines: Vec<(usize, String)> = lines(&source).into_iter().map(|line| (line.number, line.text)).collect();
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
