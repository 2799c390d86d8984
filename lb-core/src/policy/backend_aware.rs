//! The trait that both layers share: it tells a policy about its backends, and asks for work that no message requested.

use stickler_model::Time;

use crate::{BackendState, Change};

/// The methods that [`crate::L4Policy`] and [`crate::L7Policy`] have in common. Each has a default, so an
/// implementation may leave it out.
pub trait BackendAware: Send {
    /// The kind of work that a policy wants done although no message asked for it: [`crate::L4Work`] or
    /// [`crate::Work`].
    type Work;

    /// Tells the policy that a backend is in this state from now on, because a health check or an operator says so. A
    /// policy that does not override this method treats all backends as up.
    fn set_state(&mut self, now: Time, backend: usize, state: BackendState) {
        let _ = (now, backend, state);
    }

    /// Tells the policy that a backend gets this percentage of its share from now on (slow start); 100 is the full
    /// share. A policy that does not override this method gives every backend its full share at once.
    fn set_share(&mut self, now: Time, backend: usize, percent: u8) {
        let _ = (now, backend, percent);
    }

    /// Passes a change that a [`crate::Control`] reports to `set_state` or `set_share`.
    fn change(&mut self, now: Time, backend: usize, change: Change) {
        match change {
            Change::State(state) => self.set_state(now, backend, state),
            Change::Share(percent) => self.set_share(now, backend, percent),
        }
    }

    /// Returns the next piece of unsolicited work that is due, or `None` when no more is due at this time.
    fn poll(&mut self, now: Time) -> Option<Self::Work> {
        let _ = now;
        None
    }

    /// Returns the time at which [`BackendAware::poll`] must be called again, which may be now. `None`: no call is
    /// needed until another method was called.
    fn next_deadline(&self) -> Option<Time> {
        None
    }
}
