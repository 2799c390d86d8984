//! Converts points in time to a date and a time of day in UTC. The module is pure.

use std::fmt;

/// The names of the days of the week, beginning with that of 1970-01-01.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time in UTC, written as `2024-02-29 12:34:56`, as in the W3C log.
pub(crate) struct Timestamp(pub(crate) u64);

/// A time in UTC, written as `Thu, 29 Feb 2024 12:34:56 GMT`, as in `Date` (RFC 9110 5.6.7).
pub(crate) struct HttpDate(pub(crate) u64);

/// The parts of a moment.
struct Parts {
    year: u64,
    /// The month, from 0.
    month: usize,
    day: u64,
    weekday: &'static str,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Parts {
    /// Splits seconds since 1970-01-01 UTC into the parts.
    fn of(seconds: u64) -> Self {
        let (mut days, seconds) = (seconds / 86_400, seconds % 86_400);
        let weekday = DAYS[(days % 7) as usize];
        // Neither format has room for a year beyond 9999.
        let mut year = 1970;
        while year < 10_000 && days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        let february = days_in_year(year) - 337;
        let mut month = 0;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        Self { year, month, day: days + 1, weekday, hour, minute, second }
    }
}

fn days_in_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    365 + u64::from(leap)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { year, month, day, hour, minute, second, .. } = Parts::of(self.0);
        write!(f, "{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", month + 1)
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { year, month, day, weekday, hour, minute, second } = Parts::of(self.0);
        write!(f, "{weekday}, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", MONTHS[month])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_know_leap_years_centuries_and_days_of_the_week() {
        for (seconds, log, date) in [
            (0, "1970-01-01 00:00:00", "Thu, 01 Jan 1970 00:00:00 GMT"),
            // This is the example of RFC 9110 5.6.7.
            (784_111_777, "1994-11-06 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "2000-02-28 23:59:59", "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "2000-02-29 00:00:00", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_210_096, "2024-02-29 12:34:56", "Thu, 29 Feb 2024 12:34:56 GMT"),
            (1_735_689_599, "2024-12-31 23:59:59", "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "2100-03-01 00:00:00", "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!((Timestamp(seconds).to_string().as_str(), HttpDate(seconds).to_string().as_str()), (log, date));
        }
    }
}
