//! Selection: which backend.

/// Round robin: the backends in order, one after the other, then from the start.
#[derive(Debug, Clone)]
pub struct RoundRobin {
    backends: usize,
    next: usize,
}

impl RoundRobin {
    /// Begins with the first of `backends` backends.
    pub const fn new(backends: usize) -> Self {
        Self { backends, next: 0 }
    }

    /// The next backend's index; `None` where there are no backends.
    pub fn pick(&mut self) -> Option<usize> {
        let picked = self.next;
        self.next = (self.next + 1).checked_rem(self.backends)?;
        Some(picked)
    }

    /// The next backend's index that is not `failed`; `None` where there is no other.
    pub fn pick_other(&mut self, failed: usize) -> Option<usize> {
        match self.pick()? {
            picked if picked != failed => Some(picked),
            _ => self.pick().filter(|&picked| picked != failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_take_turns() {
        let mut robin = RoundRobin::new(3);
        let picks: Vec<_> = std::iter::repeat_with(|| robin.pick()).take(7).flatten().collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn another_backend_is_never_the_one_that_failed() {
        let mut robin = RoundRobin::new(2);
        assert_eq!(robin.pick_other(0), Some(1));
        assert_eq!(robin.pick_other(1), Some(0));
        assert_eq!(RoundRobin::new(1).pick_other(0), None);
    }

    #[test]
    fn an_empty_farm_has_nobody() {
        assert_eq!(RoundRobin::new(0).pick(), None);
        assert_eq!(RoundRobin::new(0).pick_other(0), None);
    }
}
