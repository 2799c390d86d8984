//! The full runs that were stored, one small file for each.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::estimate::rounded;
use super::{Conditions, Counts, FORMAT, Mode, Report, ReportError, State};

/// The stored runs, in the order of their dates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The runs.
    pub entries: Vec<Entry>,
}

/// A full run, as `benches/history` keeps it. The schema is `docs/schemas/bench-history.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The version of the format, which is 1.
    pub format: u32,
    /// The version of Stickler.
    pub stickler: String,
    /// The conditions of the run.
    pub conditions: Conditions,
    /// The numbers of aims in each state.
    pub counts: Counts,
    /// The figures, by benchmark id; the second row of a benchmark, by id and aim.
    pub figures: BTreeMap<String, Kept>,
}

/// A figure of a stored run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The speed as a multiple of the counterpart's.
    pub speed: Option<f64>,
    /// The figure as a multiple of its aim, if it has one; above 1 is better than the aim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attained: Option<f64>,
    /// The relation to the aim, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

impl History {
    /// Reads the stored runs. A folder that does not exist has none.
    ///
    /// # Errors
    /// [`ReportError`] says which file cannot be read.
    pub fn load(folder: &Path) -> Result<Self, ReportError> {
        let failed = |path: &Path, source| ReportError::File { path: path.to_owned(), source };
        let listed = match std::fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(failed(folder, source)),
        };
        let mut entries = Vec::new();
        for file in listed {
            let path = file.map_err(|source| failed(folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
                let entry = serde_json::from_str(&text).map_err(|source| ReportError::Json { path, source })?;
                entries.push(entry);
            }
        }
        entries.sort_by(|one: &Entry, other| one.conditions.date.cmp(&other.conditions.date));
        Ok(Self { entries })
    }

    /// Writes a report into the folder of stored runs, and returns the path of its file. Only a full run is stored:
    /// for another one the result is `None`.
    ///
    /// # Errors
    /// [`ReportError::File`] if the file cannot be written.
    pub fn store(folder: &Path, report: &Report) -> Result<Option<PathBuf>, ReportError> {
        let Some(entry) = Entry::of(report) else { return Ok(None) };
        // No colons, which Windows does not allow in names.
        let path = folder.join(format!("{}.json", entry.conditions.date.replace(':', "-")));
        let text = serde_json::to_string(&entry).expect("names and numbers become JSON") + "\n";
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        match written {
            Ok(()) => Ok(Some(path)),
            Err(source) => Err(ReportError::File { path, source }),
        }
    }
}

impl Entry {
    /// Returns what is stored of a report, or `None` if it is not that of a full run.
    pub fn of(report: &Report) -> Option<Self> {
        let counts = report.counts.filter(|_| report.mode == Mode::Full)?;
        let mut figures = BTreeMap::new();
        for row in &report.figures {
            let attained = row.attained().map(|attained| rounded(attained.value, 4));
            let speed = row.relative_speed.map(|speed| rounded(speed.value, 4));
            // A benchmark may have a second row, with an aim of its own.
            let key = match &row.aim {
                Some(aim) if figures.contains_key(&row.id) => format!("{}, {aim}", row.id),
                _ => row.id.clone(),
            };
            figures.insert(key, Kept { speed, attained, state: row.state });
        }
        Some(Self {
            format: FORMAT,
            stickler: report.stickler.to_owned(),
            conditions: report.conditions.clone(),
            counts,
            figures,
        })
    }
}
