//! The results of criterion, from its files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Estimate, Mode};

/// The place of criterion's results, and which of them belong to this run.
#[derive(Debug)]
pub struct Estimates {
    directory: PathBuf,
    mode: Mode,
    fresh: RefCell<BTreeSet<String>>,
    /// The estimates that are not criterion's.
    others: BTreeMap<String, Estimate>,
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
    median: Median,
}

#[derive(Deserialize)]
struct Median {
    point_estimate: f64,
    confidence_interval: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    lower_bound: f64,
    upper_bound: f64,
}

impl Estimates {
    /// Returns the results below criterion's output directory.
    pub fn new(directory: PathBuf, mode: Mode) -> Self {
        Self { directory, mode, fresh: RefCell::default(), others: BTreeMap::new() }
    }

    /// Records that a benchmark has run. Others may have results of an earlier run, which do not count.
    pub fn ran(&self, id: &str) {
        let mut fresh = self.fresh.borrow_mut();
        if !fresh.contains(id) {
            fresh.insert(id.to_owned());
        }
    }

    /// Adds an estimate that was not made by criterion, in nanoseconds.
    pub fn add(&mut self, id: &str, estimate: Estimate) {
        self.others.insert(id.to_owned(), estimate);
    }

    /// Returns the median time of an iteration in nanoseconds, for a benchmark that has run. There is no interval in a
    /// quick run: what criterion writes then is made from two samples.
    ///
    /// # Errors
    /// [`ReportError`] says why the file cannot be read.
    pub fn nanos(&self, id: &str) -> Result<Option<Estimate>, ReportError> {
        if let Some(known) = self.others.get(id) {
            return Ok(Some(*known));
        }
        if !self.fresh.borrow().contains(id) {
            return Ok(None);
        }
        let path = self.directory.join(id).join("new").join("estimates.json");
        let text = std::fs::read_to_string(&path).map_err(|source| ReportError::File { path: path.clone(), source })?;
        let written: Written = serde_json::from_str(&text).map_err(|source| ReportError::Json { path, source })?;
        let Median { point_estimate, confidence_interval: Bounds { lower_bound, upper_bound } } = written.median;
        Ok(Some(match self.mode {
            Mode::Quick => Estimate::without_interval(point_estimate),
            Mode::Full | Mode::Part => Estimate::new(point_estimate, lower_bound, upper_bound),
        }))
    }
}
