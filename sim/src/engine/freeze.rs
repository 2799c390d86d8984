//! The freezing of a host, whose processes stop as under `SIGSTOP` while its kernel continues.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Whether the tasks of one life of a host may run, and which of them wait to run.
#[derive(Debug, Default)]
pub(super) struct Ice {
    frozen: AtomicBool,
    /// The number of times that the host was thawed.
    thaws: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Ice {
    /// Stops polling tasks of the host.
    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Lets the tasks continue. Tasks that were woken in the meantime run in the order in which they were woken, and
    /// timers that were due fire now.
    pub(super) fn thaw(&self) {
        self.frozen.store(false, Ordering::Relaxed);
        self.thaws.fetch_add(1, Ordering::Relaxed);
        let waiting = std::mem::take(&mut *self.lock());
        for task in waiting {
            task.wake();
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }

    /// Runs the future of a task, except while the host is frozen.
    pub(super) async fn around<T>(&self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        let mut waits_for = None;
        poll_fn(|cx| {
            if self.is_frozen() {
                // This runs once for each task and freeze, however often the task is woken. The host may be frozen again
                // before a task that was woken has run.
                let next = Some(self.thaws.load(Ordering::Relaxed));
                if std::mem::replace(&mut waits_for, next) != next {
                    self.lock().push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            task.as_mut().poll(cx)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
