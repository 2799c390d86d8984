//! The time format of Kerberos.

use std::fmt;

use crate::FileTime;
use crate::der::{Primitive, Tag, Writer, tag};

/// A KerberosTime (RFC 4120 5.2.3): whole seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KerberosTime(pub u64);

impl KerberosTime {
    /// The last second that the format can express: 9999-12-31 23:59:59.
    pub const MAX: Self = Self(253_402_300_799);

    /// Returns the second of `time`, and the microseconds within it, 0 to 999,999.
    pub fn split(time: FileTime) -> (Self, u32) {
        let ticks = time.0.saturating_sub(FileTime::UNIX_EPOCH.0);
        let seconds = ticks / FileTime::TICKS_PER_SECOND;
        (Self(seconds), (ticks % FileTime::TICKS_PER_SECOND / 10) as u32)
    }

    /// Returns the second of `time`.
    pub fn from_file_time(time: FileTime) -> Self {
        Self::split(time).0
    }

    /// Returns the start of this second.
    pub fn file_time(self) -> FileTime {
        FileTime(FileTime::UNIX_EPOCH.0.saturating_add(self.0.saturating_mul(FileTime::TICKS_PER_SECOND)))
    }

    /// Returns the time that is this many seconds later.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Returns the time that is this many seconds earlier.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Returns the text `YYYYMMDDHHMMSSZ`, 15 bytes.
    fn text(self) -> [u8; 15] {
        let seconds = self.min(Self::MAX).0;
        let (year, month, day) = civil(seconds / DAY);
        let mut out = *b"00000000000000Z";
        let mut put = |at: usize, digits: usize, mut value: u64| {
            for byte in out[at..at + digits].iter_mut().rev() {
                *byte = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(4, 2, month);
        put(6, 2, day);
        put(8, 2, seconds % DAY / 3600);
        put(10, 2, seconds % 3600 / 60);
        put(12, 2, seconds % 60);
        out
    }

    /// Returns the time of a text `YYYYMMDDHHMMSSZ`. Times before 1970 are refused.
    fn from_text(text: &[u8]) -> Option<Self> {
        let (digits, b"Z") = text.split_first_chunk::<14>()? else { return None };
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let pair = |at: usize| u64::from(digits[at] - b'0') * 10 + u64::from(digits[at + 1] - b'0');
        let (year, month, day) = (pair(0) * 100 + pair(2), pair(4), pair(6));
        let (hour, minute, second) = (pair(8), pair(10), pair(12));
        if year < 1970 || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        // Each month has at least 28 days. A later day may belong to the next month.
        let real = day <= 28 || civil(days) == (year, month, day);
        real.then_some(Self(days * DAY + hour * 3600 + minute * 60 + second))
    }

    pub(super) fn write(self, w: &mut Writer) {
        w.value(tag::GENERALIZED_TIME, &self.text());
    }
}

impl Primitive<'_> for KerberosTime {
    const TAG: Tag = tag::GENERALIZED_TIME;

    #[inline]
    fn parse(contents: &[u8]) -> Result<Self, &'static str> {
        Self::from_text(contents).ok_or("not a time of Kerberos")
    }
}

impl fmt::Display for KerberosTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl fmt::Debug for KerberosTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of seconds in a day.
const DAY: u64 = 86_400;

/// Returns the number of days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so the
/// leap day is the last day of a year.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    // The term with the month counts days from 1 March, and there are 719,468 days from 0000-03-01 to 1970-01-01. The
    // result cannot be negative, because the year is 1970 or later.
    (days_of_years + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

/// Returns the year, the month and the day. This is the inverse of [`days_from_civil`].
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year_of_era + year, month, day)
}
