//! Detects when every task is idle, and lets time pass only then.
//!
//! tokio calls the park hook when no task can run. Normally the hook wakes the driver (the future inside `block_on`),
//! which therefore runs exactly when all tasks are idle. For a jump of whole milliseconds the driver asks the hook to
//! let the runtime park instead: a paused runtime moves its clock to the next timer, which code outside tokio has no
//! other way to find.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::clock::Clock;

/// The state that is shared with the runtime's hooks. The hooks must be `Sync`, although only one thread uses the
/// state.
#[derive(Debug, Default)]
pub(super) struct Park {
    clock: Clock,
    start: OnceLock<Instant>,
    driver: Mutex<Option<Waker>>,
    idle: AtomicBool,
    jump: AtomicBool,
    jumped: AtomicBool,
}

impl Park {
    /// Returns a paused current-thread runtime whose hooks report to the returned state.
    pub(super) fn runtime(clock: Clock) -> std::io::Result<(Runtime, Arc<Self>)> {
        let park = Arc::new(Self { clock, ..Self::default() });
        let (before, after) = (Arc::clone(&park), Arc::clone(&park));
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || before.about_to_park())
            .on_thread_unpark(move || after.unparked())
            .build()?;
        let guard = runtime.enter();
        park.start.get_or_init(Instant::now);
        drop(guard);
        Ok((runtime, park))
    }

    /// Returns the instant on tokio's clock at which the engine's time was zero.
    pub(super) fn start(&self) -> Instant {
        *self.start.get().expect("set by `runtime`, the only constructor")
    }

    /// Sets the waker of the task that runs when all other tasks are idle.
    pub(super) fn set_driver(&self, waker: Option<Waker>) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }

    /// Returns whether the driver runs because all tasks are idle, and resets this mark.
    pub(super) fn take_idle(&self) -> bool {
        self.idle.swap(false, Ordering::Relaxed)
    }

    /// Revokes [`allow_jump`](Self::allow_jump), because the driver runs again before all tasks were idle.
    pub(super) fn forbid_jump(&self) {
        self.jump.store(false, Ordering::Relaxed);
    }

    /// Lets the runtime's clock advance to the next timer at the next idle moment.
    pub(super) fn allow_jump(&self) {
        self.jump.store(true, Ordering::Relaxed);
    }

    fn about_to_park(&self) {
        if self.jump.swap(false, Ordering::Relaxed) {
            self.jumped.store(true, Ordering::Relaxed);
            return;
        }
        self.idle.store(true, Ordering::Relaxed);
        if let Some(driver) = &*self.driver.lock().unwrap_or_else(PoisonError::into_inner) {
            driver.wake_by_ref();
        }
    }

    /// Publishes the time after a jump, before any task that the jump woke can ask for it.
    fn unparked(&self) {
        if self.jumped.swap(false, Ordering::Relaxed) {
            let elapsed = Instant::now().duration_since(self.start());
            self.clock.set(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        }
    }
}
