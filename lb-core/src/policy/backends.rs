//! What is known of each backend while it serves: its state, and how many connections it carries.

/// Whether a backend gets traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendState {
    /// It serves.
    #[default]
    Up,
    /// It keeps the sessions it has, pinned or persistent, and gets no new ones.
    Drain,
    /// It is taken for dead.
    Down,
}

/// The farm's backends as the decisions see them, by index.
#[derive(Debug, Clone)]
pub struct Backends {
    state: Vec<BackendState>,
    load: Vec<u32>,
    limit: u32,
    fails_open: bool,
    /// Whether all are down, which is when a farm that fails open does.
    all_down: bool,
}

impl Backends {
    /// So many backends, all up and idle, each with at most `limit` connections in use at once.
    pub fn new(backends: usize, limit: Option<u32>) -> Self {
        let limit = limit.unwrap_or(u32::MAX);
        let state = vec![BackendState::Up; backends];
        Self { state, load: vec![0; backends], limit, fails_open: false, all_down: false }
    }

    /// The same; where it fails open, all backends count as up while all are down.
    #[must_use]
    pub fn failing_open(self, fails_open: bool) -> Self {
        Self { fails_open, ..self }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// The state of this one; one that does not exist is down.
    pub fn state(&self, backend: usize) -> BackendState {
        let known = self.state.get(backend).copied();
        if self.fails_open && self.all_down && known.is_some() {
            return BackendState::Up;
        }
        known.unwrap_or(BackendState::Down)
    }

    /// From now on it is in this state. Returns whether that is news.
    pub fn set_state(&mut self, backend: usize, state: BackendState) -> bool {
        let news = self.state.get_mut(backend).is_some_and(|old| std::mem::replace(old, state) != state);
        if news {
            self.all_down = self.state.iter().all(|&state| state == BackendState::Down);
        }
        news
    }

    /// Connections in use: those that carry a request or belong to a client. Idle pooled ones do not count.
    pub fn load(&self, backend: usize) -> u32 {
        self.load.get(backend).copied().unwrap_or(0)
    }

    /// One more connection is in use.
    pub fn begin(&mut self, backend: usize) {
        if let Some(load) = self.load.get_mut(backend) {
            *load = load.saturating_add(1);
        }
    }

    /// One fewer is.
    pub fn end(&mut self, backend: usize) {
        if let Some(load) = self.load.get_mut(backend) {
            debug_assert!(*load > 0, "backend {backend} has nothing to end");
            *load = load.saturating_sub(1);
        }
    }

    /// How many more connections those of the members that are up can take; `None`: any number.
    pub fn free(&self, member: impl Fn(usize) -> bool) -> Option<usize> {
        if self.limit == u32::MAX {
            return None;
        }
        let up = (0..self.len()).filter(|&index| member(index) && self.state(index) == BackendState::Up);
        Some(up.map(|index| self.limit.saturating_sub(self.load[index]) as usize).sum())
    }

    /// Whether it may get a new session.
    pub fn takes_new(&self, backend: usize) -> bool {
        self.state(backend) == BackendState::Up && !self.full(backend)
    }

    /// Whether it may get another connection of a session that it has.
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
