//! The function that judges a trace by all requirements.

use stickler_model::Trace;

use crate::finding::Finding;
use crate::index::Index;
use crate::local::named_alike;
use crate::raw::believed;
use crate::requirement::{Requirement, requirements};
use crate::verdict::Verdict;
use crate::{failover, handshake, health, identity, persistence, spread, stability, tls, trust, upgrades};

/// Judges a trace. Returns one verdict for each requirement, in the order of [`Requirement::all`].
///
/// Takes time about linear in the number of events.
pub fn judge(trace: &Trace) -> Vec<Verdict> {
    let trace = named_alike(believed(trace));
    let index = Index::new(&trace);
    Requirement::all().map(|requirement| find(requirement, &index).verdict(requirement)).collect()
}

macro_rules! define_find {
    ($($variant:ident { judge: $judge:path, $($rest:tt)* })*) => {
        /// Calls the judging function of a requirement.
        fn find(requirement: Requirement, index: &Index<'_>) -> Finding {
            match requirement {
                $(Requirement::$variant => $judge(index),)*
            }
        }
    };
}
requirements!(define_find);
