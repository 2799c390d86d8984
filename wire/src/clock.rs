//! The operating system's clock.
#![expect(clippy::disallowed_methods, reason = "real sockets live in real time")]

use std::time::{Instant, SystemTime};

use stickler_model::{Clock, Time};

/// Real time, counted from the creation of the clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    start: Instant,
    epoch: u64,
}

impl Default for WallClock {
    fn default() -> Self {
        // A clock set before 1970 counts as 1970: calendar time is for logs and NTLM timestamps only.
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { start: Instant::now(), epoch }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Time {
        Time::default() + self.start.elapsed()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
