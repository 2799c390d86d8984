//! Splits a file into tokens (<https://varnish-cache.org/docs/7.1/reference/vcl.html>; lib/libvcc/vcc_token.c of
//! Varnish 7.1).

use std::ops::Range;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::Place;
use crate::source::Source;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a number, or an operator.
    Word,
    /// A text, without its quotes.
    Text,
    /// Code in C, without its brackets.
    Code,
}

/// A token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The bytes of the file that it occupies, with its quotes or brackets.
    pub(super) bytes: Range<usize>,
    pub(super) source: Arc<Source>,
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    pub(super) fn place(&self) -> Place {
        self.source.place(self.bytes.clone())
    }

    /// Returns a message about the token.
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    pub(super) fn wrong(&self, message: String) -> Box<Diagnostic> {
        self.source.wrong(self.bytes.clone(), message)
    }
}

/// The beginnings and ends of comments, texts and code.
const ENCLOSED: [(&str, &str, Option<Kind>); 7] = [
    ("/*", "*/", None),
    ("#", "\n", None),
    ("//", "\n", None),
    ("C{", "}C", Some(Kind::Code)),
    ("\"\"\"", "\"\"\"", Some(Kind::Text)),
    ("{\"", "\"}", Some(Kind::Text)),
    ("\"", "\"", Some(Kind::Text)),
];

/// Splits a text into tokens.
///
/// # Errors
/// A comment, a string or a block of code is not closed.
pub(super) fn tokens(source: &Arc<Source>) -> Result<Vec<Token>, Box<Diagnostic>> {
    let mut found = Vec::new();
    let mut rest = source.text.trim_start_matches('\u{feff}');
    while let Some(first) = rest.chars().next() {
        let at = source.text.len() - rest.len();
        if let Some((begin, end, kind)) = ENCLOSED.into_iter().find(|(begin, _, _)| rest.starts_with(begin)) {
            let inside = &rest[begin.len()..];
            let length = match (inside.find(end), kind) {
                (Some(length), _) => length,
                (None, None) if end == "\n" => inside.len(),
                (None, _) => {
                    return Err(source.wrong(at..at + begin.len(), format!("`{begin}` is not closed by `{end}`")));
                }
            };
            let text = &inside[..length];
            if begin == "\"" && text.contains('\n') {
                return Err(source.wrong(at..at + begin.len(), "the text does not end in its line"));
            }
            let skip = begin.len() + length + if end == "\n" { 0 } else { end.len() };
            if let Some(kind) = kind {
                found.push(Token { kind, text: text.to_owned(), bytes: at..at + skip, source: Arc::clone(source) });
            }
            rest = &rest[skip..];
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let length = if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else {
            let double =
                ["==", "!=", "!~", "&&", "||", "<=", ">=", "+=", "++"].iter().any(|double| rest.starts_with(double));
            if double { 2 } else { first.len_utf8() }
        };
        let text = &rest[..length];
        if !first.is_whitespace() {
            let (text, bytes) = (text.to_owned(), at..at + length);
            found.push(Token { kind: Kind::Word, text, bytes, source: Arc::clone(source) });
        }
        rest = &rest[length..];
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_varnish() {
        let text =
            "vcl 4.1; # a\n/* b\n */ set x.http.A = {\"q \"r\" }\"} + \"s\";\nif (a != b) { C{ int x; }C }".to_owned();
        let source = Arc::new(Source::new("x.vcl", text));
        let all: Vec<(usize, String)> =
            tokens(&source).unwrap().into_iter().map(|token| (token.place().line, token.text)).collect();
        let words = |line: usize| all.iter().filter(|(at, _)| *at == line).map(|(_, text)| &**text).collect::<Vec<_>>();
        assert_eq!(words(1), ["vcl", "4.1", ";"]);
        assert_eq!(words(3), ["set", "x.http.A", "=", "q \"r\" }", "+", "s", ";"]);
        assert_eq!(words(4), ["if", "(", "a", "!=", "b", ")", "{", " int x; ", "}"]);
    }

    #[test]
    fn what_does_not_end_has_its_place() {
        for text in ["a;\n \"b", "a;\n /* b", "a;\nC{ b", "a;\n\"b\nc\""] {
            let source = Arc::new(Source::new("x.vcl", text.into()));
            assert_eq!(tokens(&source).unwrap_err().line, 2, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_tokens_or_an_error(text in "[ -~\\n]{0,80}") {
            let _ = tokens(&Arc::new(Source::new("x", text)));
        }
    }
}
