//! The limits on the computation and memory of a script.
//!
//! Starlark checks its own heap limit between steps only, so a single `[0] * (1 << 28)` completes before the limit
//! takes effect. [`Metered`] counts at the only place that sees every byte: the global allocator. It does so if the
//! program installs it, as the command `stickler` does; a library must not choose the allocator of a program. Without
//! it, the size of a script's heap is checked between steps only.
//!
//! While a thread runs a script, its allocations count against a budget. An allocation that would exceed the budget
//! never happens: the thread reports it, and is then **parked for good**. Unwinding out of an allocator is undefined
//! behaviour, and aborting would end the whole process, including other runs. A parked thread costs at most its budget,
//! and the process that asked for the run continues, or exits with any code that it chooses.
//!
//! The memory that a world allocates while it performs an action does not count as the script's ([`unmetered`]).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, RefCell};

/// The maximum number of bytes that a script may hold at a time.
pub const MEMORY: usize = 64 << 20;

/// The maximum number of function calls and loop iterations of a script.
pub const TICKS: u64 = 500_000;

/// The maximum depth of nested function calls.
pub const CALL_DEPTH: usize = 200;

/// The maximum number of actions that a script may perform.
pub const ACTIONS: u32 = 100_000;

/// The maximum number of lines that a script may print.
pub const PRINTED: usize = 10_000;

/// The stack size of a script's thread, in bytes. The system provides it page by page. An unoptimised Starlark takes up
/// to 32 KiB for each level of syntax, and a statement has at most 4,000 levels.
pub const STACK: usize = 256 << 20;

/// An allocator with a meter for each thread. A program that plays scripts of other people installs it around an
/// allocator of its choice:
///
/// ```no_run,standalone_crate
/// use std::alloc::System;
///
/// use stickler_scenarios::limits::Metered;
///
/// #[global_allocator]
/// static ALLOCATOR: Metered<System> = Metered(System);
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Metered<A>(pub A);

thread_local! {
    /// The remaining budget of this thread; `None` while nothing is metered. It is const and has no destructor, so an
    /// allocator may use it at any time of a thread's life.
    static METER: Cell<Option<Meter>> = const { Cell::new(None) };

    /// The function to call when the budget is exceeded. It is accessed only while the meter is off.
    static ON_EXCEEDED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy)]
struct Meter {
    used: usize,
    limit: usize,
}

/// Runs `body` with at most `limit` bytes on this thread. An allocation that would exceed the limit calls
/// `on_exceeded`, unmetered, after which this thread never continues. Another thread therefore has to wait for the
/// message.
pub fn metered<T>(limit: usize, on_exceeded: impl FnOnce() + 'static, body: impl FnOnce() -> T) -> T {
    ON_EXCEEDED.with(|slot| *slot.borrow_mut() = Some(Box::new(on_exceeded)));
    let _forget = Forget;
    let _guard = Restore(METER.replace(Some(Meter { used: 0, limit })));
    body()
}

/// Drops the function in `ON_EXCEEDED` when metering ends, also if the body panics.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        drop(ON_EXCEEDED.take());
    }
}

/// Runs `body` without counting its allocations.
pub fn unmetered<T>(body: impl FnOnce() -> T) -> T {
    let _guard = Restore(METER.take());
    body()
}

/// Restores the meter, also if the body panics.
struct Restore(Option<Meter>);

impl Drop for Restore {
    fn drop(&mut self) {
        METER.set(self.0);
    }
}

/// Adds `bytes` to the count, or parks the thread.
#[inline]
fn charge(bytes: usize) {
    let exceeded = METER.try_with(|slot| {
        let Some(Meter { used, limit }) = slot.get() else { return false };
        let used = used.saturating_add(bytes);
        slot.set(Some(Meter { used, limit }));
        used > limit
    });
    // The thread-local is unavailable only while the thread ends, when it runs no script any more.
    if exceeded.unwrap_or(false) {
        park_for_good();
    }
}

/// Subtracts `bytes` from the count. Memory from before the meter started may be freed while it runs; hence
/// `saturating`.
#[inline]
fn refund(bytes: usize) {
    let _ = METER.try_with(|slot| {
        if let Some(Meter { used, limit }) = slot.get() {
            slot.set(Some(Meter { used: used.saturating_sub(bytes), limit }));
        }
    });
}

#[cold]
fn park_for_good() -> ! {
    METER.set(None);
    if let Some(tell) = ON_EXCEEDED.with(RefCell::take) {
        tell();
    }
    loop {
        std::thread::park();
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written without; every call is handed to the inner allocator as it came"
)]
/// SAFETY: each method passes its arguments unchanged to the inner allocator, which upholds the contract. Before that,
/// it only counts, without allocating, or does not return.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Metered<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: see above.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        refund(layout.size());
        // SAFETY: see above.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: see above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both blocks may exist at the same time while the content is moved.
        charge(new_size);
        refund(layout.size());
        // SAFETY: see above.
        unsafe { self.0.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: Metered<std::alloc::System> = Metered(std::alloc::System);

    /// Runs `body` with a budget of 1 MiB. Returns whether it completed.
    fn survives(body: fn()) -> bool {
        let (ended, outcome) = mpsc::channel();
        let parked = ended.clone();
        thread::spawn(move || {
            metered(1 << 20, move || parked.send(false).unwrap(), body);
            ended.send(true).unwrap();
        });
        outcome.recv().unwrap()
    }

    #[test]
    fn one_allocation_beyond_the_budget_parks_the_thread() {
        assert!(!survives(|| drop(Vec::<u8>::with_capacity(2 << 20))));
        assert!(!survives(|| drop(std::hint::black_box(vec![0_u8; 1 << 40]))));
    }

    #[test]
    fn many_small_ones_count_together_and_what_is_freed_does_not() {
        assert!(!survives(|| (0..2_000).for_each(|_| std::mem::forget(Box::new([0_u8; 1_024])))));
        assert!(survives(|| (0..20_000).for_each(|_| drop(std::hint::black_box(Box::new([0_u8; 1_024]))))));
    }

    #[test]
    fn a_growing_vector_is_counted() {
        assert!(!survives(|| {
            let mut bytes = Vec::new();
            (0..2 << 20).for_each(|_| bytes.push(0_u8));
            drop(bytes);
        }));
    }

    #[test]
    fn an_unmetered_part_does_not_count() {
        assert!(survives(|| unmetered(|| drop(Vec::<u8>::with_capacity(2 << 20)))));
    }
}
