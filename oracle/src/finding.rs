//! What a judging function finds out about one requirement.

use crate::requirement::{Requirement, Severity};
use crate::verdict::{Evidence, Grade, Verdict};

/// What a trace says about one requirement, collected while the trace is being read.
#[derive(Default)]
pub(crate) struct Finding {
    inapplicable: bool,
    exercised: usize,
    evidence: Vec<Evidence>,
}

impl Finding {
    /// Creates the finding that the requirement does not concern this site or this balancer.
    pub(crate) fn not_applicable() -> Self {
        Self { inapplicable: true, ..Self::default() }
    }

    /// Counts one more time that the trace puts the requirement to the test.
    pub(crate) fn exercise(&mut self) {
        self.exercised += 1;
    }

    /// Adds a violation, with the events that prove it in any order.
    pub(crate) fn violate(&mut self, summary: String, mut events: Vec<usize>) {
        events.sort_unstable();
        events.dedup();
        self.evidence.push(Evidence { summary, events });
    }

    /// Grades the requirement, and puts the evidence in the order in which the violations happened.
    pub(crate) fn verdict(mut self, requirement: Requirement) -> Verdict {
        // A violation has happened when its last event has.
        self.evidence.sort_by_key(|evidence| evidence.events.last().copied());
        let grade = match (self.evidence.is_empty(), requirement.severity()) {
            (true, _) if self.inapplicable => Grade::NotApplicable,
            (true, _) if self.exercised == 0 => Grade::NotExercised,
            (true, _) => Grade::Ok,
            (false, Severity::Must) => Grade::Violated,
            (false, Severity::Should) => Grade::NonStrict,
        };
        // A violation is a test, even if the judging function did not count it as one.
        let exercised = self.exercised.max(self.evidence.len());
        Verdict { requirement, grade, exercised, evidence: self.evidence }
    }
}
