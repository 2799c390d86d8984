//! The L4 mechanism that chooses a backend once for each connection.

use stickler_model::Time;

use super::select::RoundRobin;
use crate::{Farm, FiveTuple, L4Decision, L4Policy};

/// Each new 5-tuple goes to the next backend and stays there: the network address translation, or the splice, holds
/// the flow, so that nothing is left to decide until it ends.
#[derive(Debug)]
pub struct PerConnection {
    selection: RoundRobin,
}

impl PerConnection {
    /// Over this farm.
    pub fn new(farm: &Farm) -> Self {
        Self { selection: RoundRobin::new(farm.backends.len()) }
    }
}

impl L4Policy for PerConnection {
    fn connect(&mut self, _now: Time, _flow: FiveTuple) -> L4Decision {
        self.selection.pick().map_or(L4Decision::Refuse, L4Decision::Backend)
    }
}
