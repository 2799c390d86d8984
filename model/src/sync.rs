//! [`Lock`]: a mutex that stays usable after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A [`Mutex`] whose [`lock`](Self::lock) ignores poisoning.
///
/// A standard mutex is poisoned when a thread panics while it holds the guard, because the value may be half
/// changed. Ignoring that is sound for the state of Stickler's shells:
///
/// * **A value that is half changed grants nothing.** Most changes under such a lock are a single step (an assignment,
///   an insertion, one number). In all other cases the value fails closed: an authentication state that was interrupted
///   belongs to nobody, and a connection that is missing from a list is not reused.
/// * **The first panic is the one that matters.** The world reports the panic of a task as the failure of its run. A
///   second panic, in an unrelated task or in a `drop`, would replace that message by `PoisonError`, and a panic in a
///   `drop` during unwinding aborts the process.
///
/// Do not use this type for a value whose changes take several steps and whose invariant a later reader relies on for
/// safety. As with any lock here, do not hold the guard while the task waits.
#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// Creates an unlocked lock that owns `value`.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock and takes it, whether or not another holder has panicked.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_lock_is_usable_after_a_panic_under_it_and_keeps_what_was_written() {
        let lock = Lock::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = lock.lock();
            *guard = 2;
            panic!("while the lock is held");
        }));
        assert!(panicked.is_err() && lock.0.is_poisoned());
        assert_eq!(*lock.lock(), 2);
    }
}
