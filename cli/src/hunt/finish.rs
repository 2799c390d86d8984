//! Shrinks findings, and writes their scripts.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use stickler_hunt::Finding;
use stickler_hunt::folder::{Folder, FolderError};
use stickler_hunt::search::Found;
use stickler_runner::Arm;
use stickler_scenarios::Shortened;

use super::wrong;
use crate::{Failure, terminal};

/// Shrinks every finding that is not shrunk yet, on several threads, and writes each shrunk plan with its script. When
/// `over` is set, it returns after the findings under way.
pub(super) fn shrink_all(
    folder: &mut Folder,
    found: &Found,
    arm: &dyn Arm,
    threads: NonZeroUsize,
    over: &AtomicBool,
) -> Result<(), Failure> {
    let is_open = |finding: &&Finding| folder.record(finding).is_some_and(|record| record.short.is_none());
    let open: Vec<&Finding> = found.findings.values().filter(is_open).collect();
    let progress = terminal::bar(open.len(), "findings shrunk");
    let next = AtomicUsize::new(0);
    let kept: Mutex<(&mut Folder, Result<(), FolderError>)> = Mutex::new((folder, Ok(())));
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let Some(finding) = open.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Some(short) = Shortened::of(finding, arm) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let Shortened { short, run, script } = short;
                if let Err(error) = kept.0.keep_short(finding, short, &run, script.ok().as_deref()) {
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
        let _ =
            writeln!(io::stderr(), "stickler: {left} findings are not shrunk; the same command continues with them");
    }
    Ok(())
}
