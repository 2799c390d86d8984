//! The exceptions: differences between profiles and products that are known and explained.
//!
//! `exceptions.toml` lists them. A comparison of a profile with its product accepts such a difference until a given
//! day, and reports an exception that is out of date.

use std::sync::LazyLock;

use serde::Deserialize;
use toml::value::Datetime;

/// A verdict that differs between a profile and its product, and why that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The name of the profile.
    pub profile: String,
    /// The version of the product in which the difference was observed, in the product's own form; `unknown` if the
    /// product does not state it.
    pub version: String,
    /// The scenario in which the verdict differs.
    pub scenario: String,
    /// The requirement whose verdict differs, for example `FO-4`.
    pub requirement: String,
    /// Why the verdict differs, and why the profile cannot express that.
    pub reason: String,
    /// The last day of the exception, for example `2027-06-30`.
    pub until: String,
    /// Whether the verdicts agree by chance in some comparisons, in which case agreement does not make the exception
    /// unnecessary.
    #[serde(default)]
    pub sometimes: bool,
}

/// Why a file of exceptions is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionError {
    /// The file is not TOML, has an unknown key, or lacks a key.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// The last day of an exception is not a date.
    #[error(
        "the exception of {profile} in {scenario} ends on `{until}`, which is not a date: write it like 2027-06-30"
    )]
    Day {
        /// The name of the profile.
        profile: String,
        /// The name of the scenario.
        scenario: String,
        /// The text of the last day.
        until: String,
    },
    /// Two exceptions are for the same verdict.
    #[error("there are two exceptions of {profile} in {scenario} for {requirement}")]
    Twice {
        /// The name of the profile.
        profile: String,
        /// The name of the scenario.
        scenario: String,
        /// The id of the requirement.
        requirement: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
}

static EXCEPTIONS: LazyLock<Vec<Exception>> = LazyLock::new(|| {
    Exception::parse(include_str!("../exceptions.toml"))
        .unwrap_or_else(|error| panic!("the shipped exceptions are wrong: {error}"))
});

/// Returns all exceptions that are shipped.
pub fn exceptions() -> &'static [Exception] {
    &EXCEPTIONS
}

impl Exception {
    /// Reads a file of exceptions.
    ///
    /// # Errors
    /// [`ExceptionError`] says what is wrong with the file.
    pub fn parse(text: &str) -> Result<Vec<Self>, ExceptionError> {
        let File { exception: all } = toml::from_str(text)?;
        for (index, one) in all.iter().enumerate() {
            let Self { profile, scenario, requirement, until, .. } = one.clone();
            if !is_day(&until) {
                return Err(ExceptionError::Day { profile, scenario, until });
            }
            if all[..index].iter().any(|other| other.is_for(&profile, &one.version, &scenario, &requirement)) {
                return Err(ExceptionError::Twice { profile, scenario, requirement });
            }
        }
        Ok(all)
    }

    /// Returns whether the exception is for this requirement in this scenario over this version of the profile's
    /// product.
    pub fn is_for(&self, profile: &str, version: &str, scenario: &str, requirement: &str) -> bool {
        let own = [&self.profile, &self.version, &self.scenario, &self.requirement];
        own == [profile, version, scenario, requirement]
    }

    /// Returns whether the last day has passed. `today` has the same form as `until`.
    pub fn has_expired(&self, today: &str) -> bool {
        // Dates in this form sort as text.
        *self.until < *today
    }
}

/// Returns whether a text has the form of a date, for example `2027-06-30`.
fn is_day(text: &str) -> bool {
    let day = |it: Datetime| it.date.is_some() && it.time.is_none() && it.offset.is_none();
    text.parse().is_ok_and(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"
        [[exception]]
        profile = "haproxy-safe"
        version = "2.6.12"
        scenario = "drain"
        requirement = "FO-5"
        reason = "a test"
        until = "2027-06-30"
    "#;

    #[test]
    fn an_exception_is_for_one_version_and_ends_after_its_last_day() {
        let [one] = &Exception::parse(ONE).unwrap()[..] else { panic!("one exception") };
        assert!(one.is_for("haproxy-safe", "2.6.12", "drain", "FO-5"));
        assert!(!one.is_for("haproxy-safe", "3.0.1", "drain", "FO-5"));
        assert!(!one.is_for("haproxy-safe", "2.6.12", "drain", "FO-4"));
        assert!(!one.has_expired("2027-06-30"));
        assert!(one.has_expired("2027-07-01"));
    }

    #[test]
    fn a_day_that_is_none_a_missing_key_and_a_second_exception_are_refused() {
        for day in ["2027-6-30", "soon", "2027-13-01", "2027-06-32", "2027-06-00", "20270630", "2027-06-3é"] {
            let error = Exception::parse(&ONE.replace("2027-06-30", day)).unwrap_err().to_string();
            assert!(error.contains(day), "{error}");
        }
        let error = Exception::parse(&ONE.replace("reason = \"a test\"", "")).unwrap_err().to_string();
        assert!(error.contains("reason"), "{error}");
        let error = Exception::parse(&format!("{ONE}{ONE}")).unwrap_err().to_string();
        assert!(error.contains("two exceptions of haproxy-safe in drain for FO-5"), "{error}");
    }
}
