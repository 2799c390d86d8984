//! All verdicts on a trace.

use stickler_model::Trace;

use crate::index::Index;
use crate::requirement::Requirement;
use crate::{
    Evidence, Grade, Severity, Verdict, failover, handshake, health, identity, persistence, spread, stability, tls,
    trust,
};

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
                Requirement::Id4 => trust::claims_are_not_trusted(&index),
                Requirement::Id5 => trust::another_user_at_the_same_client(&index),
                Requirement::St1 => persistence::clients_stay(&index),
                Requirement::St2 => stability::authenticated_once(&index),
                Requirement::St3 => persistence::cookies_hold(&index),
                Requirement::St4 => spread::load_is_spread(&index),
                Requirement::Fo1 => failover::the_orphaned_are_served(&index),
                Requirement::Fo2 => failover::nothing_is_replayed(&index),
                Requirement::Fo3 => failover::processed_at_most_once(&index),
                Requirement::Fo4 => failover::losses_are_told(&index),
                Requirement::Fo5 => failover::draining_keeps_and_takes_nothing(&index),
                Requirement::Fo6 => failover::the_returned_serve(&index),
                Requirement::Fo7 => failover::no_backend_is_told(&index),
                Requirement::Hc1 => health::checks_tell_them_apart(&index),
                Requirement::Hc2 => health::checks_keep_to_themselves(&index),
                Requirement::Tl1 => tls::bindings_are_kept(&index),
                Requirement::Tl2 => tls::streams_keep_apart(&index),
            };
            finding.verdict(requirement)
        })
        .collect()
}

/// What the trace says of one requirement, while it is being read.
#[derive(Default)]
pub(crate) struct Finding {
    inapplicable: bool,
    exercised: usize,
    evidence: Vec<Evidence>,
}

impl Finding {
    /// What it concerns was not declared.
    pub(crate) fn not_applicable() -> Self {
        Self { inapplicable: true, ..Self::default() }
    }

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
            (true, _) if self.inapplicable => Grade::NotApplicable,
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
