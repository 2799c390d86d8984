//! What a policy hears of its backends, and what it does unasked. The same at both layers.

use stickler_model::Time;

use crate::{BackendState, Change};

/// The half that [`crate::L4Policy`] and [`crate::L7Policy`] have in common. Each method can be left out.
pub trait BackendAware: Send {
    /// What the policy wants done that nobody asked for: [`crate::L4Work`] or [`crate::Work`].
    type Work;

    /// From now on this backend is in this state: a health check, or an operator, says so. A policy that does not
    /// override it treats all backends as up.
    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        let _ = (now, backend, state);
    }

    /// From now on this backend gets this many percent of its share (slow start); 100: all of it. A policy that does
    /// not override it gives it all at once.
    fn set_share(&mut self, now: Time, backend: usize, percent: u8) {
        let _ = (now, backend, percent);
    }

    /// Passes on a change that a [`crate::Control`] reports: a state or a share.
    fn change(&mut self, now: Time, backend: usize, change: Change) {
        match change {
            Change::State(state) => self.set_state(now, backend, state),
            Change::Share(percent) => self.set_share(now, backend, percent),
        }
    }

    /// Returns the next piece of unsolicited work that is due; `None` when there is no more for now.
    fn poll(&mut self, now: Time) -> Option<Self::Work> {
        let _ = now;
        None
    }

    /// Returns when [`BackendAware::poll`] wants to be asked again, perhaps at once; `None`: not before another call.
    fn next_deadline(&self) -> Option<Time> {
        None
    }
}
