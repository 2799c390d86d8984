//! The results of criterion, from its files.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

/// The place of criterion's results, and which of them belong to this run.
#[derive(Debug)]
pub struct Estimates {
    directory: PathBuf,
    fresh: RefCell<BTreeSet<String>>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file does not have the expected content.
    #[error("{}: {source}", path.display())]
    Json {
        /// The path of the file.
        path: PathBuf,
        /// The error of the parser.
        source: serde_json::Error,
    },
}

/// The relevant part of criterion's `estimates.json`.
#[derive(Deserialize)]
struct Written {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Estimates {
    /// Returns the results below criterion's output directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, fresh: RefCell::default() }
    }

    /// Records that a benchmark has run. Others may have results of an earlier run, which do not count.
    pub fn ran(&self, id: &str) {
        let mut fresh = self.fresh.borrow_mut();
        if !fresh.contains(id) {
            fresh.insert(id.to_owned());
        }
    }

    /// Returns the median time of an iteration in nanoseconds, for a benchmark that has run.
    ///
    /// # Errors
    /// [`ReportError`] says why the file cannot be read.
    pub fn nanos(&self, id: &str) -> Result<Option<f64>, ReportError> {
        if !self.fresh.borrow().contains(id) {
            return Ok(None);
        }
        let path = self.directory.join(id).join("new").join("estimates.json");
        let text = std::fs::read_to_string(&path).map_err(|source| ReportError::File { path: path.clone(), source })?;
        let written: Written = serde_json::from_str(&text).map_err(|source| ReportError::Json { path, source })?;
        Ok(Some(written.median.point_estimate))
    }
}
