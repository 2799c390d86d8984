//! Splits a file into tokens (<https://caddyserver.com/docs/caddyfile/concepts#structure>;
//! caddyconfig/caddyfile/lexer.go of Caddy 2.6).

use std::ops::Range;
use std::sync::Arc;

use stickler_runner::Diagnostic;

use crate::source::Source;
use crate::{Files, Place};

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// The bytes of the file that it occupies, with its quotes.
    pub(super) bytes: Range<usize>,
    /// Whether the token is in quotes, in which case no brace in it belongs to a block.
    pub(super) quoted: bool,
}

/// The tokens of a line, or of the lines that continue it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) tokens: Vec<Token>,
    pub(super) source: Arc<Source>,
}

impl Line {
    /// Returns the bytes of the file from the first token to the last one, without the brace that begins a block.
    fn bytes(&self) -> Range<usize> {
        let words = &self.tokens[..self.tokens.len() - usize::from(self.opens() && self.tokens.len() > 1)];
        let start = words.first().map_or(0, |token| token.bytes.start);
        start..words.last().map_or(start, |token| token.bytes.end)
    }

    pub(super) fn place(&self) -> Place {
        self.source.place(self.bytes())
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
        self.source.wrong(self.bytes(), message)
    }
}

/// The maximum size of a file in bytes, after variables have been replaced by their values.
const MOST_TEXT: usize = 64 << 20;

/// The text of a file in which variables have been replaced by their values.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    text: String,
    /// The variables, each as the bytes of its value in this text, and as its own bytes in the file, in order.
    values: Vec<(Range<usize>, Range<usize>)>,
}

impl Expanded {
    /// Returns the bytes of the file from which these bytes of the text come. A part of a value comes from the whole
    /// variable.
    fn origin(&self, bytes: &Range<usize>) -> Range<usize> {
        let before = |at: usize, is_end: bool| {
            let count = self.values.partition_point(|(value, _)| value.start < at + usize::from(!is_end));
            count.checked_sub(1).map(|last| &self.values[last])
        };
        let start = before(bytes.start, false).map_or(bytes.start, |(value, variable)| {
            if bytes.start < value.end { variable.start } else { variable.end + bytes.start - value.end }
        });
        let end = before(bytes.end, true)
            .map_or(bytes.end, |(value, variable)| variable.end + bytes.end.saturating_sub(value.end));
        start..end.max(start)
    }
}

/// Replaces `{$NAME}` and `{$NAME:default}` by their values, as Caddy does before it reads anything. A variable without
/// a value becomes empty.
///
/// # Errors
/// The text would become too long.
pub(super) fn with_environment(source: &Source, files: &dyn Files) -> Result<Expanded, Box<Diagnostic>> {
    let mut result = Expanded::default();
    let mut rest = &*source.text;
    while let Some((before, from)) = rest.split_once("{$") {
        let begin = source.text.len() - rest.len() + before.len();
        result.text.push_str(before);
        let Some((inside, after)) = from.split_once('}') else {
            result.text.push_str("{$");
            rest = from;
            continue;
        };
        if inside.is_empty() {
            result.text.push_str("{$}");
            rest = after;
            continue;
        }
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        let value = files.variable(name).filter(|value| !value.is_empty());
        let start = result.text.len();
        result.text.push_str(value.as_deref().unwrap_or(default));
        let end = source.text.len() - after.len();
        result.values.push((start..result.text.len(), begin..end));
        if result.text.len() > MOST_TEXT {
            return Err(source.wrong(begin..end, format!("it is longer than {MOST_TEXT} bytes with its variables")));
        }
        rest = after;
    }
    result.text.push_str(rest);
    Ok(result)
}

/// Splits the text of a file, in which variables were replaced, into lines of tokens.
///
/// # Errors
/// A quote is not closed.
pub(super) fn lines(source: &Arc<Source>, expanded: &Expanded) -> Result<Vec<Line>, Box<Diagnostic>> {
    let mut lexer = Lexer { lines: Vec::new(), tokens: Vec::new(), source, expanded };
    let text = expanded.text.trim_start_matches('\u{feff}');
    let skipped = expanded.text.len() - text.len();
    let mut chars = text.char_indices().map(|(at, c)| (at + skipped, c)).peekable();
    let mut token: Option<Token> = None;
    // The quote that is open, and the position at which it began.
    let mut quote: Option<(char, usize)> = None;
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        let next = chars.peek().map(|&(_, next)| next);
        if let Some((open, _)) = quote {
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
                    word.bytes.end = end;
                    lexer.tokens.extend(token.take());
                }
                '\r' => {}
                c => word.text.push(c),
            }
            continue;
        }
        match c {
            '\\' if matches!(next, Some('\n' | '\r')) => {
                if chars.next().is_some_and(|(_, c)| c == '\r') {
                    chars.next_if(|&(_, c)| c == '\n');
                }
                lexer.tokens.extend(token.take());
            }
            '\n' => {
                lexer.tokens.extend(token.take());
                lexer.end_line();
            }
            c if c.is_whitespace() => lexer.tokens.extend(token.take()),
            '#' if token.is_none() => while chars.next_if(|&(_, c)| c != '\n').is_some() {},
            '"' | '`' if token.is_none() => {
                quote = Some((c, at));
                token = Some(Token { text: String::new(), bytes: at..end, quoted: true });
            }
            c => {
                let begin = || Token { text: String::new(), bytes: at..end, quoted: false };
                let word = token.get_or_insert_with(begin);
                word.text.push(c);
                word.bytes.end = end;
            }
        }
    }
    if let Some((_, at)) = quote {
        return Err(source.wrong(expanded.origin(&(at..at + 1)), "the quote that begins here does not end"));
    }
    lexer.tokens.extend(token);
    lexer.end_line();
    Ok(lexer.lines)
}

struct Lexer<'a> {
    lines: Vec<Line>,
    /// The tokens of the current line, with their bytes in the expanded text.
    tokens: Vec<Token>,
    source: &'a Arc<Source>,
    expanded: &'a Expanded,
}

impl Lexer<'_> {
    fn end_line(&mut self) {
        if !self.tokens.is_empty() {
            let of_file = |token: Token| Token { bytes: self.expanded.origin(&token.bytes), ..token };
            let tokens = std::mem::take(&mut self.tokens).into_iter().map(of_file).collect();
            self.lines.push(Line { tokens, source: Arc::clone(self.source) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Texts;

    /// A text without variables.
    fn unexpanded(text: &str) -> Expanded {
        Expanded { text: text.to_owned(), values: Vec::new() }
    }

    fn texts(text: &str) -> Vec<(usize, Vec<String>)> {
        let source = Arc::new(Source::new("Caddyfile", text.into()));
        let lines = lines(&source, &unexpanded(text)).unwrap();
        lines
            .iter()
            .map(|line| (line.place().line, line.tokens.iter().map(|token| token.text.clone()).collect()))
            .collect()
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
        let source = Arc::new(Source::new("Caddyfile", "a\n  b \"c\nd".into()));
        let error = lines(&source, &unexpanded(&source.text)).unwrap_err();
        assert_eq!((error.line, error.column), (2, 5));
    }

    #[test]
    fn tokens_with_variables_know_where_they_stand_in_the_file() {
        let text = "a {$LONG}b {$NONE} c\n{$TWO} d{$NONE}";
        let source = Arc::new(Source::new("Caddyfile", text.into()));
        let mut files = Texts::default();
        for (name, value) in [("LONG", "a very long value"), ("TWO", "e\nf")] {
            files.variables.insert(name.to_owned(), value.to_owned());
        }
        let lines = lines(&source, &with_environment(&source, &files).unwrap()).unwrap();
        let places: Vec<Vec<(&str, &str)>> = lines
            .iter()
            .map(|line| line.tokens.iter().map(|token| (&*token.text, &text[token.bytes.clone()])).collect())
            .collect();
        assert_eq!(
            places,
            [
                vec![
                    ("a", "a"),
                    ("a", "{$LONG}"),
                    ("very", "{$LONG}"),
                    ("long", "{$LONG}"),
                    ("valueb", "{$LONG}b"),
                    ("c", "c")
                ],
                vec![("e", "{$TWO}")],
                vec![("f", "{$TWO}"), ("d", "d")],
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_tokens_or_an_error(text in "[ -~\\n\\r]{0,80}") {
            let _ = lines(&Arc::new(Source::new("x", text.clone())), &unexpanded(&text));
        }
    }
}
