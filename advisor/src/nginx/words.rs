//! Splits a file into words and marks (nginx, src/core/ngx_conf_file.c, `ngx_conf_read_token`).

/// A word, or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word.
    Word(Word),
    /// The mark `;`.
    End,
    /// The mark `{`.
    Open,
    /// The mark `}`.
    Close,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The meaning of the word, without quotes and escapes.
    pub(super) text: String,
    /// The word as it is written.
    pub(super) raw: String,
}

/// Reads the tokens of a text one by one.
pub(super) struct Tokens<'a> {
    text: &'a str,
    /// The position up to which the text was read, in bytes.
    pub(super) at: usize,
}

/// The error for a quote that is not closed, or that is directly followed by other text. It contains the position at
/// which the quote begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unquoted(pub(super) usize);

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads the next token, and returns it with its beginning, or `None` at the end.
    ///
    /// # Errors
    /// [`Unquoted`] if a quote is not valid.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Token)>, Unquoted> {
        self.skip_space();
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let token = match first {
            ';' => Token::End,
            '{' => Token::Open,
            '}' => Token::Close,
            '"' | '\'' => return self.quoted(first).map(|word| Some((start, Token::Word(word)))),
            _ => return Ok(Some((start, Token::Word(self.plain())))),
        };
        self.at += 1;
        Ok(Some((start, token)))
    }

    /// Skips a block whose content is in another language, up to the brace that ends it.
    pub(super) fn skip_block(&mut self) {
        let mut depth = 1;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | '\u{feff}' => self.at += c.len_utf8(),
                '#' => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                _ => return,
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Word, Unquoted> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            if ends {
                if self.peek().is_none_or(|next| " \t\r\n;{)".contains(next)) {
                    let raw = &self.text[start..self.at];
                    return Ok(Word { text: unescaped(&raw[1..raw.len() - 1]), raw: raw.to_owned() });
                }
                return Err(Unquoted(start));
            }
        }
        Err(Unquoted(start))
    }

    fn plain(&mut self) -> Word {
        let start = self.at;
        let (mut escaped, mut variable) = (false, false);
        while let Some(c) = self.peek() {
            let ends = " \t\r\n;".contains(c) || (c == '{' && !variable);
            if !escaped && ends {
                break;
            }
            // `${name}` is part of a word, and `}` alone as well.
            variable = c == '$' && !escaped;
            escaped = c == '\\' && !escaped;
            self.at += c.len_utf8();
        }
        let raw = &self.text[start..self.at];
        Word { text: unescaped(raw), raw: raw.to_owned() }
    }
}

/// Returns the meaning of a word: a backslash before a quote or another backslash is removed, and `\t`, `\r` and `\n`
/// have the meaning that they have in C. Before any other character the backslash remains.
fn unescaped(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match (c, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\'' | '\\'))) => Some(next),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        if meant.is_some() {
            chars.next();
        }
        text.push(meant.unwrap_or(c));
    }
    text
}

/// Writes a word so that nginx reads exactly this text. Variables in it remain variables.
pub(super) fn written(text: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !";{}\"'\\#".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("\"{}\"", inner(text))
}

/// Returns the text in the notation between quotes.
pub(super) fn inner(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        match c {
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\\' | '"' => result.extend(['\\', c]),
            c => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let mut tokens = Tokens::new(text);
        let mut all = Vec::new();
        while let Some((_, token)) = tokens.next().unwrap() {
            all.push(match token {
                Token::Word(word) => word.text,
                Token::End => ";".into(),
                Token::Open => "{".into(),
                Token::Close => "}".into(),
            });
        }
        all
    }

    #[test]
    fn words_are_those_of_nginx() {
        for (text, expected) in [
            ("listen 80; # no\nserver{ }", vec!["listen", "80", ";", "server", "{", "}"]),
            (r#"proxy_set_header Connection "";"#, vec!["proxy_set_header", "Connection", "", ";"]),
            (r"location ~ \.php$ {", vec!["location", "~", r"\.php$", "{"]),
            (r#"x "a \"b\" \\ c" 'd;e';"#, vec!["x", r#"a "b" \ c"#, "d;e", ";"]),
            ("set $a ${b}c;", vec!["set", "$a", "${b}c", ";"]),
            ("log a#b;", vec!["log", "a#b", ";"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
        assert_eq!(Tokens::new("'a").next(), Err(Unquoted(0)));
        assert_eq!(Tokens::new(r#" "a"b"#).next(), Err(Unquoted(1)));
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_written_so_that_it_is_read_again(text in "[ -~\n\t\r\u{e9}]{0,20}") {
            let line = written(&text);
            proptest::prop_assert!(!line.contains('\n'));
            proptest::prop_assert_eq!(texts(&line), vec![text]);
        }

        #[test]
        fn any_text_comes_to_its_end(text in "\\PC{0,80}") {
            let mut tokens = Tokens::new(&text);
            let mut before = 0;
            while let Ok(Some((start, _))) = tokens.next() {
                proptest::prop_assert!(start >= before && tokens.at > start && tokens.at <= text.len());
                before = tokens.at;
            }
        }
    }
}
