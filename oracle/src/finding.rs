//! The finding of a judging function about one requirement.

use crate::requirement::Requirement;
use crate::verdict::{Cited, Evidence, Failure, Party, Verdict};

/// What a trace says about one requirement, collected while the trace is being read.
#[derive(Default)]
pub(crate) struct Finding {
    inapplicable: bool,
    exercised: usize,
    evidence: Vec<Evidence>,
}

impl Finding {
    /// Returns the finding that the requirement does not concern this site or this balancer.
    pub(crate) fn not_applicable() -> Self {
        Self { inapplicable: true, ..Self::default() }
    }

    /// Counts one more time that the trace puts the requirement to the test.
    pub(crate) fn exercise(&mut self) {
        self.exercised += 1;
    }

    /// Adds a violation by the balancer, with the requests that it is about and the events that prove it in any order.
    pub(crate) fn violate(&mut self, failure: Failure, about: Vec<Cited>, summary: String, events: Vec<usize>) {
        self.blame(Party::Balancer, failure, about, summary, events);
    }

    /// Adds evidence that looks like a violation, with the party at fault. If that is not the balancer, the evidence is
    /// kept to be shown, and does not count as a test.
    pub(crate) fn blame(
        &mut self,
        fault: Party,
        failure: Failure,
        about: Vec<Cited>,
        summary: String,
        mut events: Vec<usize>,
    ) {
        events.sort_unstable();
        events.dedup();
        self.evidence.push(Evidence { fault, failure, about, summary, events });
    }

    /// Grades the requirement, and puts the evidence in the order in which the violations happened.
    pub(crate) fn verdict(mut self, requirement: Requirement) -> Verdict {
        // A violation has happened when its last event has.
        self.evidence.sort_by_key(|evidence| evidence.events.last().copied());
        Verdict::new(requirement, !self.inapplicable, self.exercised, self.evidence)
    }
}
