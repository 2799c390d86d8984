//! Exhaustive hunts, which play every plan of a few steps.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use stickler_hunt::Hunt;
use stickler_hunt::exhaustive::{Scope, World, exhaust, worlds};
use stickler_hunt::folder::Folder;
use stickler_hunt::search::Found;
use stickler_runner::Arm;

use super::watch::Keeper;
use crate::Failure;
use crate::args::Shard;

/// Plays every plan of at most `steps` steps over the balancers of a hunt, and shows the alphabet first.
pub(super) fn play(
    hunt: &Hunt<'_>,
    steps: u8,
    (folder, found, over): (Folder, Found, &Arc<AtomicBool>),
    (shard, threads): (Shard, NonZeroUsize),
    arm: &dyn Arm,
) -> Result<Keeper, Failure> {
    let worlds = worlds();
    show(&worlds)?;
    let scope = Scope::new(steps.into(), worlds, hunt.balancers.clone(), hunt.declared, hunt.undeclared_only);
    let plans = scope.plans();
    let s = if hunt.balancers.len() == 1 { "" } else { "s" };
    writeln!(io::stderr(), "{plans} plans of at most {steps} steps, over {} balancer{s}", hunt.balancers.len())?;
    let done: Vec<u64> = found.units.keys().copied().collect();
    let mine = |unit: &u64| unit % shard.count == shard.index && done.binary_search(unit).is_err();
    let units: Vec<u64> = (0..scope.units()).filter(mine).collect();
    // The number of runs in a unit is only known afterwards, so the total is estimated from the average.
    let runs = units.len() as u64 * plans * hunt.balancers.len() as u64 / scope.units().max(1);
    let keeper = Keeper::new(folder, found, Arc::clone(over), None, Some(runs)).of_whole_units();
    exhaust(&scope, units.into_iter(), threads, arm, &keeper);
    Ok(keeper)
}

/// Returns the statement that a hunt without findings allows.
pub(super) fn clean(steps: u8, shard: Shard) -> String {
    match shard {
        Shard { count: 1, .. } => format!("no violation in any plan of {steps} steps over this alphabet, seed 0"),
        Shard { index, count } => {
            format!(
                "no violation in part {} of {count} of the plans of {steps} steps over this alphabet, seed 0",
                index + 1
            )
        }
    }
}

/// Shows the worlds in which plans are played, and the letters of which plans consist.
fn show(worlds: &[World]) -> io::Result<()> {
    let mut out = io::stderr().lock();
    writeln!(out, "The worlds:")?;
    for world in worlds {
        writeln!(out, "  {:<12} {}; {} letters", world.name, world.summary, world.letters.len())?;
    }
    writeln!(out, "The alphabet:")?;
    let letters: BTreeMap<_, String> = worlds
        .iter()
        .flat_map(|world| world.letters.iter().copied())
        .map(|letter| (letter, letter.meaning()))
        .collect();
    for (letter, meaning) in letters {
        writeln!(out, "  {:<22} {meaning}", letter.to_string())?;
    }
    Ok(())
}
