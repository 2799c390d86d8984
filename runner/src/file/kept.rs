//! The limits of the verdicts and messages in a run file, so that every line can be read back.
//!
//! A verdict may have a piece of evidence for each request of a run, and each piece may cite all of them. A file
//! contains the first of them, and the number of the rest. All of them can be derived from the trace, which the file
//! contains completely.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use stickler_oracle::{Evidence, Grade, Requirement, Verdict};

use crate::Diagnostic;

/// The maximum number of pieces of evidence of one verdict in a file.
pub const MAX_EVIDENCE: usize = 100;

/// The maximum number of requests, and of events, of one piece of evidence in a file.
pub const MAX_CITED: usize = 100;

/// The maximum length of the summary of a piece of evidence, in bytes.
pub const MAX_SUMMARY: usize = 4 << 10;

/// The maximum length of a text that a script printed, or that is part of a failed expectation, in bytes.
pub const MAX_SAID: usize = 256 << 10;

/// A [`Verdict`] in the form that a run file contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedVerdict {
    /// The requirement.
    pub requirement: Requirement,
    /// The grade.
    pub grade: Grade,
    /// How many times the trace put the requirement to the test.
    pub exercised: usize,
    /// The first [`MAX_EVIDENCE`] pieces of evidence, each with at most [`MAX_CITED`] requests and events, and
    /// [`MAX_SUMMARY`] bytes of summary.
    pub evidence: Vec<Evidence>,
    /// The amount that was left out: pieces of evidence, and the requests, events and bytes of those that remain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl RecordedVerdict {
    /// Returns the form of a verdict that a file contains.
    pub fn of(verdict: &Verdict) -> Self {
        let mut left_out = verdict.evidence.len().saturating_sub(MAX_EVIDENCE);
        let evidence =
            verdict.evidence.iter().take(MAX_EVIDENCE).map(|evidence| cut(evidence, &mut left_out)).collect();
        let Verdict { requirement, grade, exercised, .. } = *verdict;
        Self { requirement, grade, exercised, evidence, left_out }
    }

    /// Returns whether the verdict is within the limits of a file.
    pub(super) fn is_bounded(&self) -> bool {
        let bounded = |evidence: &Evidence| {
            evidence.about.len() <= MAX_CITED
                && evidence.events.len() <= MAX_CITED
                && evidence.summary.len() <= MAX_SUMMARY
        };
        self.evidence.len() <= MAX_EVIDENCE && self.evidence.iter().all(bounded)
    }
}

/// Returns the form of a piece of evidence that a file contains, and adds to `left_out` what is missing.
fn cut(evidence: &Evidence, left_out: &mut usize) -> Evidence {
    let Evidence { fault, failure, about, summary, events } = evidence;
    let kept = start(summary, MAX_SUMMARY);
    *left_out += about.len().saturating_sub(MAX_CITED) + events.len().saturating_sub(MAX_CITED);
    *left_out += summary.len() - kept.len();
    Evidence {
        fault: *fault,
        failure: *failure,
        about: about.iter().take(MAX_CITED).cloned().collect(),
        summary: kept.to_owned(),
        events: events.iter().take(MAX_CITED).copied().collect(),
    }
}

/// Returns the part that a file contains of a text which a script can make arbitrarily long.
pub(super) fn said(text: &str) -> Cow<'_, str> {
    let kept = start(text, MAX_SAID);
    match text.len() - kept.len() {
        0 => Cow::Borrowed(text),
        more => Cow::Owned(format!("{kept}... and {more} bytes more")),
    }
}

/// Returns the form of a message that a file contains.
pub(super) fn diagnostic(diagnostic: &Diagnostic) -> Diagnostic {
    Diagnostic {
        file: said(&diagnostic.file).into_owned(),
        line_text: said(&diagnostic.line_text).into_owned(),
        message: said(&diagnostic.message).into_owned(),
        actual: diagnostic.actual.as_deref().map(|actual| said(actual).into_owned()),
        ..*diagnostic
    }
}

/// Returns the start of a text, of at most this number of bytes.
fn start(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use stickler_model::RequestId;
    use stickler_oracle::{Cited, Failure, Party};

    use super::*;

    fn verdict(pieces: usize, about: usize, events: usize, summary: usize) -> Verdict {
        let cited = |id| Cited::Request { client: "alice".into(), id: RequestId(id) };
        let evidence = Evidence {
            fault: Party::Balancer,
            failure: Failure::Uneven,
            about: (0..about as u32).map(cited).collect(),
            summary: "ü".repeat(summary / 2),
            events: (0..events).collect(),
        };
        let evidence = vec![evidence; pieces];
        Verdict { requirement: Requirement::Id1, grade: Grade::Violated, exercised: pieces, evidence }
    }

    #[test]
    fn what_is_within_the_bounds_is_kept_whole() {
        let whole = verdict(MAX_EVIDENCE, MAX_CITED, MAX_CITED, MAX_SUMMARY);
        let kept = RecordedVerdict::of(&whole);
        assert_eq!((&kept.evidence, kept.left_out), (&whole.evidence, 0));
        assert!(kept.is_bounded());
        assert_eq!(said(&"x".repeat(MAX_SAID)), "x".repeat(MAX_SAID));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let many = RecordedVerdict::of(&verdict(MAX_EVIDENCE + 7, 1, 1, 0));
        assert_eq!((many.evidence.len(), many.left_out), (MAX_EVIDENCE, 7));
        let wide = RecordedVerdict::of(&verdict(1, MAX_CITED + 2, MAX_CITED + 30, MAX_SUMMARY + 400));
        let Evidence { about, events, summary, .. } = &wide.evidence[0];
        assert_eq!((about.len(), events.len(), summary.len()), (MAX_CITED, MAX_CITED, MAX_SUMMARY));
        assert_eq!(wide.left_out, 432);
        assert!(many.is_bounded() && wide.is_bounded());
        assert_eq!(said(&"x".repeat(MAX_SAID + 5)), format!("{}... and 5 bytes more", "x".repeat(MAX_SAID)));
    }

    #[test]
    fn more_than_a_file_may_have_is_told_from_what_it_may() {
        for (pieces, about, events, summary) in [
            (MAX_EVIDENCE + 1, 0, 0, 0),
            (1, MAX_CITED + 1, 0, 0),
            (1, 0, MAX_CITED + 1, 0),
            (1, 0, 0, MAX_SUMMARY + 2),
        ] {
            let Verdict { requirement, grade, exercised, evidence } = verdict(pieces, about, events, summary);
            let more = RecordedVerdict { requirement, grade, exercised, evidence, left_out: 0 };
            assert!(!more.is_bounded());
        }
    }
}
