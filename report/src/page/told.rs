//! Builds the page of other results over balancers: differences from a product, or the findings of a hunt.

use std::collections::BTreeMap;

use stickler_oracle::Requirement;

use super::{DIAGRAM_BYTES, Finding, Mark, Page, Row, Sort};
use crate::matrix::{OPEN, Subject};

/// A result over a balancer.
#[derive(Debug, Clone)]
pub struct Told {
    /// The balancer, as an index into the subjects.
    pub row: usize,
    /// The requirement that the result is about.
    pub requirement: Requirement,
    /// The mark of the result. A result that is marked as kept has a cell but is not an example.
    pub mark: Mark,
    /// The description of the result in one sentence.
    pub summary: String,
    /// The place of the result, usually the name of the scenario.
    pub place: String,
    /// The lines that show the result.
    pub lines: Vec<String>,
    /// A diagram of the result, in the form of [`Finding::diagram`].
    pub diagram: Option<String>,
    /// The reason why the result is expected or explained.
    pub reason: Option<String>,
    /// The command that shows the result again.
    pub replay: String,
}

impl Page {
    /// Adds a row for each of these balancers, with a cell for each requirement that has a result, and an example for
    /// each result that is worse than kept. `again` returns the command that shows all results over a balancer.
    #[must_use]
    pub fn with_told(self, subjects: &[Subject], mut told: Vec<Told>, again: &dyn Fn(&Subject) -> String) -> Self {
        let row = |subject: &Subject| Row {
            subject: subject.clone(),
            leading: Vec::new(),
            cells: BTreeMap::new(),
            told: String::new(),
            again: again(subject),
        };
        let mut rows: Vec<Row> = subjects.iter().map(row).collect();
        told.sort_by_key(|told| told.requirement);
        let mut findings = Vec::new();
        let mut left = DIAGRAM_BYTES;
        for Told { row, requirement, mark, summary, place, lines, diagram, reason, replay } in told {
            let diagram = diagram.filter(|diagram| diagram.len() <= left);
            left -= diagram.as_ref().map_or(0, String::len);
            let cell = rows[row].cells.entry(requirement).or_default();
            if mark > Mark::Kept {
                cell.times += 1;
                if mark > cell.mark {
                    cell.finding = Some(findings.len());
                }
                let seen = vec![(row, replay)];
                findings.push(Finding { requirement, run: None, mark, summary, place, lines, diagram, reason, seen });
            }
            cell.mark = cell.mark.max(mark);
        }
        for cell in rows.iter_mut().flat_map(|row| row.cells.values_mut()) {
            self.sort.name(cell.mark).clone_into(&mut cell.word);
        }
        Self { rows, findings, ..self }
    }
}

impl Sort {
    /// Returns the name of a mark.
    pub(super) const fn name(self, mark: Mark) -> &'static str {
        match (self, mark) {
            (Self::Verdicts, Mark::Untested) => "not tested",
            (Self::Comparison, Mark::Untested) => "not compared",
            (_, Mark::Open) => OPEN,
            (Self::Verdicts, Mark::Kept) => "kept",
            (Self::Verdicts, Mark::Partly) => "in part",
            (Self::Verdicts, Mark::Violated) => "violated",
            (Self::Comparison, Mark::Kept) => "equal",
            (Self::Comparison, Mark::Partly) => "explained",
            (Self::Comparison, Mark::Violated) => "differs",
            (Self::Hunt, Mark::Untested | Mark::Kept) => "nothing found",
            (Self::Hunt, Mark::Partly) => "declared, or a SHOULD",
            (Self::Hunt, Mark::Violated) => "found",
        }
    }

    /// Returns the meaning of a mark, as a part of a sentence.
    pub(super) const fn meaning(self, mark: Mark) -> &'static str {
        match (self, mark) {
            (Self::Verdicts, Mark::Untested) => "no sign: nothing put it to the test",
            (Self::Comparison, Mark::Untested) => "no sign: no scenario that was compared puts it to the test",
            (Self::Hunt, Mark::Untested) => "no sign: nothing was found",
            (_, Mark::Open) => "open: nothing violates it so far, but runs are missing",
            (Self::Verdicts, Mark::Kept) => "kept in every scenario",
            (Self::Verdicts, Mark::Partly) => "in part: a SHOULD that is not followed, or some users alone can log on",
            (Self::Verdicts, Mark::Violated) => "violated",
            (Self::Comparison, Mark::Kept) => "the product and its profile show the same in every scenario",
            (Self::Comparison, Mark::Partly) => "they differ, and an exception explains it",
            (Self::Comparison, Mark::Violated) => "they differ",
            (Self::Hunt, Mark::Kept) => "nothing was found",
            (Self::Hunt, Mark::Partly) => {
                "found, and declared by the shipped expectations, or a SHOULD that is not followed"
            }
            (Self::Hunt, Mark::Violated) => "a plan violates it, which nothing declares",
        }
    }

    /// Returns the heading of the section about the balancers, and its introduction.
    pub(super) const fn about_balancers(self) -> (&'static str, &'static str) {
        match self {
            Self::Verdicts => (
                "Balancers and cures",
                "What each balancer is, what is violated over it, and what cures that in its configuration. What cures it whatever the \
                 product stands with the requirements below.",
            ),
            Self::Comparison => {
                ("Profiles and their products", "What each profile is, and where its product behaves in another way.")
            }
            Self::Hunt => (
                "Balancers and findings",
                "What each balancer is, what the hunt found over it, and what cures that in its configuration.",
            ),
        }
    }

    /// Returns the introduction of the section with the evidence.
    pub(super) const fn about_evidence(self) -> &'static str {
        match self {
            Self::Verdicts | Self::Hunt => {
                "By requirement: what its violation means, what cures it whatever the product, and examples. Each example stands once, \
                 however many balancers show it."
            }
            Self::Comparison => {
                "By requirement: what its violation means, and where a profile and its product differ, with a run of the side that \
                 violates it more often."
            }
        }
    }

    /// Returns what to do about the results over a balancer that are not kept; empty if the cures of the product say it.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Verdicts | Self::Hunt => "",
            Self::Comparison => {
                "Find out which side is right, with the run below. If the product does not do what its profile says, correct the profile \
                 (`docs/profile-schema.md` lists its keys). If the simulation cannot show what the product does, add an exception with a \
                 reason and a date to `catalogue/exceptions.toml`. An exception that has expired is renewed or removed there, and one \
                 that is not needed any more is removed."
            }
        }
    }

    /// Returns the heading above the requirements of a balancer that are not kept.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Verdicts => "Violated, in so many scenarios",
            Self::Comparison => "Differs, in so many scenarios",
            Self::Hunt => "Found, in so many ways",
        }
    }
}
