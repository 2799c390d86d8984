//! The distribution of units over threads.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use stickler_runner::Arm;

use super::{Finding, Hunt, Unit};

/// The observer of a hunt. All threads call its methods.
pub trait Watch: Sync {
    /// Returns whether the hunt is to end. The threads ask before each run.
    fn is_over(&self) -> bool {
        false
    }

    /// Reports that a run was made.
    fn ran(&self) {}

    /// Reports that a unit found something that it had not found before.
    fn found(&self, _finding: &Finding) {}

    /// Reports that a unit is complete.
    fn done(&self, _unit: &Unit) {}
}

/// Plays the units with these numbers, each with at most the given number of runs, on `threads` threads, and passes
/// each to [`Watch::done`]. Ends early if [`Watch::is_over`] returns `true`; then the units under way are passed on
/// unfinished.
pub fn search(
    hunt: &Hunt<'_>,
    units: impl Iterator<Item = (u64, u64)> + Send,
    threads: NonZeroUsize,
    arm: &dyn Arm,
    watch: &dyn Watch,
) {
    distribute(units, threads, watch, |(number, runs)| Unit::run(hunt, number, runs, arm, watch));
}

/// Plays units on `threads` threads, and passes each to [`Watch::done`], until there are no more or [`Watch::is_over`]
/// returns `true`.
pub(crate) fn distribute<T>(
    units: impl Iterator<Item = T> + Send,
    threads: NonZeroUsize,
    watch: &dyn Watch,
    make: impl Fn(T) -> Unit + Sync,
) {
    let units = Mutex::new(units);
    let next = || units.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let work = || {
        while !watch.is_over() {
            let Some(unit) = next() else { break };
            watch.done(&make(unit));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(work);
        }
    });
}
