//! The state of each backend, and how many connections it carries.

/// The state of a backend, which decides what traffic it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendState {
    /// The backend serves.
    #[default]
    Up,
    /// The backend keeps its sessions, pinned or persistent, and gets no new ones.
    Drain,
    /// The backend counts as dead and gets nothing.
    Down,
}

/// The state and the load of the farm's backends, by their index in the farm.
#[derive(Debug, Clone)]
pub struct Backends {
    state: Vec<BackendState>,
    load: Vec<u32>,
    /// The highest number of connections in use on one backend.
    limit: u32,
    fails_open: bool,
    /// Whether all backends are down. A farm that fails open treats them all as up then.
    all_down: bool,
}

impl Backends {
    /// Returns the given number of backends, all up and idle. Each can have at most `limit` connections in use at once;
    /// `None` is no limit.
    pub fn new(backends: usize, limit: Option<u32>) -> Self {
        let limit = limit.unwrap_or(u32::MAX);
        let state = vec![BackendState::Up; backends];
        Self { state, load: vec![0; backends], limit, fails_open: false, all_down: false }
    }

    /// Sets whether the farm fails open, that is, whether all backends count as up while all are down.
    #[must_use]
    pub fn failing_open(self, fails_open: bool) -> Self {
        Self { fails_open, ..self }
    }

    /// Returns whether the farm fails open.
    pub fn fails_open(&self) -> bool {
        self.fails_open
    }

    /// Returns the number of backends.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns whether there is no backend.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// Returns the state that counts for a backend. A backend that does not exist is down.
    pub fn state(&self, backend: usize) -> BackendState {
        let known = self.state.get(backend).copied();
        if self.fails_open && self.all_down && known.is_some() {
            return BackendState::Up;
        }
        known.unwrap_or(BackendState::Down)
    }

    /// Sets the state of a backend, and returns whether that is a change.
    pub fn set_state(&mut self, backend: usize, state: BackendState) -> bool {
        let changed = self.state.get_mut(backend).is_some_and(|old| std::mem::replace(old, state) != state);
        if changed {
            self.all_down = self.state.iter().all(|&state| state == BackendState::Down);
        }
        changed
    }

    /// Returns the number of connections of a backend that are in use: those that carry a request or belong to a
    /// client. Idle ones in a pool do not count.
    pub fn load(&self, backend: usize) -> u32 {
        self.load.get(backend).copied().unwrap_or(0)
    }

    /// Counts one more connection of a backend as in use.
    pub fn begin(&mut self, backend: usize) {
        if let Some(load) = self.load.get_mut(backend) {
            *load = load.saturating_add(1);
        }
    }

    /// Counts one connection of a backend as no longer in use.
    pub fn end(&mut self, backend: usize) {
        if let Some(load) = self.load.get_mut(backend) {
            debug_assert!(*load > 0, "backend {backend} has nothing to end");
            *load = load.saturating_sub(1);
        }
    }

    /// Returns how many more connections the members of a group that are up can take in all, or `None` if there is no
    /// limit.
    pub fn free(&self, member: impl Fn(usize) -> bool) -> Option<usize> {
        if self.limit == u32::MAX {
            return None;
        }
        let up = (0..self.len()).filter(|&index| member(index) && self.state(index) == BackendState::Up);
        Some(up.map(|index| self.limit.saturating_sub(self.load[index]) as usize).sum())
    }

    /// Returns whether a backend may get new sessions.
    pub fn takes_new(&self, backend: usize) -> bool {
        self.state(backend) == BackendState::Up && !self.full(backend)
    }

    /// Returns whether a backend may get further connections of the sessions that it has.
    pub fn keeps_old(&self, backend: usize) -> bool {
        self.state(backend) != BackendState::Down && !self.full(backend)
    }

    fn full(&self, backend: usize) -> bool {
        self.load(backend) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_backend_keeps_what_it_has_and_a_full_or_dead_one_takes_nothing() {
        let mut backends = Backends::new(2, Some(1));
        assert!(backends.takes_new(0) && backends.keeps_old(0));
        assert!(backends.set_state(0, BackendState::Drain) && !backends.set_state(0, BackendState::Drain));
        assert!(!backends.takes_new(0) && backends.keeps_old(0));
        backends.set_state(0, BackendState::Down);
        assert!(!backends.keeps_old(0));
        backends.begin(1);
        assert!(!backends.takes_new(1) && !backends.keeps_old(1));
        backends.end(1);
        assert!(backends.takes_new(1));
        assert!(!backends.takes_new(2) && !backends.set_state(2, BackendState::Up));
    }

    #[test]
    fn a_farm_that_fails_open_takes_all_for_up_while_all_are_down() {
        for (fails_open, expected) in [(false, BackendState::Down), (true, BackendState::Up)] {
            let mut backends = Backends::new(2, Some(1)).failing_open(fails_open);
            backends.set_state(0, BackendState::Down);
            assert_eq!((backends.state(0), backends.state(1)), (BackendState::Down, BackendState::Up));
            backends.set_state(1, BackendState::Down);
            assert_eq!((backends.state(0), backends.state(1)), (expected, expected));
            assert_eq!(backends.free(|_| true), Some(if fails_open { 2 } else { 0 }));
            assert_eq!(backends.state(2), BackendState::Down, "there is no such backend");
            backends.set_state(0, BackendState::Drain);
            assert_eq!((backends.state(0), backends.state(1)), (BackendState::Drain, BackendState::Down));
        }
    }
}
