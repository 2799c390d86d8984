//! The engine's clock, which can be read from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A handle on an engine's virtual time. It can be cloned and read cheaply from any thread.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Returns the simulated time since the engine's start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Returns the simulated time since the engine's start in nanoseconds.
    pub fn nanos(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}
