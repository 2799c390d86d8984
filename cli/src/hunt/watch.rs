//! Shows the progress of a hunt, and keeps its findings.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use stickler_hunt::folder::{Folder, FolderError};
use stickler_hunt::search::{Found, Unit};
use stickler_hunt::{Finding, Watch};
use stickler_model::escape;

use super::now;
use crate::{Failure, terminal};

/// The interval at which completed units are written.
const SAVED: Duration = Duration::from_secs(5);

/// The interval between two lines about the progress, if there is no terminal for a bar.
const TOLD: Duration = Duration::from_secs(30);

/// The progress of a hunt.
pub(super) struct Progress {
    /// The number of runs that this process made.
    pub(super) runs: u64,
    /// The time that these runs took.
    pub(super) time: Duration,
    /// Whether runs are missing, because the hunt was ended or because shards are missing.
    pub(super) incomplete: bool,
}

/// Keeps the findings of a hunt as soon as they are found.
pub(super) struct Keeper {
    state: Mutex<State>,
    over: Arc<AtomicBool>,
    deadline: Option<Instant>,
    began: Instant,
    runs: AtomicU64,
    bar: ProgressBar,
    /// Whether units that may have been interrupted count as not done.
    whole_units: bool,
}

struct State {
    folder: Folder,
    found: Found,
    saved: Instant,
    told: Instant,
    error: Option<FolderError>,
}

impl Keeper {
    /// Returns a keeper for a hunt with `runs` runs; `None` if the number is not known.
    pub(super) fn new(
        folder: Folder,
        found: Found,
        over: Arc<AtomicBool>,
        deadline: Option<Instant>,
        runs: Option<u64>,
    ) -> Self {
        let began = now();
        let state = State { folder, found, saved: began, told: began, error: None };
        let bar = bar(runs);
        Self { state: Mutex::new(state), over, deadline, began, runs: AtomicU64::new(0), bar, whole_units: false }
    }

    /// Records a unit as done only if the hunt has not been ended: the length of such units is not known, so a part of
    /// one cannot be recognised.
    pub(super) fn of_whole_units(self) -> Self {
        Self { whole_units: true, ..self }
    }

    /// Writes everything that is not written yet, and returns the folder, the findings and the progress.
    pub(super) fn end(self) -> Result<(Folder, Found, Progress), Failure> {
        self.bar.finish_and_clear();
        let State { mut folder, found, error, .. } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let saved = folder.save(&found);
        if let Some(error) = error.or(saved.err()) {
            return Err(Failure::Wrong(format!("{error}; everything that was written before remains")));
        }
        let (runs, time) = (self.runs.into_inner(), self.began.elapsed());
        Ok((folder, found, Progress { runs, time, incomplete: self.over.load(Ordering::Relaxed) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that something cannot be written, and ends the hunt, whose further findings would be lost.
    fn check(&self, state: &mut State, written: Result<(), FolderError>) {
        if let Err(error) = written {
            state.error.get_or_insert(error);
            self.over.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the speed of the hunt and its results so far in a few words.
    fn tell(&self, found: &Found) -> String {
        let (findings, points) = (found.findings.len(), found.points());
        let a_second = self.runs.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        format!("{a_second:.0} runs a second, {points} points of coverage, {findings} findings")
    }
}

impl Watch for Keeper {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| now() >= deadline)
    }

    fn ran(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(1);
    }

    fn found(&self, finding: &Finding) {
        let mut state = self.state();
        let is_new = !state.found.findings.contains_key(&finding.key()) && state.folder.record(finding).is_none();
        let kept = state.folder.keep(finding);
        self.check(&mut state, kept);
        if is_new {
            let declared = if finding.declared { ", declared" } else { "" };
            let line = format!("{}: {}{declared}: {}", finding.plan.balancer, finding.kind, finding.summary);
            self.bar.suspend(|| drop(writeln!(io::stderr(), "{}", escape::line(&line))));
        }
    }

    fn done(&self, unit: &Unit) {
        let mut state = self.state();
        if self.whole_units && self.is_over() {
            return;
        }
        state.found.add(unit.clone());
        if state.saved.elapsed() >= SAVED {
            let State { folder, found, .. } = &mut *state;
            let saved = folder.save(found);
            self.check(&mut state, saved);
            state.saved = now();
        }
        let told = self.tell(&state.found);
        if self.bar.is_hidden() && terminal::tells() && state.told.elapsed() >= TOLD {
            state.told = now();
            drop(writeln!(io::stderr(), "{} runs: {told}", self.runs.load(Ordering::Relaxed)));
        }
        self.bar.set_message(told);
    }
}

/// Returns a bar on the error stream. It is hidden if that is not a terminal.
fn bar(runs: Option<u64>) -> ProgressBar {
    let template = match runs {
        Some(_) => "{bar:30} {pos}/{len} runs, {elapsed} elapsed, {eta} to go; {msg}",
        None => "{spinner} {pos} runs, {elapsed} elapsed; {msg}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(runs, terminal::target()).with_style(style)
}
