//! Passes the state of backends to a policy: from an operator, from health checks and from live traffic.
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

/// A handle for changing the state of a balancer's backends, which are given by their index in the farm. All clones of
/// a handle act on the same backends.
///
/// The code that drains or checks backends creates the handle before the balancer serves, and keeps it. The owner of a
/// policy that is [`Control::attach`]ed later learns everything that was set before. The worst report counts: a backend
/// is down if its health checks or the failures of live traffic say so; otherwise it drains if the operator says so;
/// otherwise it is up.
#[derive(Clone, Default)]
pub struct Control(Arc<Mutex<Inner>>);

/// A change that the owner of a policy is told about, to be passed to the policy's `set_state` or `set_share`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The backend is in this state from now on.
    State(BackendState),
    /// The backend gets this percentage of its share from now on, at most 100.
    Share(u8),
}

type Sink = Box<dyn Fn(usize, Change) + Send + Sync>;

#[derive(Default)]
struct Inner {
    /// The backends about which anything was ever reported.
    backends: BTreeMap<usize, Known>,
    /// The attached sinks by their number, and therefore in the order in which they were attached.
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
    /// Returns a handle on backends that are all up with their full share, with no sink attached.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a backend out of service on behalf of the operator: the backend keeps the sessions that it has and gets no
    /// new ones.
    pub fn drain(&self, backend: usize) {
        self.change(backend, |known| known.drained = true);
    }

    /// Puts a backend into service again on behalf of the operator.
    pub fn undrain(&self, backend: usize) {
        self.change(backend, |known| known.drained = false);
    }

    /// Reports that health checks find a backend alive (`up`) or dead.
    pub fn set_health(&self, backend: usize, up: bool) {
        self.change(backend, |known| known.healthy = up);
    }

    /// Sets the percentage of its share that a backend gets (slow start). Values above 100 count as 100.
    pub fn set_share(&self, backend: usize, percent: u8) {
        self.change(backend, |known| known.share = percent.min(100));
    }

    /// Reports the state of a backend according to failures of live traffic: it is out, one request tries it
    /// ([`BackendState::Drain`] while that request is under way), or it is back.
    pub fn set_traffic(&self, backend: usize, state: BackendState) {
        self.change(backend, |known| known.traffic = state);
    }

    /// Returns the state of a backend that follows from all reports on it.
    pub fn state(&self, backend: usize) -> BackendState {
        self.lock().backends.get(&backend).copied().unwrap_or_default().state()
    }

    /// Attaches a sink: tells `sink` at once about each backend that is not up with its full share, and then about each
    /// change until the returned [`Attached`] is dropped.
    ///
    /// Changes are reported one at a time, in their order, within the call that makes them. Therefore a sink must
    /// neither call this handle nor wait for code that calls it. It takes the lock around its policy, calls `set_state`
    /// or `set_share`, and performs the policy's unsolicited work afterwards.
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

/// Locks the state. Each change is complete before any sink is told of it, so a panic in a sink leaves no change
/// incomplete.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a sink attached: the sink is told about changes until this value is dropped.
#[derive(Debug)]
pub struct Attached {
    control: Weak<Mutex<Inner>>,
    number: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(inner) = self.control.upgrade() else { return };
        // The sink is dropped after the lock is released, because it may own the last reference to a value, whose
        // destructor must not run under the lock.
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

    /// Tells a sink what differs in `after`. The share comes first, so that a backend does not come up with the share
    /// that it had before.
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

    #[test]
    fn every_sink_is_told_and_the_handle_itself_says_what_counts() {
        let control = Control::new();
        let (first, _first) = logged(&control);
        let (second, _second) = logged(&control);
        control.set_health(1, false);
        control.drain(2);
        let told = [state(1, BackendState::Down), state(2, BackendState::Drain)];
        assert_eq!((&*first.lock().unwrap(), &*second.lock().unwrap()), (&told.to_vec(), &told.to_vec()));
        let states = [0, 1, 2].map(|backend| control.state(backend));
        assert_eq!(states, [BackendState::Up, BackendState::Down, BackendState::Drain]);
        assert_eq!(format!("{control:?}"), "{1: Down, 2: Drain}");
    }
}
