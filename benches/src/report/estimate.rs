//! An estimate with its confidence interval.

use serde::{Deserialize, Serialize};

/// A number that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The estimate itself, a median or what follows from medians.
    pub value: f64,
    /// The interval that contains the true value with a probability of at least 95%. A quick run has too few samples
    /// for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Estimate {
    /// Returns an estimate with an interval.
    pub fn new(value: f64, low: f64, high: f64) -> Self {
        Self { value, interval: Some(Interval { low, high }) }
    }

    /// Returns an estimate of which only the value is known.
    pub fn without_interval(value: f64) -> Self {
        Self { value, interval: None }
    }

    /// Returns a multiple of the estimate.
    pub(super) fn times(self, factor: f64) -> Self {
        self.map(|number| number * factor)
    }

    /// Returns `numerator` divided by the estimate.
    pub(super) fn dividing(self, numerator: f64) -> Self {
        Self {
            value: numerator / self.value,
            interval: self
                .interval
                .map(|Interval { low, high }| Interval { low: numerator / high, high: numerator / low }),
        }
    }

    /// Returns the ratio of two positive estimates. Its interval is that of interval arithmetic, which is wider than
    /// that of two independent samples and so also holds where both were disturbed together.
    pub(super) fn over(self, other: Self) -> Self {
        let interval = self.interval.zip(other.interval);
        Self {
            value: self.value / other.value,
            interval: interval.map(|(own, other)| Interval { low: own.low / other.high, high: own.high / other.low }),
        }
    }

    /// Returns the estimate with an interval that is wider by this share at both ends.
    pub(super) fn widened(self, share: f64) -> Self {
        let wider = |Interval { low, high }| Interval { low: low / (1.0 + share), high: high * (1.0 + share) };
        Self { interval: self.interval.map(wider), ..self }
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            value: change(self.value),
            interval: self.interval.map(|Interval { low, high }| Interval { low: change(low), high: change(high) }),
        }
    }
}

/// Rounds to so many digits.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let scale = 10_f64.powi(digits - 1 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}
