//! The collector for the findings of one script.

use std::ops::Range;

use starlark::codemap::{Pos, Span};
use starlark::syntax::AstModule;

use super::finding::Finding;
use super::rules::Rule;

/// Collects the findings of a script.
pub(super) struct Sink<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// The parsed module, which knows where rules are switched off.
    pub(super) module: Option<&'a AstModule>,
    pub(super) findings: Vec<Finding>,
}

impl Sink<'_> {
    /// Adds a finding, unless its rule is switched off at that place.
    pub(super) fn add(&mut self, rule: &Rule, at: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        let span = Span::new(Pos::new(at.start as u32), Pos::new(at.end.max(at.start) as u32));
        if self.module.is_some_and(|module| module.is_suppressed(rule.code, span)) {
            return;
        }
        self.findings.push(Finding::new(rule, self.path, self.text, at, message.into()).with_hint(hint));
    }

    /// Returns whether there is a finding in this part of the text.
    pub(super) fn has_any_in(&self, part: &Range<usize>) -> bool {
        self.findings.iter().any(|finding| {
            let (start, end) = finding.span.bytes;
            part.start <= start && end <= part.end
        })
    }
}
