//! Splits a file into tokens (<https://caddyserver.com/docs/caddyfile/concepts#structure>;
//! caddyconfig/caddyfile/lexer.go of Caddy 2.6).

use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::{Files, Place};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// The line, from 1.
    pub(super) line: usize,
    /// Whether the token is in quotes, in which case no brace in it belongs to a block.
    pub(super) quoted: bool,
}

/// The tokens of a line, or of the lines that continue it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) tokens: Vec<Token>,
    pub(super) source: Arc<Source>,
}

/// The text of a file, for messages about it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: Arc<str>,
    pub(super) text: String,
}

impl Line {
    pub(super) fn number(&self) -> usize {
        self.tokens.first().map_or(1, |token| token.line)
    }

    pub(super) fn place(&self) -> Place {
        Place { file: Arc::clone(&self.source.path), line: self.number() }
    }

    /// Returns whether the last token of the line begins a block.
    pub(super) fn opens(&self) -> bool {
        self.tokens.last().is_some_and(|token| token.text == "{" && !token.quoted)
    }

    /// Returns whether the line ends a block.
    pub(super) fn closes(&self) -> bool {
        matches!(&self.tokens[..], [token] if token.text == "}" && !token.quoted)
    }

    /// Returns a message about the line.
    #[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
    pub(super) fn wrong(&self, message: String) -> Box<Diagnostic> {
        wrong(&self.source, self.number(), message)
    }
}

/// Returns a message about a line of a file.
#[expect(clippy::unnecessary_box_returns, reason = "errors are boxed everywhere")]
pub(super) fn wrong(source: &Source, number: usize, message: String) -> Box<Diagnostic> {
    let lines = source.text.split_inclusive('\n').take(number.saturating_sub(1));
    let start: usize = lines.map(str::len).sum();
    let line = source.text[start..].lines().next().unwrap_or_default();
    let begin = start + line.len() - line.trim_start().len();
    Box::new(Diagnostic::new(&source.path, &source.text, begin..start + line.trim_end().len(), message, None))
}

/// The maximum size of a file in bytes, after variables have been replaced by their values.
const MOST_TEXT: usize = 64 << 20;

/// Replaces `{$NAME}` and `{$NAME:default}` by their values, as Caddy does before it reads anything. A variable without
/// a value becomes empty.
///
/// # Errors
/// The text would become too long.
pub(super) fn with_environment(source: &Source, files: &dyn Files) -> Result<String, Box<Diagnostic>> {
    let text = &*source.text;
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{$") {
        result.push_str(before);
        let Some((inside, after)) = from.split_once('}') else {
            result.push_str("{$");
            rest = from;
            continue;
        };
        if inside.is_empty() {
            result.push_str("{$}");
            rest = after;
            continue;
        }
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        let value = files.variable(name).filter(|value| !value.is_empty());
        result.push_str(value.as_deref().unwrap_or(default));
        if result.len() > MOST_TEXT {
            return Err(wrong(source, 1, format!("it is longer than {MOST_TEXT} bytes with its variables")));
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// Splits a text, in which variables were replaced, into lines of tokens.
///
/// # Errors
/// A quote is not closed.
pub(super) fn lines(source: &Arc<Source>, text: &str) -> Result<Vec<Line>, Box<Diagnostic>> {
    let mut lexer = Lexer { lines: Vec::new(), tokens: Vec::new(), source: Arc::clone(source) };
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    let mut number = 1;
    let mut token: Option<Token> = None;
    // The quote that is open, and the line in which it began.
    let mut quote: Option<(char, usize)> = None;
    while let Some(c) = chars.next() {
        let line = number;
        number += usize::from(c == '\n');
        if let Some((open, _)) = quote {
            let next = chars.peek().copied();
            let Some(word) = token.as_mut() else { continue };
            match c {
                // A backslash escapes a quote, and removes the meaning of another backslash.
                '\\' if open == '"' => match next {
                    Some('"') => {
                        word.text.push('"');
                        chars.next();
                    }
                    Some('\\') => {
                        word.text.push_str("\\\\");
                        chars.next();
                    }
                    _ => word.text.push('\\'),
                },
                c if c == open => {
                    quote = None;
                    lexer.tokens.extend(token.take());
                }
                '\r' => {}
                c => word.text.push(c),
            }
            continue;
        }
        match c {
            '\\' if matches!(chars.peek(), Some('\n' | '\r')) => {
                if chars.next() == Some('\r') {
                    chars.next_if_eq(&'\n');
                }
                number += 1;
                lexer.tokens.extend(token.take());
            }
            '\n' => {
                lexer.tokens.extend(token.take());
                lexer.end_line();
            }
            c if c.is_whitespace() => lexer.tokens.extend(token.take()),
            '#' if token.is_none() => while chars.next_if(|&c| c != '\n').is_some() {},
            '"' | '`' if token.is_none() => {
                quote = Some((c, line));
                token = Some(Token { text: String::new(), line, quoted: true });
            }
            c => token.get_or_insert_with(|| Token { text: String::new(), line, quoted: false }).text.push(c),
        }
    }
    if let Some((_, begun)) = quote {
        return Err(wrong(source, begun, "the quote that begins here does not end".into()));
    }
    lexer.tokens.extend(token);
    lexer.end_line();
    Ok(lexer.lines)
}

struct Lexer {
    lines: Vec<Line>,
    tokens: Vec<Token>,
    source: Arc<Source>,
}

impl Lexer {
    fn end_line(&mut self) {
        if !self.tokens.is_empty() {
            let tokens = std::mem::take(&mut self.tokens);
            self.lines.push(Line { tokens, source: Arc::clone(&self.source) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, Vec<String>)> {
        let source = Arc::new(Source { path: "Caddyfile".into(), text: text.into() });
        let lines = lines(&source, text).unwrap();
        lines.iter().map(|line| (line.number(), line.tokens.iter().map(|token| token.text.clone()).collect())).collect()
    }

    #[test]
    fn tokens_are_those_of_caddy() {
        let text = "\u{feff}# c\n:80 {\r\n\trespond \"a \\\"b\\\" # c\" 200 # d\n\theader X `raw \\ \"`\n\tlog \\\n\t\tx#y\n}\n";
        let expected = [
            (2, vec![":80", "{"]),
            (3, vec!["respond", "a \"b\" # c", "200"]),
            (4, vec!["header", "X", "raw \\ \""]),
            (5, vec!["log", "x#y"]),
            (7, vec!["}"]),
        ];
        let expected: Vec<(usize, Vec<String>)> =
            expected.into_iter().map(|(line, words)| (line, words.into_iter().map(str::to_owned).collect())).collect();
        assert_eq!(texts(text), expected);
    }

    #[test]
    fn a_quote_that_does_not_end_has_its_place() {
        let source = Arc::new(Source { path: "Caddyfile".into(), text: "a\n  b \"c\nd".into() });
        let error = lines(&source, &source.text).unwrap_err();
        assert_eq!((error.line, error.column), (2, 3));
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_tokens_or_an_error(text in "[ -~\\n\\r]{0,80}") {
            let source = Arc::new(Source { path: "x".into(), text: text.clone() });
            let _ = lines(&source, &text);
        }
    }
}
