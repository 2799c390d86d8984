//! The end of the command on request: Ctrl-C, and the signal that service managers, schedulers and shells send.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::Failure;

/// Listens for both signals. The returned future completes when one of them arrives.
#[cfg(unix)]
pub(crate) fn asked_for() -> io::Result<impl Future<Output = io::Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// Listens for Ctrl-C. The returned future completes when it arrives.
#[cfg(not(unix))]
pub(crate) fn asked_for() -> io::Result<impl Future<Output = io::Result<()>>> {
    Ok(tokio::signal::ctrl_c())
}

/// Returns the same as [`flag`], with the command's own error.
pub(crate) fn listen() -> Result<Arc<AtomicBool>, Failure> {
    flag().map_err(|error| Failure::Wrong(format!("cannot listen for Ctrl-C: {error}")))
}

/// Returns a flag that is set when the end is requested. A second request ends the process at once.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = Arc::clone(&flag);
    thread::spawn(move || {
        runtime.block_on(async {
            for _ in 0..2 {
                let Ok(end) = asked_for() else { return };
                let _ = end.await;
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
                let _ = writeln!(
                    io::stderr(),
                    "stickler: ends after the work in progress; a second request ends it at once"
                );
            }
        });
    });
    Ok(flag)
}
