//! What is known of the backends from outside the traffic: an operator's word, and what health checks find.
//!
//! ```text
//! operator ── drain, undrain ─────┐
//! health::run ── set_health ──────┼──▶ Control ──▶ each sink, in order: data plane, packet router ──▶ its policy
//! live traffic ── (PassiveRule) ──┘
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::BackendState;

/// A handle on a balancer's backends, by their index in the farm. A clone is another handle on the same.
///
/// Made before the balancer serves, and kept by whoever drains or checks. What was set before is applied when a
/// [`Control::attach`]ed owner of a policy begins. What counts is the worst word: a backend is down if its health
/// checks or the failures of live traffic say so, else draining if the operator says so, else up.
#[derive(Clone, Default)]
pub struct Control(Arc<Mutex<Inner>>);

/// What the owner of a policy is told of a backend, for its `set_state` or `set_share`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in this state from now on.
    State(BackendState),
    /// It gets this many percent of its share from now on, at most 100.
    Share(u8),
}

type Sink = Box<dyn Fn(usize, Change) + Send + Sync>;

#[derive(Default)]
struct Inner {
    /// Those of which anything was ever said.
    backends: BTreeMap<usize, Known>,
    /// By number, so in the order in which they were attached.
    sinks: BTreeMap<u64, Sink>,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    drained: bool,
    healthy: bool,
    traffic: BackendState,
    share: u8,
}

impl Control {
    /// All backends are up, with their full share, and nobody listens.
    pub fn new() -> Self {
        Self::default()
    }

    /// The operator takes this backend out of service: it keeps the sessions that it has, and gets no new ones.
    pub fn drain(&self, backend: usize) {
        self.change(backend, |known| known.drained = true);
    }

    /// The operator puts this backend into service again.
    pub fn undrain(&self, backend: usize) {
        self.change(backend, |known| known.drained = false);
    }

    /// Health checks find this backend alive, or dead.
    pub fn set_health(&self, backend: usize, up: bool) {
        self.change(backend, |known| known.healthy = up);
    }

    /// This backend gets so many percent of its share (slow start); more than 100 is 100.
    pub fn set_share(&self, backend: usize, percent: u8) {
        self.change(backend, |known| known.share = percent.min(100));
    }

    /// Failures on live traffic take this backend out, let one request try it ([`BackendState::Drain`] while that is
    /// under way), or put it back.
    pub fn set_traffic(&self, backend: usize, state: BackendState) {
        self.change(backend, |known| known.traffic = state);
    }

    /// The state that this backend is in, all told.
    pub fn state(&self, backend: usize) -> BackendState {
        self.lock().backends.get(&backend).copied().unwrap_or_default().state()
    }

    /// Tells `sink` what differs from all up with full shares, at once, and each change from then on until the result
    /// is dropped.
    ///
    /// Changes come one at a time, in their order, within the call that makes them. So a sink must neither call this
    /// handle nor wait for one who does; it takes the lock around its policy, says `set_state` or `set_share`, and
    /// sees to the policy's unsolicited work afterwards.
    #[must_use = "dropped, it ends the telling"]
    pub fn attach(&self, sink: impl Fn(usize, Change) + Send + Sync + 'static) -> Attached {
        let mut inner = self.lock();
        for (&backend, known) in &inner.backends {
            Known::default().tell(*known, |change| sink(backend, change));
        }
        inner.last += 1;
        let number = inner.last;
        inner.sinks.insert(number, Box::new(sink));
        Attached { control: Arc::downgrade(&self.0), number }
    }

    fn change(&self, backend: usize, make: impl FnOnce(&mut Known)) {
        let mut inner = self.lock();
        let known = inner.backends.entry(backend).or_default();
        let before = *known;
        make(known);
        let after = *known;
        for sink in inner.sinks.values() {
            before.tell(after, |change| sink(backend, change));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

/// Each change is made whole before anybody is told, so a panic in a sink leaves nothing half done.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While it lives, its sink is told.
#[derive(Debug)]
pub struct Attached {
    control: Weak<Mutex<Inner>>,
    number: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(inner) = self.control.upgrade() else { return };
        // Dropped after the lock is released: what a sink holds may be the last of its kind.
        let _sink = lock(&inner).sinks.remove(&self.number);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.lock().backends.iter().map(|(backend, known)| (backend, known.state()))).finish()
    }
}

impl Known {
    fn state(self) -> BackendState {
        if !self.healthy || self.traffic == BackendState::Down {
            BackendState::Down
        } else if self.drained {
            BackendState::Drain
        } else {
            self.traffic
        }
    }

    /// What is new in `after`: the share first, so that a backend does not come up with the share it once had.
    fn tell(self, after: Self, tell: impl Fn(Change)) {
        if self.share != after.share {
            tell(Change::Share(after.share));
        }
        if self.state() != after.state() {
            tell(Change::State(after.state()));
        }
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { drained: false, healthy: true, traffic: BackendState::Up, share: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Log = Arc<Mutex<Vec<(usize, Change)>>>;

    fn logged(control: &Control) -> (Log, Attached) {
        let log = Log::default();
        let own = Arc::clone(&log);
        let attached = control.attach(move |backend, change| own.lock().unwrap().push((backend, change)));
        (log, attached)
    }

    fn state(backend: usize, state: BackendState) -> (usize, Change) {
        (backend, Change::State(state))
    }

    #[test]
    fn the_worst_word_counts_and_only_news_is_told() {
        use BackendState::{Down, Drain, Up};
        let control = Control::new();
        let (log, _attached) = logged(&control);
        control.drain(1);
        control.drain(1);
        control.set_health(1, false);
        control.set_traffic(1, Down);
        control.undrain(1);
        control.set_health(1, true);
        control.set_traffic(1, Drain);
        control.set_traffic(1, Up);
        control.set_share(0, 200);
        let told = [state(1, Drain), state(1, Down), state(1, Drain), state(1, Up)];
        assert_eq!(*log.lock().unwrap(), told);
        assert_eq!(control.state(7), Up);
    }

    #[test]
    fn a_late_sink_is_told_what_was_set_before_and_a_detached_one_nothing() {
        let control = Control::new();
        control.set_share(2, 30);
        control.set_health(2, false);
        control.drain(0);
        let (log, attached) = logged(&control);
        let told = [state(0, BackendState::Drain), (2, Change::Share(30)), state(2, BackendState::Down)];
        assert_eq!(*log.lock().unwrap(), told);
        drop(attached);
        control.undrain(0);
        assert_eq!(log.lock().unwrap().len(), told.len());
    }
}
