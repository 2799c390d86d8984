//! The results of an earlier run.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ReportError;
use super::estimate::rounded;

/// Relative speeds by benchmark id: multiples of the counterpart's speed in the same run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The relative speeds, by benchmark id.
    pub relative_speed: BTreeMap<String, f64>,
}

impl Baseline {
    /// Reads a baseline. If the file does not exist, the baseline is empty.
    ///
    /// # Errors
    /// [`ReportError`] says why the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ReportError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ReportError::File { path: path.to_owned(), source }),
        };
        serde_json::from_str(&text).map_err(|source| ReportError::Json { path: path.to_owned(), source })
    }

    /// Writes the baseline, rounded to more digits than a machine reproduces, over an existing one, of which figures that were not measured this time remain.
    ///
    /// # Errors
    /// [`ReportError`] says why the file cannot be written.
    pub fn save_over(self, path: &Path) -> Result<(), ReportError> {
        let mut all = Self::load(path)?;
        all.relative_speed.extend(self.relative_speed.into_iter().map(|(id, speed)| (id, rounded(speed, 3))));
        let mut text = serde_json::to_string_pretty(&all).expect("names and numbers become JSON");
        text.push('\n');
        std::fs::write(path, text).map_err(|source| ReportError::File { path: path.to_owned(), source })
    }
}
