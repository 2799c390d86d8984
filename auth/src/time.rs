//! The time format of Windows.

/// A Windows FILETIME: 100-nanosecond ticks since 1601-01-01 UTC (MS-DTYP 2.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

impl FileTime {
    /// The number of ticks in one second.
    pub const TICKS_PER_SECOND: u64 = 10_000_000;

    /// The FILETIME of 1970-01-01.
    pub const UNIX_EPOCH: Self = Self(11_644_473_600 * Self::TICKS_PER_SECOND);

    /// Returns the instant `nanos` nanoseconds after 1970-01-01 UTC, rounded down to a tick.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(Self::UNIX_EPOCH.0 + nanos / 100)
    }

    /// Returns this instant without its fraction of a second, which clients with a coarse clock do not send.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.0 - self.0 % Self::TICKS_PER_SECOND)
    }
}
