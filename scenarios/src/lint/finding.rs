//! The findings of a lint, as data and as text.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Level, Renderer};
use stickler_model::escape;
use stickler_runner::excerpt;

use super::rules::Rule;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The script fails at this place, whatever the balancer does, if it gets that far.
    Error,
    /// The script runs, but probably does not do what its author meant.
    Warning,
}

/// The place of a finding: from its first character to the one after its last character. Lines and columns are counted
/// from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The line of the first character.
    pub line: usize,
    /// The column of the first character, in characters.
    pub column: usize,
    /// The line on which the place ends.
    pub end_line: usize,
    /// The column after the last character, in characters.
    pub end_column: usize,
    /// The range of bytes of the place, counted from the beginning of the file.
    pub bytes: (usize, usize),
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule that the file breaks, in lower case with hyphens: one of [`RULES`](super::RULES).
    pub code: &'static str,
    /// The severity of the finding.
    pub severity: Severity,
    /// The file's path as it was given.
    pub file: String,
    /// The place in the file.
    pub span: Span,
    /// The description of the mistake, as a sentence without a full stop.
    pub message: String,
    /// The nearest known name, or the list of known names.
    pub hint: Option<String>,
}

/// The result of a lint: all findings, with the texts in which they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings, sorted by file and place.
    pub findings: Vec<Finding>,
    /// The texts of the files that were read, by path.
    pub(super) texts: BTreeMap<String, Arc<str>>,
}

impl Span {
    /// Returns the place of these bytes in a text. Positions beyond the end of the text are moved to its end.
    pub(super) fn new(text: &str, bytes: Range<usize>) -> Self {
        let start = floor(text, bytes.start);
        let end = floor(text, bytes.end).max(start);
        let position = |at: usize| {
            let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            (1 + text[..begin].matches('\n').count(), 1 + text[begin..at].chars().count())
        };
        let ((line, column), (end_line, end_column)) = (position(start), position(end));
        Self { line, column, end_line, end_column, bytes: (start, end) }
    }
}

/// Returns the nearest character boundary at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}

impl Finding {
    /// Creates a finding at these bytes of a file's text.
    pub(super) fn new(rule: &Rule, file: &str, text: &str, bytes: Range<usize>, message: String) -> Self {
        let (code, severity) = (rule.code, rule.severity);
        Self { code, severity, file: file.to_owned(), span: Span::new(text, bytes), message, hint: None }
    }

    /// Returns the finding with this hint.
    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint: hint.filter(|hint| !hint.is_empty()), ..self }
    }
}

impl Report {
    /// Returns the number of files that were read.
    pub fn files(&self) -> usize {
        self.texts.len()
    }

    /// Adds the text of a file that was read.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        self.texts.insert(file.to_owned(), text.into());
    }

    /// Sorts the findings by file and place, and removes duplicates.
    pub(super) fn sort(&mut self) {
        let place =
            |finding: &Finding| (finding.file.clone(), finding.span.clone(), finding.code, finding.message.clone());
        self.findings.sort_by_cached_key(place);
        self.findings.dedup();
    }

    /// Returns the findings as text, each with its line and a mark under the place. `color` adds colours.
    pub fn text(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown = |finding: &Finding| format!("{}\n", self.shown(finding, &renderer));
        self.findings.iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    fn shown(&self, finding: &Finding, renderer: &Renderer) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = escape::lines(&finding.message).into_owned();
        let path = escape::line(&finding.file).into_owned();
        let text = self.texts.get(&finding.file).map_or("", |text| text);
        let (line, marked) = line(text, finding.span.bytes);
        let snippet = excerpt::snippet(line, finding.span.line, marked, None).path(path);
        let mut group = level.primary_title(title).id(finding.code).element(snippet);
        if let Some(hint) = &finding.hint {
            group = group.element(Level::HELP.message(escape::lines(hint).into_owned()));
        }
        renderer.render(&[group])
    }
}

/// Returns the line on which a place begins, and the part of the place within that line.
fn line(text: &str, (start, end): (usize, usize)) -> (&str, Range<usize>) {
    let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    (line, start - begin..end.saturating_sub(begin))
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    fn report(text: &str, bytes: Range<usize>) -> Report {
        let finding = Finding::new(&rules::UNKNOWN_NAME, "x.star", text, bytes, "there is no `crul`".into());
        let mut report =
            Report { findings: vec![finding.with_hint(Some("did you mean `curl`?".into()))], ..Report::default() };
        report.read("x.star", text);
        report
    }

    #[test]
    fn a_finding_is_shown_with_its_line_a_mark_and_the_hint() {
        let text = "x = 1\n\u{fc} = crul(\"a\")\n";
        let at = text.find("crul").unwrap();
        insta::assert_snapshot!(report(text, at..at + 4).text(false), @r#"
        error[unknown-name]: there is no `crul`
         --> x.star:2:5
          |
        2 | ü = crul("a")
          |     ^^^^
          |
          = help: did you mean `curl`?
        "#);
    }

    #[test]
    fn any_place_at_all_can_be_shown_and_a_terminal_obeys_nothing_of_it() {
        let text = "\u{fc}b\u{1b}[2J\n\nc\u{202e}\r\n";
        for start in 0..14 {
            for end in 0..14 {
                let shown = report(text, Range { start, end }).text(false);
                assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
            }
        }
        assert!(report("", 0..0).text(false).contains("x.star:1:1"));
    }

    #[test]
    fn places_are_counted_in_characters_and_end_behind_the_last_one() {
        let text = "a\n\u{fc}\u{fc} b\nc";
        let span = Span::new(text, text.find('b').unwrap()..text.len());
        assert_eq!((span.line, span.column, span.end_line, span.end_column), (2, 4, 3, 2));
    }
}
