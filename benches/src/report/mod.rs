//! The benchmark report: each figure is compared with its target and with a stored baseline.
//!
//! * [`Figure`]: a measurement, with a counterpart of the same run if there is one.
//! * [`Estimates`]: the results of criterion.
//! * [`Baseline`]: the figures of an earlier run. Machines differ, so it contains *relative speeds*: the speed of a
//!   figure as a multiple of its counterpart's speed.
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

/// One row of the report, about one figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The benchmark's id.
    pub id: String,
    /// The description of the measured work.
    pub what: String,
    /// The value of the figure, in `unit`.
    pub value: f64,
    /// The unit of the value.
    pub unit: &'static str,
    /// The id of the counterpart, and its value in the same unit.
    pub beside: Option<(String, f64)>,
    /// The speed as a multiple of the counterpart's; above 1 means faster than the counterpart.
    pub relative_speed: Option<f64>,
    /// The description of the target.
    pub aim: Option<String>,
    /// The value as a multiple of the target.
    pub ratio_to_aim: Option<f64>,
    /// Whether the target is met.
    pub met: Option<bool>,
    /// The change of the relative speed since the baseline; above 0 means faster.
    pub change: Option<f64>,
    /// Further remarks.
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
    /// [`ReportError`] if an estimate cannot be read.
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

    /// Returns the relative speeds, with which a later run can be compared.
    pub fn to_baseline(&self) -> Baseline {
        let speeds = self.figures.iter().filter_map(|row| Some((row.id.clone(), row.relative_speed?)));
        Baseline { relative_speed: speeds.collect() }
    }

    /// Writes `report.md` and `report.json` into a directory, which is created if necessary.
    ///
    /// # Errors
    /// [`ReportError::File`] if a file cannot be written.
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
