//! Many units at a time.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use stickler_runner::Arm;

use super::{Finding, Hunt, Unit};

/// Who watches a hunt. All threads call it.
pub trait Watch: Sync {
    /// Returns whether the hunt is to end: asked before each run.
    fn is_over(&self) -> bool {
        false
    }

    /// A run was made.
    fn ran(&self) {}

    /// A unit found something that it had not found before.
    fn found(&self, _finding: &Finding) {}

    /// A unit is over.
    fn done(&self, _unit: &Unit) {}
}

/// Makes the units of these numbers, each with at most so many runs, on `threads` threads, and hands each to [`Watch::done`].
/// Ends early where [`Watch::is_over`] says so: then the units under way are handed on as they are.
pub fn search(
    hunt: &Hunt<'_>,
    units: impl Iterator<Item = (u64, u64)> + Send,
    threads: NonZeroUsize,
    arm: &dyn Arm,
    watch: &dyn Watch,
) {
    distribute(units, threads, watch, |(number, runs)| Unit::run(hunt, number, runs, arm, watch));
}

/// Makes units on `threads` threads, and hands each to [`Watch::done`], until there are no more or [`Watch::is_over`].
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
