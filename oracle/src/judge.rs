//! All verdicts on a trace.

use stickler_model::Trace;

use crate::index::Index;
use crate::requirement::Requirement;
use crate::{Evidence, Grade, Severity, Verdict, handshake, identity, stability};

/// Judges a trace: one verdict for each requirement, in the order of [`Requirement::all`].
///
/// Takes time about linear in the number of events.
pub fn judge(trace: &Trace) -> Vec<Verdict> {
    let index = Index::new(trace);
    Requirement::all()
        .map(|requirement| {
            let finding = match requirement {
                Requirement::Hs1 => handshake::valid_credentials_are_answered(&index),
                Requirement::Hs2 => handshake::legs_stay_together(&index),
                Requirement::Hs3 => handshake::interleaved_handshakes_succeed(&index),
                Requirement::Hs4 => handshake::bodies_are_processed_once(&index),
                Requirement::Hs5 => handshake::wrong_credentials_end_soon(&index),
                Requirement::Hs6 => handshake::failed_logons_are_caused(&index),
                Requirement::Id1 => identity::nobody_is_served_as_another(&index),
                Requirement::Id2 => identity::nobody_becomes_somebody(&index),
                Requirement::Id3 => identity::the_departed_serve_nobody(&index),
                Requirement::St2 => stability::authenticated_once(&index),
            };
            finding.verdict(requirement)
        })
        .collect()
}

/// What the trace says of one requirement, while it is being read.
#[derive(Default)]
pub(crate) struct Finding {
    exercised: usize,
    evidence: Vec<Evidence>,
}

impl Finding {
    /// Notes that the trace puts the requirement to the test once more.
    pub(crate) fn exercise(&mut self) {
        self.exercised += 1;
    }

    /// Notes a violation, with the events that prove it in any order.
    pub(crate) fn violate(&mut self, summary: String, mut events: Vec<usize>) {
        events.sort_unstable();
        events.dedup();
        self.evidence.push(Evidence { summary, events });
    }

    fn verdict(mut self, requirement: Requirement) -> Verdict {
        // A violation has happened when its last event has.
        self.evidence.sort_by_key(|evidence| evidence.events.last().copied());
        let grade = match (self.evidence.is_empty(), requirement.severity()) {
            (true, _) if self.exercised == 0 => Grade::NotExercised,
            (true, _) => Grade::Ok,
            (false, Severity::Must) => Grade::Violated,
            (false, Severity::Should) => Grade::NonStrict,
        };
        // What is broken was put to the test, also where nobody counted on it.
        let exercised = self.exercised.max(self.evidence.len());
        Verdict { requirement, grade, exercised, evidence: self.evidence }
    }
}
