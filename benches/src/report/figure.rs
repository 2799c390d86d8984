//! One figure: what was measured, its counterpart, and its target.

use super::{Baseline, Row};

/// A benchmark whose estimate counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Criterion's id: `group/function` or `group/function/parameter`.
    pub id: String,
    /// The number of pieces of work in one iteration.
    pub pieces: u64,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    /// At most this multiple of the counterpart's time.
    TimeWithin(f64),
    /// At least this multiple of the counterpart's speed.
    SpeedFrom(f64),
    /// At least this number of pieces of work per second.
    PerSecond(f64),
    /// At most this number of milliseconds for a piece of work.
    Millis(f64),
}

/// A measurement, and how it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The benchmark.
    pub sample: Sample,
    /// The description of a piece of work.
    pub what: String,
    /// The benchmark of the same run that it is compared with.
    pub beside: Option<Sample>,
    /// The target. A figure without a target is reported and not judged.
    pub aim: Option<Aim>,
    /// Whether the report states pieces of work per second instead of the time of one.
    pub as_rate: bool,
    /// Further remarks.
    pub note: String,
}

impl Sample {
    /// Returns the sample of a benchmark that performs one piece of work in an iteration.
    pub fn one(id: impl Into<String>) -> Self {
        Self { id: id.into(), pieces: 1 }
    }

    /// Returns the nanoseconds for one piece of work.
    fn each(&self, nanos: f64) -> f64 {
        nanos / self.pieces as f64
    }
}

impl Figure {
    /// Judges the figure by estimates in nanoseconds per iteration: its own, and its counterpart's if that has run.
    pub(super) fn judge(&self, own: f64, beside: Option<(&Sample, f64)>, baseline: &Baseline) -> Row {
        let time = self.sample.each(own);
        let other = beside.map(|(sample, nanos)| (sample, sample.each(nanos)));
        let relative_speed = other.map(|(_, other)| other / time);
        let (unit, scale): (_, fn(f64) -> f64) = match (self.as_rate, time) {
            (true, _) => ("per second", per_second),
            (false, ..1e4) => ("ns", std::convert::identity),
            (false, ..1e6) => ("us", micros),
            (false, _) => ("ms", millis),
        };
        let ratio_to_aim = self.aim.and_then(|aim| match aim {
            Aim::TimeWithin(limit) => relative_speed.map(|speed| 1.0 / speed / limit),
            Aim::SpeedFrom(limit) => relative_speed.map(|speed| speed / limit),
            Aim::PerSecond(limit) => Some(per_second(time) / limit),
            Aim::Millis(limit) => Some(millis(time) / limit),
        });
        let met =
            self.aim.zip(ratio_to_aim).map(|(aim, ratio)| if aim.is_ceiling() { ratio <= 1.0 } else { ratio >= 1.0 });
        let before = baseline.relative_speed.get(&self.sample.id);
        Row {
            id: self.sample.id.clone(),
            what: self.what.clone(),
            value: scale(time),
            unit,
            beside: other.map(|(sample, other)| (sample.id.clone(), scale(other))),
            relative_speed,
            aim: self.aim.map(Aim::text),
            ratio_to_aim,
            met,
            change: relative_speed.zip(before).map(|(now, before)| now / before - 1.0),
            note: self.note.clone(),
        }
    }
}

impl Aim {
    /// Returns whether less is better.
    fn is_ceiling(self) -> bool {
        matches!(self, Self::TimeWithin(_) | Self::Millis(_))
    }

    fn text(self) -> String {
        match self {
            Self::TimeWithin(limit) => format!("time <= {limit} x"),
            Self::SpeedFrom(limit) => format!("speed >= {limit} x"),
            Self::PerSecond(limit) => format!(">= {limit}/s"),
            Self::Millis(limit) => format!("<= {limit} ms"),
        }
    }
}

fn per_second(nanos: f64) -> f64 {
    1e9 / nanos
}

fn micros(nanos: f64) -> f64 {
    nanos / 1e3
}

fn millis(nanos: f64) -> f64 {
    nanos / 1e6
}
