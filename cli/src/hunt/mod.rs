//! Hunts: play plans that nobody has scripted, record the failures, and look for the shortest plans that show the same.
//!
//! * `exhaustive.rs`: plays every plan of a few steps, in place of random ones.
//! * `watch.rs`: shows the progress of a hunt, and keeps its findings.
//! * `finish.rs`: shrinks findings, and writes their scripts.
//! * `show.rs`: shows the findings. `page.rs`: the same as a page.
//! * `merge.rs`: merges the shards of a hunt. `shrink_files.rs`: shrinks the plans of run files.

mod exhaustive;
mod finish;
mod merge;
mod page;
mod show;
mod shrink_files;
mod watch;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use stickler_hunt::folder::{self, Description, FORMAT, Folder, FolderError, GENERATOR};
use stickler_hunt::search::Found;
use stickler_hunt::{Hunt, Limits, search};
use stickler_model::Plan;
use stickler_oracle::Requirement;
use stickler_runner::Arm;
use stickler_scenarios::declared::Declared;

use crate::args::{self, Format, Shard};
use crate::output::Reports;
use crate::{Failure, balancers, interrupt, jobs};

pub(crate) use merge::merge;
pub(crate) use show::Hunted;
use show::Shown;
pub(crate) use shrink_files::shrink_files;
use watch::Keeper;

/// The number of runs of a simulated hunt without a limit.
const RUNS: u64 = 20_000;

/// The number of runs of a hunt on real sockets without a limit.
const WIRE_RUNS: u64 = 200;

pub(crate) fn hunt(arguments: &args::Hunt) -> Result<(), Failure> {
    with_reports("hunt", &arguments.findings, |reports| make(arguments, reports))
}

/// Opens the reports of a command, and has `make` write them. If `make` fails before that, the reports contain the
/// failure.
fn with_reports(
    command: &str,
    findings: &args::Findings,
    make: impl FnOnce(&mut Option<Reports>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let opened = Reports::open(command, &findings.report, findings.format == Format::Json)?;
    let mut reports = Some(opened);
    let ended = make(&mut reports);
    if let (Some(mut reports), Err(failure)) = (reports, &ended) {
        reports.add_failure(failure);
        reports.finish(Some("the hunt was not completed"), &Hunted::default())?;
    }
    ended
}

/// Hunts, and takes the reports when there are results to write.
fn make(arguments: &args::Hunt, reports: &mut Option<Reports>) -> Result<(), Failure> {
    let balancers =
        balancers::find(&arguments.balancers.balancer, &balancers::own_profiles(&arguments.balancers.profile)?)?;
    #[cfg(unix)]
    if arguments.arm == args::Arm::Wire {
        crate::namespace::enter_for(&balancers);
    }
    let (arm, simulation) = (jobs::build(arguments.arm)?, jobs::build(args::Arm::Sim)?);
    // Reading the tables takes a second, which a hunt without findings does not need to spend.
    let tables = OnceLock::new();
    let declared = |plan: &Plan| -> BTreeSet<Requirement> {
        let read =
            || Declared::read(&simulation).unwrap_or_else(|error| panic!("the shipped tables are wrong: {error}"));
        tables.get_or_init(read).of(&plan.balancer, &plan.topology)
    };
    let (corpus, digest) = match &arguments.corpus {
        Some(path) => folder::corpus(path).map(|(plans, digest)| (plans, Some(digest))).map_err(wrong)?,
        None => (Vec::new(), None),
    };
    let runs = runs(arguments);
    let limits = if arguments.arm == args::Arm::Wire { Limits::of_real_time() } else { Limits::default() };
    let hunt = Hunt {
        seed: arguments.seed,
        limits: limits.without(&arguments.without).map_err(Failure::Wrong)?,
        guidance: !arguments.no_guidance,
        unit: Hunt::unit_for(runs.unwrap_or(u64::MAX), balancers.len()),
        balancers,
        corpus,
        declared: &declared,
        undeclared_only: arguments.undeclared,
        simulation: (arguments.arm == args::Arm::Wire).then_some(&*simulation),
    };
    let description = description(&hunt, &*arm, runs, digest, arguments.steps);
    let over = interrupt::listen()?;
    let (folder, found) = Folder::open(&arguments.out, &description).map_err(wrong)?;
    let threads = jobs::threads(arguments.findings.jobs, &*arm);
    let keeper = if let Some(steps) = arguments.steps {
        exhaustive::play(&hunt, steps, (folder, found, &over), (arguments.shard, threads), &*arm)?
    } else {
        let units = units(&found, hunt.unit, runs, arguments.shard);
        if let Some(runs) = runs.filter(|runs| runs.div_ceil(hunt.unit) < arguments.shard.count) {
            let (units, unit, shards) = (runs.div_ceil(hunt.unit), hunt.unit, arguments.shard.count);
            let _ = writeln!(io::stderr(), "stickler: {units} units of {unit} runs cannot keep {shards} shards busy");
        }
        let deadline = arguments.time.and_then(|time| now().checked_add(time));
        let keeper = Keeper::new(folder, found, Arc::clone(&over), deadline, units_left(&units));
        search(&hunt, units.into_iter(), threads, &*arm, &keeper);
        keeper
    };
    let (mut folder, found, progress) = keeper.end()?;
    if !arguments.findings.no_shrink {
        finish::shrink_all(&mut folder, &found, &*arm, threads, &over)?;
    }
    let clean = arguments.steps.map(|steps| exhaustive::clean(steps, arguments.shard));
    let (out, balancers, clean) = (&*arguments.out, &*hunt.balancers, clean.as_deref());
    let shown = Shown { out, folder: &folder, found: &found, progress: &progress, balancers, clean };
    reports.take().map_or(Ok(()), |reports| shown.show(reports))
}

/// Returns the current moment of real time, in which a user waits for a hunt.
#[expect(
    clippy::disallowed_methods,
    reason = "a hunt may take so much time of its user's, and shows it; no plan sees it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Converts an error of a folder into a failure.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn wrong(error: FolderError) -> Failure {
    Failure::Wrong(error.to_string())
}

/// Returns the number of runs of the hunt, in all shards together; `None` if only its time is limited.
fn runs(arguments: &args::Hunt) -> Option<u64> {
    let usual = if arguments.arm == args::Arm::Wire { WIRE_RUNS } else { RUNS };
    match (arguments.time, arguments.runs) {
        (Some(_), _) => None,
        (None, runs) => Some(runs.map_or(usual, NonZeroU64::get)),
    }
}

fn description(
    hunt: &Hunt<'_>,
    arm: &dyn Arm,
    runs: Option<u64>,
    corpus: Option<String>,
    exhaustive: Option<u8>,
) -> Description {
    Description {
        format: FORMAT,
        generator: GENERATOR,
        stickler: env!("CARGO_PKG_VERSION").to_owned(),
        seed: hunt.seed,
        arm: arm.name().to_owned(),
        balancers: hunt.balancers.clone(),
        without: hunt.limits.left_out().map(str::to_owned).collect(),
        guidance: hunt.guidance,
        unit: if exhaustive.is_some() { 0 } else { hunt.unit },
        exhaustive,
        runs: runs.filter(|_| exhaustive.is_none()),
        undeclared_only: hunt.undeclared_only,
        corpus,
    }
}

/// The units of a shard that are not done yet, with the number of runs of each.
enum Units {
    /// The units of a hunt with a limited number of runs: the number of each unit, and its number of runs.
    Some(Vec<(u64, u64)>),
    /// The units of a hunt whose number of runs is not limited: the first unit, the number of shards, the number of
    /// runs of each unit, and the units that are done.
    Endless { next: u64, step: u64, runs: u64, done: BTreeSet<u64> },
}

/// Returns the open units of a shard. With a limited number of runs, a shard has consecutive units; otherwise, it has
/// every n-th unit, where n is the number of shards.
fn units(found: &Found, unit: u64, runs: Option<u64>, shard: Shard) -> Units {
    let Some(runs) = runs else {
        let done = found.units.iter().filter(|(_, runs)| **runs >= unit).map(|(number, _)| *number).collect();
        return Units::Endless { next: shard.index, step: shard.count, runs: unit, done };
    };
    let count = runs.div_ceil(unit);
    let bound =
        |index: u64| u64::try_from(u128::from(count) * u128::from(index) / u128::from(shard.count)).unwrap_or(count);
    let of_unit = |number: u64| (number, unit.min(runs - number * unit));
    let is_open = |&(number, runs): &(u64, u64)| found.units.get(&number).is_none_or(|done| *done < runs);
    Units::Some((bound(shard.index)..bound(shard.index + 1)).map(of_unit).filter(is_open).collect())
}

/// Returns the number of runs that are left; `None` if it is not limited.
fn units_left(units: &Units) -> Option<u64> {
    match units {
        Units::Some(units) => Some(units.iter().map(|(_, runs)| runs).sum()),
        Units::Endless { .. } => None,
    }
}

impl IntoIterator for Units {
    type Item = (u64, u64);
    type IntoIter = Box<dyn Iterator<Item = (u64, u64)> + Send>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Some(units) => Box::new(units.into_iter()),
            Self::Endless { next, step, runs, done } => {
                let all = std::iter::successors(Some(next), move |number| number.checked_add(step));
                Box::new(all.filter(move |number| !done.contains(number)).map(move |number| (number, runs)))
            }
        }
    }
}
