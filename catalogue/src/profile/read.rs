//! Values and their citations, and where a file is wrong.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::schema::Cell;
use super::{Citation, Fact};

/// A file of profiles is wrong: what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// The file's name, as it was given.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, text, message } = self;
        write!(f, "{path}:{line}:{column}: {message}\n  {text}")?;
        // Nothing to point at beyond what is shown.
        if *column <= text.chars().count() + 1 { write!(f, "\n  {:>column$}", "^") } else { Ok(()) }
    }
}

impl std::error::Error for ProfileError {}

/// Longest line that an error shows.
const LINE: usize = 160;

impl ProfileError {
    pub(super) fn at(path: &str, text: &str, span: &Range<usize>, message: impl Into<String>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default().chars().take(LINE).collect();
        let column = text[begin..start].chars().count() + 1;
        let number = before.matches('\n').count() + 1;
        Self { path: path.into(), line: number, column, text: line, message: message.into() }
    }
}

/// Reads values, and keeps what they rest on.
pub(super) struct Reader<'t> {
    path: &'t str,
    text: &'t str,
    pub(super) facts: Vec<Fact>,
}

type Read<T> = Result<T, ProfileError>;

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, path: &'t str) -> Self {
        Self { path, text, facts: Vec::new() }
    }

    pub(super) fn wrong(&self, span: &Range<usize>, message: impl Into<String>) -> ProfileError {
        ProfileError::at(self.path, self.text, span, message)
    }

    /// A value that may be left out.
    pub(super) fn maybe<T>(&mut self, what: &'static str, cell: Cell<T>) -> Read<Option<Spanned<T>>> {
        let Some(cell) = cell else { return Ok(None) };
        let (span, value) = (cell.span(), cell.into_inner());
        let (found, citation) = match (value.is, value.source, value.evidence, value.assumed, value.why) {
            (Some(is), Some(source), Some(evidence), None, None) if !source.trim().is_empty() => {
                (is, Citation::Known { source, evidence })
            }
            (None, None, None, Some(assumed), Some(why)) if !why.trim().is_empty() => {
                (assumed, Citation::Assumed { why })
            }
            _ => {
                let message = format!(
                    "`{what}` has no source: write {{ is = ..., source = \"...\", evidence = \"M, S, D, I or R\" }}, or \
                     {{ assumed = ..., why = \"not known: ...\" }}"
                );
                return Err(self.wrong(&span, message));
            }
        };
        let value = self.text.get(found.span()).unwrap_or_default().trim_matches('"').to_owned();
        self.facts.push(Fact { what, value, citation });
        Ok(Some(found))
    }

    /// A value that the section cannot do without.
    pub(super) fn needed<T>(&mut self, what: &'static str, cell: Cell<T>, section: &Range<usize>) -> Read<Spanned<T>> {
        match self.maybe(what, cell)? {
            Some(value) => Ok(value),
            None => Err(self.wrong(section, format!("`{what}` is missing: say it, or what is assumed and why"))),
        }
    }

    pub(super) fn plain<T>(&mut self, what: &'static str, cell: Cell<T>) -> Read<Option<T>> {
        Ok(self.maybe(what, cell)?.map(Spanned::into_inner))
    }

    /// One of these words.
    pub(super) fn word<T: Clone>(
        &mut self,
        what: &'static str,
        cell: Cell<String>,
        words: &[(&str, T)],
    ) -> Read<Option<T>> {
        self.maybe(what, cell)?.map(|word| self.choose(what, &word, words)).transpose()
    }

    pub(super) fn needed_word<T: Clone>(
        &mut self,
        what: &'static str,
        cell: Cell<String>,
        section: &Range<usize>,
        words: &[(&str, T)],
    ) -> Read<T> {
        let word = self.needed(what, cell, section)?;
        self.choose(what, &word, words)
    }

    pub(super) fn choose<T: Clone>(&self, what: &str, word: &Spanned<String>, words: &[(&str, T)]) -> Read<T> {
        let found = words.iter().find(|(name, _)| name == word.get_ref()).map(|(_, value)| value.clone());
        found.ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|&(name, _)| name).collect();
            self.wrong(&word.span(), format!("`{what}` cannot be that: choose one of {}", known.join(", ")))
        })
    }

    /// A time: `500ms`, `60s`, `30m`, `1h`.
    pub(super) fn time(&mut self, what: &'static str, cell: Cell<String>) -> Read<Option<Duration>> {
        let Some(text) = self.maybe(what, cell)? else { return Ok(None) };
        let duration = duration(text.get_ref()).filter(|duration| !duration.is_zero());
        let message = || format!("`{what}` is no time: write it like 500ms, 60s, 30m or 1h, and not zero");
        duration.map(Some).ok_or_else(|| self.wrong(&text.span(), message()))
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    // A day at most, or thereabouts: enough, and nothing overflows.
    let number: u64 = number.parse().ok().filter(|&number| number <= 1_000_000)?;
    Some(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_mins(number),
        "h" => Duration::from_hours(number),
        _ => return None,
    })
}
