//! One figure: what was measured, its counterpart, and its target.

use super::{Baseline, Beside, Estimate, Row, State};

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
    /// The benchmark of the same run with which it is compared.
    pub beside: Sample,
    /// The bare reference, if `beside` is not bare itself.
    pub bare: Option<Sample>,
    /// The aim. A figure without an aim is reported and not judged.
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
    fn each(&self, nanos: Estimate) -> Estimate {
        nanos.times(1.0 / self.pieces as f64)
    }
}

/// The estimates of a figure, in nanoseconds per iteration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The estimate of the figure itself.
    pub(super) own: Estimate,
    /// The estimate of what it is compared with, if that has run.
    pub(super) beside: Option<Estimate>,
    /// The estimate of the bare reference, if there is one and it has run.
    pub(super) bare: Option<Estimate>,
}

impl Figure {
    /// Judges the figure. `drift` is the share by which the speed of the machine changed during the run.
    pub(super) fn judge(&self, measured: Measured, drift: f64, baseline: &Baseline) -> Row {
        let time = self.sample.each(measured.own);
        let beside = measured.beside.map(|nanos| self.beside.each(nanos));
        let relative_speed = beside.map(|beside| beside.over(time));
        let (unit, scale) = self.unit(time.value);
        let other = |sample: &Sample, nanos| Beside { id: sample.id.clone(), value: scale(sample.each(nanos)).value };
        let to_aim = self.aim.and_then(|aim| aim.compare(time, relative_speed, drift));
        let before = baseline.relative_speed.get(&self.sample.id);
        Row {
            id: self.sample.id.clone(),
            what: self.what.clone(),
            value: scale(time),
            unit,
            beside: measured.beside.map(|nanos| other(&self.beside, nanos)),
            bare: self.bare.as_ref().zip(measured.bare).map(|(sample, nanos)| other(sample, nanos)),
            relative_speed,
            aim: self.aim.map(Aim::text),
            to_aim,
            less_is_better: self.aim.is_some_and(Aim::is_ceiling),
            state: self.aim.zip(to_aim).and_then(|(aim, to_aim)| aim.state(to_aim)),
            change: relative_speed.zip(before).map(|(now, before)| now.value / before - 1.0),
            note: self.note.clone(),
        }
    }

    /// Returns the unit of the figure, and what turns nanoseconds into it.
    fn unit(&self, nanos: f64) -> (&'static str, fn(Estimate) -> Estimate) {
        match (self.as_rate, nanos) {
            (true, _) => ("per second", per_second),
            (false, ..1e4) => ("ns", std::convert::identity),
            (false, ..1e6) => ("us", |nanos| nanos.times(1e-3)),
            (false, _) => ("ms", millis),
        }
    }
}

impl Aim {
    /// Returns whether less is better.
    fn is_ceiling(self) -> bool {
        matches!(self, Self::TimeWithin(_) | Self::Millis(_))
    }

    /// Returns the figure as a multiple of the aim. What is compared with nothing of the same run is uncertain by the
    /// drift of the machine besides.
    fn compare(self, time: Estimate, relative_speed: Option<Estimate>, drift: f64) -> Option<Estimate> {
        match self {
            Self::TimeWithin(limit) => relative_speed.map(|speed| speed.dividing(1.0 / limit)),
            Self::SpeedFrom(limit) => relative_speed.map(|speed| speed.times(1.0 / limit)),
            Self::PerSecond(limit) => Some(per_second(time).times(1.0 / limit).widened(drift)),
            Self::Millis(limit) => Some(millis(time).times(1.0 / limit).widened(drift)),
        }
    }

    /// Returns the state of a figure that is this multiple of the aim, or `None` if it has no interval.
    fn state(self, to_aim: Estimate) -> Option<State> {
        let interval = to_aim.interval?;
        let (below, above) = (interval.high <= 1.0, interval.low >= 1.0);
        Some(match (self.is_ceiling(), below, above) {
            (true, true, _) | (false, _, true) => State::Met,
            (true, _, true) | (false, true, _) => State::Missed,
            (_, false, false) => State::Open,
        })
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

fn per_second(nanos: Estimate) -> Estimate {
    nanos.dividing(1e9)
}

fn millis(nanos: Estimate) -> Estimate {
    nanos.times(1e-6)
}
