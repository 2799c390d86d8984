//! Time on the world's clock, and its conversion to calendar time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The time between 1601-01-01 and 1970-01-01, in units of 100 ns (MS-DTYP 2.3.3, FILETIME).
const FILETIME_UNIX_EPOCH: u64 = 116_444_736_000_000_000;

/// A point in time, in nanoseconds since the world began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// Returns the time since the world began.
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// Returns the time from `rhs` to `self`, or zero if `rhs` is later.
    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

/// Formats the time in seconds with six decimals, for example `1.000250s`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1_000)
    }
}

/// The clock of a world.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Time;

    /// Returns the calendar time at which the world began, in whole seconds since 1970-01-01 UTC.
    fn epoch(&self) -> u64;

    /// Returns the current time in seconds since 1970-01-01 UTC.
    fn unix_seconds(&self) -> u64 {
        self.epoch() + self.now().0 / 1_000_000_000
    }

    /// Returns the current time as a Windows FILETIME: units of 100 ns since 1601-01-01 UTC (MS-DTYP 2.3.3).
    fn filetime(&self) -> u64 {
        FILETIME_UNIX_EPOCH + self.epoch() * 10_000_000 + self.now().0 / 100
    }
}
