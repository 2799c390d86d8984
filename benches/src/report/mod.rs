//! The benchmark report: each figure is compared with its target and with a stored baseline.
//!
//! * [`Figure`]: what was measured, with a counterpart of the same run.
//! * [`Estimates`]: the results of criterion, with their confidence intervals.
//! * [`Conditions`]: the machine, its load, and its drift.
//! * [`Baseline`]: the figures of an earlier run. Machines differ, so it holds *relative speeds*: how fast a figure was
//!   as a multiple of its counterpart's speed.
//! * [`Report`]: all of it, as `report.md`, `report.json` and `report.html`, and as a short table for the terminal.
//! * [`History`]: the full runs that were stored, one file for each.
//!
//! An aim is *met* or *missed* only if the whole confidence interval is on one side of it; otherwise it is *open*. Only
//! a full run counts how many aims are met, and a quick one judges none ([`Mode`]).

mod baseline;
mod conditions;
mod estimate;
mod estimates;
mod figure;
mod history;
mod page;
mod plots;
mod render;
mod row;

pub use baseline::Baseline;
pub use conditions::{Calibration, Conditions, LoadAverages, Machine, commit, now};
pub use estimate::{Estimate, Interval};
pub use estimates::{Estimates, ReportError};
pub use figure::{Aim, Figure, Sample};
pub use history::{Entry, History};
pub use row::{Beside, Counts, Mode, Row, State};

use std::path::Path;

use serde::Serialize;

use figure::Measured;

/// The version of `report.json` and of the files of the history. A new field does not change the version; a field that
/// is removed or changes its meaning does.
pub const FORMAT: u32 = 1;

/// The benchmark report. The schema of its JSON is `docs/schemas/bench.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Report {
    /// The version of the format, which is 1.
    pub format: u32,
    /// The command that wrote the document: `bench`.
    pub command: &'static str,
    /// The version of Stickler.
    pub stickler: &'static str,
    /// Whether the run was a full one.
    pub complete: bool,
    /// The mode of the run: full, quick or filtered.
    pub mode: Mode,
    /// The conditions of the run.
    pub conditions: Conditions,
    /// The share by which the speed of the machine changed during the run, from `conditions.calibration`.
    pub drift: f64,
    /// The numbers of aims in each state. Only a full run has them.
    pub counts: Option<Counts>,
    /// What could not be measured, and why.
    pub remarks: Vec<String>,
    /// The figures, in the order of measuring.
    pub figures: Vec<Row>,
}

impl Report {
    /// Judges the figures, as far as criterion has their estimates.
    ///
    /// # Errors
    /// [`ReportError`] if an estimate cannot be read.
    pub fn new(
        figures: &[Figure],
        estimates: &Estimates,
        baseline: &Baseline,
        mode: Mode,
        conditions: Conditions,
    ) -> Result<Self, ReportError> {
        let drift = conditions.calibration.drift();
        let mut rows = Vec::new();
        for figure in figures {
            if let Some(own) = estimates.nanos(&figure.sample.id)? {
                let beside = estimates.nanos(&figure.beside.id)?;
                let bare = figure.bare.as_ref().map(|bare| estimates.nanos(&bare.id)).transpose()?.flatten();
                rows.push(figure.judge(Measured { own, beside, bare }, drift, baseline));
            }
        }
        Ok(Self {
            format: FORMAT,
            command: "bench",
            stickler: env!("CARGO_PKG_VERSION"),
            complete: mode == Mode::Full,
            mode,
            conditions,
            drift,
            counts: (mode == Mode::Full).then(|| Counts::of(&rows)),
            remarks: Vec::new(),
            figures: rows,
        })
    }

    /// Returns the relative speeds, with which a later run can be compared.
    pub fn to_baseline(&self) -> Baseline {
        let speeds = self.figures.iter().filter_map(|row| Some((row.id.clone(), row.relative_speed?.value)));
        Baseline { relative_speed: speeds.collect() }
    }

    /// Writes `report.md`, `report.json` and `report.html` into a directory, which is created if necessary.
    ///
    /// # Errors
    /// [`ReportError::File`] if a file cannot be written.
    pub fn write(&self, directory: &Path, history: &History) -> Result<(), ReportError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| ReportError::File { path, source }
        };
        std::fs::create_dir_all(directory).map_err(file(directory))?;
        let texts = [
            ("report.md", self.to_markdown()),
            ("report.json", self.to_json()),
            ("report.html", self.to_html(history)),
        ];
        for (name, text) in texts {
            let path = directory.join(name);
            std::fs::write(&path, text).map_err(file(&path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
