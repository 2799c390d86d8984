//! The benchmark report: figures, each against its aim and against a stored baseline.
//!
//! * [`Figure`]: what was measured, beside a counterpart of the same run where there is one.
//! * [`Estimates`]: where criterion has left its results.
//! * [`Baseline`]: the figures of an earlier run. Machines differ, so it holds *relative speeds*: how
//!   fast a figure was as a multiple of its counterpart's speed.
//! * [`Report`]: all of it, as `report.md` and `report.json`.

mod baseline;
mod estimates;
mod figure;
mod render;

pub use baseline::Baseline;
pub use estimates::{Estimates, ReportError};
pub use figure::{Aim, Figure, Sample};

use std::path::Path;

use serde::Serialize;

/// What the report says of one figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The benchmark's id.
    pub id: String,
    /// What was measured, in words.
    pub what: String,
    /// The figure, in `unit`.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The counterpart: its id, and its figure in the same unit.
    pub beside: Option<(String, f64)>,
    /// Speed as a multiple of the counterpart's; above 1 is faster than it.
    pub relative_speed: Option<f64>,
    /// What is aimed at, in words.
    pub aim: Option<String>,
    /// The figure as a multiple of what is aimed at.
    pub ratio_to_aim: Option<f64>,
    /// Whether that is kept.
    pub met: Option<bool>,
    /// Change of the relative speed since the baseline; above 0 is faster.
    pub change: Option<f64>,
    /// What else there is to know.
    pub note: String,
}

/// The benchmark report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The figures, in the order of measuring.
    pub figures: Vec<Row>,
}

impl Report {
    /// Judges the figures, as far as criterion has their estimates.
    ///
    /// # Errors
    /// [`ReportError`] where an estimate cannot be read.
    pub fn new(figures: &[Figure], estimates: &Estimates, baseline: &Baseline) -> Result<Self, ReportError> {
        let mut rows = Vec::new();
        for figure in figures {
            if let Some(own) = estimates.nanos(&figure.sample.id)? {
                let beside = figure.beside.as_ref();
                let beside = match beside {
                    Some(sample) => estimates.nanos(&sample.id)?.map(|nanos| (sample, nanos)),
                    None => None,
                };
                rows.push(figure.judge(own, beside, baseline));
            }
        }
        Ok(Self { figures: rows })
    }

    /// Relative speeds, for a later run to compare with.
    pub fn to_baseline(&self) -> Baseline {
        let speeds = self.figures.iter().filter_map(|row| Some((row.id.clone(), row.relative_speed?)));
        Baseline { relative_speed: speeds.collect() }
    }

    /// Writes `report.md` and `report.json` into a directory, which is made where it is not there.
    ///
    /// # Errors
    /// [`ReportError::File`].
    pub fn write(&self, directory: &Path) -> Result<(), ReportError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| ReportError::File { path, source }
        };
        std::fs::create_dir_all(directory).map_err(file(directory))?;
        let markdown = directory.join("report.md");
        std::fs::write(&markdown, self.to_markdown()).map_err(file(&markdown))?;
        let json = directory.join("report.json");
        std::fs::write(&json, self.to_json()).map_err(file(&json))
    }
}

#[cfg(test)]
mod tests;
