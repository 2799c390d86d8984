//! Reads the folder of a hunt.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stickler_model::Plan;

use super::files::{self, at};
use super::{Description, FORMAT, FolderError, GENERATOR, Problem, Record};
use crate::judge::Point;
use crate::search::{Finding, Found, Key, Place};

/// The maximum number of plans in a corpus.
const MAX_CORPUS: usize = 1_000_000;

/// The content of `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Consecutive units with the same number of runs: the first, the last, and the number of runs of each.
    units: Vec<(u64, u64, u64)>,
    /// The points of coverage by balancer, each with the first run that reached it.
    coverage: BTreeMap<String, BTreeMap<Point, Place>>,
    /// The number of findings that the folder has at least; `None` if an older version wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    findings: Option<usize>,
}

impl State {
    pub(super) fn of(found: &Found) -> Self {
        let mut units: Vec<(u64, u64, u64)> = Vec::new();
        for (&unit, &runs) in &found.units {
            match units.last_mut() {
                Some((_, last, each)) if *last + 1 == unit && *each == runs => *last = unit,
                _ => units.push((unit, unit, runs)),
            }
        }
        Self { units, coverage: found.coverage.clone(), findings: Some(found.findings.len()) }
    }

    /// Returns the units with their runs.
    fn units(&self, description: &Description) -> Result<BTreeMap<u64, u64>, Problem> {
        let most = if description.exhaustive.is_some() { u64::MAX } else { description.unit };
        let mut units = BTreeMap::new();
        for &(first, last, runs) in &self.units {
            if last < first || last - first > u64::from(u32::MAX) || runs > most {
                return Err(Problem::Wrong(format!("no hunt has units {first} to {last} with {runs} runs each")));
            }
            units.extend((first..=last).map(|unit| (unit, runs)));
        }
        Ok(units)
    }
}

/// A finding with its record, as its folder contains them.
pub(super) type Kept = (Finding, Record);

/// Reads the folder of a hunt: its description, its findings, and the results of shrinking them.
///
/// # Errors
/// [`FolderError`]: a file cannot be read, or no hunt of this version has written it.
pub fn read(folder: &Path) -> Result<(Description, Found, BTreeMap<Key, Record>), FolderError> {
    files::is_folder(folder)?;
    if !exists(&folder.join("hunt.json")) {
        return Err(at(folder)(Problem::NoHunt));
    }
    let description = description(&folder.join("hunt.json"))?;
    let path = folder.join("state.json");
    let mut found = Found::default();
    let mut least = 0;
    if exists(&path) {
        let state: State = files::json(&path)?;
        found.units = state.units(&description).map_err(at(&path))?;
        found.coverage = state.coverage;
        least = state.findings.unwrap_or(0);
    }
    for (place, plan) in plans(&folder.join("corpus"))? {
        found.corpus.insert(place, plan);
    }
    let mut records = BTreeMap::new();
    for (finding, record) in findings(&folder.join("findings"))? {
        records.insert(finding.key(), record);
        found.findings.insert(finding.key(), finding);
    }
    is_whole(folder, &found, least)?;
    Ok((description, found, records))
}

/// Returns an error if the folder has lost findings or plans, which would otherwise look like a hunt that found less.
fn is_whole(folder: &Path, found: &Found, least: usize) -> Result<(), FolderError> {
    const HELP: &str = "copy the whole folder again, or hunt in an empty folder";
    let there = found.findings.len();
    if there < least {
        let problem = format!("the folder has only {there} of the {least} findings that the hunt recorded; {HELP}");
        return Err(at(&folder.join("findings"))(Problem::Wrong(problem)));
    }
    let reached = found.coverage.values().flat_map(BTreeMap::values);
    match reached.into_iter().find(|place| !found.corpus.contains_key(place)) {
        Some(Place { unit, run }) => {
            let problem = format!("the plan of run {run} of unit {unit} is missing; {HELP}");
            Err(at(&folder.join("corpus"))(Problem::Wrong(problem)))
        }
        None => Ok(()),
    }
}

/// Reads the description of a hunt.
pub(super) fn description(path: &Path) -> Result<Description, FolderError> {
    /// The field that the descriptions of all versions have.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
        generator: u32,
    }
    let version: Version = files::json(path)?;
    for (what, found, known) in [("format", version.format, FORMAT), ("generator", version.generator, GENERATOR)] {
        if found != known {
            return Err(at(path)(Problem::Version { what, found, known }));
        }
    }
    files::json(path)
}

/// Reads the plans of a corpus with which a hunt begins, in the order of their names, and their digest. `folder` can be
/// the folder of an earlier hunt, its folder `corpus`, or any folder of run files.
///
/// # Errors
/// [`FolderError`]: a file contains no plan, or there is no file.
pub fn corpus(folder: &Path) -> Result<(Vec<Plan>, String), FolderError> {
    files::is_folder(folder)?;
    let inner = folder.join("corpus");
    let folder = if inner.is_dir() { &inner } else { folder };
    let (mut plans, mut digest) = (Vec::new(), Sha256::new());
    for path in entries(folder)? {
        let plan = files::plan(&path)?;
        let text = serde_json::to_vec(&plan).map_err(at(&path))?;
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
        plans.push(plan);
    }
    if plans.is_empty() {
        return Err(at(folder)(Problem::Wrong("there is no plan (*.jsonl) in this folder".to_owned())));
    }
    let digest = digest.finalize().iter().fold(String::new(), |mut text, byte| {
        // A string accepts any content.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((plans, digest))
}

/// Reads the plans of a folder that a hunt has written.
fn plans(folder: &Path) -> Result<Vec<(Place, Plan)>, FolderError> {
    if !exists(folder) {
        return Ok(Vec::new());
    }
    let mut plans = Vec::new();
    for path in entries(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let place = name
            .split_once('-')
            .and_then(|(unit, run)| Some(Place { unit: unit.parse().ok()?, run: run.parse().ok()? }));
        let place = place.ok_or_else(|| at(&path)(Problem::Wrong("no hunt gives a plan this name".to_owned())))?;
        plans.push((place, files::plan(&path)?));
    }
    Ok(plans)
}

fn findings(folder: &Path) -> Result<Vec<Kept>, FolderError> {
    let mut findings = Vec::new();
    if !exists(folder) {
        return Ok(findings);
    }
    for balancer in list(folder)? {
        for kind in list(&balancer)? {
            // If a hunt was killed between the two files, the unit is made again.
            let path = kind.join("finding.json");
            if !exists(&path) {
                continue;
            }
            let record: Record = files::json(&path)?;
            let plan = files::plan(&kind.join("found.jsonl"))?;
            if plan.balancer.to_string() != record.balancer {
                let message =
                    format!("it says `{}`, and the plan beside it is for `{}`", record.balancer, plan.balancer);
                return Err(at(&path)(Problem::Wrong(message)));
            }
            let Record { kind, declared, summary, place, .. } = record.clone();
            findings.push((Finding { kind, declared, summary, place, plan }, record));
        }
    }
    Ok(findings)
}

/// Returns the paths of the run files in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let mut entries = list(folder)?;
    entries.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    if entries.len() > MAX_CORPUS {
        return Err(at(folder)(Problem::Wrong(format!("there are more than {MAX_CORPUS} plans in this folder"))));
    }
    Ok(entries)
}

/// Returns the paths of everything in a folder, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let paths = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    paths().map_err(at(folder))
}

pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
