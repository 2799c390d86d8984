//! The date with which the last days of expectations and exceptions are compared.

use jiff::civil::Date;

/// Returns the current date in UTC, unless another one is given.
pub(crate) fn or_given(day: Option<Date>) -> Date {
    day.unwrap_or_else(|| jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date())
}

/// Reads a date, `2027-06-30`.
pub(crate) fn parse(text: &str) -> Result<Date, String> {
    let wrong = || format!("`{text}` is not a date: write it like 2027-06-30");
    let day: Date = text.parse().map_err(|_| wrong())?;
    // Other forms of ISO 8601 are valid, but are not accepted here.
    if day.to_string() == text { Ok(day) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar_in_one_form() {
        assert_eq!(parse("2028-02-29").map(|day| day.to_string()), Ok("2028-02-29".to_owned()));
        for wrong in ["2027-02-29", "2027-13-01", "20270630", "2027-6-30", "30.06.2027", "2027-06-30T10:00", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("2027-09-30").unwrap() < parse("2027-10-01").unwrap());
    }
}
