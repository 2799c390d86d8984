//! Criterion's results, from its files.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

/// Where criterion leaves its results, and which of them are of this run.
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
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The part of criterion's `estimates.json` that counts.
#[derive(Deserialize)]
struct Written {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Estimates {
    /// Results below criterion's output directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, fresh: RefCell::default() }
    }

    /// Notes that a benchmark has run. Others may have results of an earlier run, which do not count.
    pub fn ran(&self, id: &str) {
        let mut fresh = self.fresh.borrow_mut();
        if !fresh.contains(id) {
            fresh.insert(id.to_owned());
        }
    }

    /// Nanoseconds an iteration (median), for a benchmark that has run.
    ///
    /// # Errors
    /// [`ReportError`].
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
