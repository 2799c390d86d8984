//! The page of whatever was found over balancers: differences from a product, or what a hunt has found.

use std::collections::BTreeMap;

use stickler_oracle::Requirement;

use super::{Finding, Mark, Page, Row, Sort};
use crate::matrix::Subject;

/// Something that was found over a balancer.
#[derive(Debug, Clone)]
pub struct Told {
    /// The balancer, as an index into the subjects.
    pub row: usize,
    /// The requirement that it is about.
    pub requirement: Requirement,
    /// How it is marked. What is kept has a mark, and is no example.
    pub mark: Mark,
    /// What it is, in a sentence.
    pub summary: String,
    /// Where: the scenario, mostly.
    pub place: String,
    /// What shows it, in lines.
    pub lines: Vec<String>,
    /// A diagram of it, as [`Finding::diagram`] has it.
    pub diagram: Option<String>,
    /// Why it is expected, or explained.
    pub reason: Option<String>,
    /// The command that shows it again.
    pub replay: String,
}

impl Page {
    /// Adds a row for each of these balancers, with a cell for each requirement that something is told of, and an example of each
    /// thing that is not as it should be. `again` is the command that shows all of it over a balancer.
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
        for Told { row, requirement, mark, summary, place, lines, diagram, reason, replay } in told {
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
    /// What a mark is called.
    pub(super) const fn name(self, mark: Mark) -> &'static str {
        match (self, mark) {
            (_, Mark::Untested) => "",
            (Self::Verdicts, Mark::Kept) => "kept",
            (Self::Verdicts, Mark::Partly) => "in part",
            (Self::Verdicts, Mark::Violated) => "violated",
            (Self::Comparison, Mark::Kept) => "equal",
            (Self::Comparison, Mark::Partly) => "explained",
            (Self::Comparison, Mark::Violated) => "differs",
            (Self::Hunt, Mark::Kept) => "nothing found",
            (Self::Hunt, Mark::Partly) => "declared, or a SHOULD",
            (Self::Hunt, Mark::Violated) => "found",
        }
    }

    /// What a mark means, in a sentence's part.
    pub(super) const fn meaning(self, mark: Mark) -> &'static str {
        match (self, mark) {
            (_, Mark::Untested) => "",
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

    /// What stands above the requirements of a balancer that are not as they should be.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Verdicts => "Violated, in so many scenarios",
            Self::Comparison => "Differs, in so many scenarios",
            Self::Hunt => "Found, in so many ways",
        }
    }
}
