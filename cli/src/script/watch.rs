//! Runs scripts whenever they are saved.
//!
//! The files are examined every few milliseconds. This works on every system and every file system, needs no library,
//! and costs a few system calls for each file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use stickler_model::{BalancerSpec, escape};
use stickler_runner::{Arm, Ending, Run};
use stickler_scenarios::Case;
use stickler_sim::SimArm;

use crate::args::Watch;
use crate::{Failure, balancers, interrupt};

/// The pause between two examinations of the files. A run needs two examinations with the same result, so that no
/// half-written file is run.
const PAUSE: Duration = Duration::from_millis(30);

/// The default balancers: a sound one, one with a weakness, and one that mixes users up.
const USUAL: [&str; 3] = ["l4-nat", "pin-on-401", "shared-pool"];

/// The maximum number of files that are watched.
const MOST: usize = 10_000;

/// The time of the last change of a file and its size, which show whether it has changed.
type Stamp = (Option<SystemTime>, u64);

/// The files that are watched, by path.
type Stamps = BTreeMap<PathBuf, Stamp>;

pub(crate) fn watch(arguments: &Watch) -> Result<(), Failure> {
    let names: Vec<String> =
        if arguments.balancer.is_empty() { USUAL.map(str::to_owned).to_vec() } else { arguments.balancer.clone() };
    let balancers = balancers::find(&names, &[])?;
    // Any file beside a script may be loaded by it, or contain its expectations.
    let folder =
        if arguments.path.is_dir() { &arguments.path } else { arguments.path.parent().unwrap_or(Path::new("")) };
    if !arguments.path.exists() {
        return Err(Failure::Wrong(format!("there is no {}", arguments.path.display())));
    }
    let ended = interrupt::flag().map_err(|error| Failure::Wrong(format!("cannot listen for Ctrl-C: {error}")))?;
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    let (mut done, mut before) = (Stamps::new(), Stamps::new());
    while !ended.load(Ordering::Relaxed) {
        let seen = stamps(folder)?;
        if seen == before && seen != done {
            let changed: Vec<PathBuf> =
                seen.keys().filter(|path| seen.get(*path) != done.get(*path)).cloned().collect();
            let is_first = done.is_empty();
            done.clone_from(&seen);
            run(arguments, &balancers, &arm, if is_first { None } else { Some(&changed) })?;
        }
        before = seen;
        pause();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is the command's own time, and no trace sees it")]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[expect(clippy::disallowed_methods, reason = "this is the command's own time, and no trace sees it")]
fn now() -> Instant {
    Instant::now()
}

/// Returns the scripts and tables of a folder and of those below it, as they are now.
fn stamps(folder: &Path) -> Result<Stamps, Failure> {
    let mut stamps = Stamps::new();
    let mut folders = vec![if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }];
    while let Some(folder) = folders.pop() {
        // A folder may disappear while it is read.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && !hidden {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "star" || extension == "toml") {
                stamps.insert(path, (metadata.modified().ok(), metadata.len()));
            }
            if stamps.len() + folders.len() > MOST {
                return Err(Failure::Wrong(format!("{} has more than {MOST} files and folders", folder.display())));
            }
        }
    }
    Ok(stamps)
}

/// Runs the scenarios that have changed. All of them are run if another file has changed, or if `changed` is `None`.
fn run(
    arguments: &Watch,
    balancers: &[BalancerSpec],
    arm: &Arc<dyn Arm>,
    changed: Option<&[PathBuf]>,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let path = arguments.path.to_string_lossy().into_owned();
    let cases = match stickler_scenarios::select(&[path], &stickler_catalogue::names()) {
        Ok(cases) => cases,
        Err(error) => return Ok(writeln!(out, "{}", escape::lines(&error.to_string()))?),
    };
    let is_changed = |case: &&Case| changed.is_some_and(|changed| changed.iter().any(|path| is_of(case, path)));
    let some: Vec<&Case> = cases.iter().filter(is_changed).collect();
    let only_scenarios =
        changed.is_some_and(|changed| changed.iter().all(|path| cases.iter().any(|case| is_of(case, path))));
    let chosen = if only_scenarios { some } else { cases.iter().collect() };
    for case in chosen {
        for balancer in balancers {
            let began = now();
            let run = case.run(balancer, arguments.seed, arm);
            let took = began.elapsed().as_millis();
            write!(out, "{}", verdict(&run, took))?;
            if run.error().is_some() {
                // A mistake in the script is the same over each balancer.
                break;
            }
        }
    }
    Ok(out.flush()?)
}

/// Returns whether a scenario is the one of this file.
fn is_of(case: &Case, path: &Path) -> bool {
    let own = Path::new(case.scenario.path());
    own == path || Path::new(".").join(own) == path
}

/// Returns the verdict of a run and its details.
fn verdict(run: &Run, took: u128) -> String {
    let place = format!("{} over {}", run.source.path, run.balancer);
    let (what, details) = match run.ending() {
        Ending::AsExpected => ("as expected".to_owned(), Vec::new()),
        Ending::NotAsExpected(deviations) => {
            let failures = run.failures.iter().map(ToString::to_string);
            let deviations = deviations.iter().map(ToString::to_string);
            ("NOT AS EXPECTED".to_owned(), deviations.chain(failures).collect())
        }
        Ending::Skipped(why) => (format!("skipped: {why}"), Vec::new()),
        Ending::Failed(error) => {
            let failures = run.failures.iter().map(ToString::to_string);
            ("ERROR".to_owned(), failures.chain([error.to_string()]).collect())
        }
    };
    let mut text = format!("{}: {} ({took} ms)\n", escape::line(&place), escape::line(&what));
    for line in run.printed.iter().chain(&details).flat_map(|detail| detail.lines()) {
        text.push_str("    ");
        text.push_str(&escape::line(line));
        text.push('\n');
    }
    text
}
