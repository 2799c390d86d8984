//! How much a script may compute and allocate.
//!
//! Starlark's own heap limit is looked at between steps, so a single `[0] * (1 << 28)` is through
//! before it bites. [`Metered`] counts at the only place that sees every byte: the global
//! allocator. It does so where the program installs it, as the command `stickler` does; a library must not choose a
//! program's allocator. Without it, Starlark checks the size of a script's heap between steps only.
//!
//! While a thread runs a script, what it allocates counts against a budget. The
//! allocation that would exceed the budget never happens: the thread says so and is **parked for
//! good**. Unwinding out of an allocator is undefined behaviour and aborting would take the whole
//! process along, other runs included; a parked thread costs its budget at most, and the process
//! that asked for the run goes on, or ends with whatever exit code it likes.
//!
//! What a world allocates while it performs an action is not the script's ([`unmetered`]).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, RefCell};

/// Bytes that a script may hold at a time.
pub const MEMORY: usize = 64 << 20;

/// Function calls and turns of loops that a script may make.
pub const TICKS: u64 = 500_000;

/// Depth of function calls.
pub const CALL_DEPTH: usize = 200;

/// Actions that a script may perform.
pub const ACTIONS: u32 = 100_000;

/// Lines that a script may print.
pub const PRINTED: usize = 10_000;

/// Stack of a script's thread in bytes; the system lends it page by page. An unoptimised Starlark
/// takes up to 32 KiB for each level of syntax, and a statement has at most 4,000 levels.
pub const STACK: usize = 256 << 20;

/// An allocator with a meter for each thread. A program that plays scripts of others installs it, around the allocator of
/// its choice:
///
/// ```ignore
/// #[global_allocator]
/// static ALLOCATOR: stickler_scenarios::limits::Metered<std::alloc::System> =
///     stickler_scenarios::limits::Metered(std::alloc::System);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Metered<A>(pub A);

thread_local! {
    /// What this thread has left; `None` where nothing is metered. Const and without a destructor,
    /// so that an allocator may use it at any time of a thread's life.
    static METER: Cell<Option<Meter>> = const { Cell::new(None) };

    /// Whom to tell. Only touched while the meter is off.
    static ON_EXCEEDED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy)]
struct Meter {
    used: usize,
    limit: usize,
}

/// Runs `body` with at most `limit` bytes on this thread. The allocation that would exceed it calls
/// `on_exceeded`, unmetered, and then this thread never goes on: have something else wait for the message.
pub fn metered<T>(limit: usize, on_exceeded: impl FnOnce() + 'static, body: impl FnOnce() -> T) -> T {
    ON_EXCEEDED.with(|slot| *slot.borrow_mut() = Some(Box::new(on_exceeded)));
    let _forget = Forget;
    let _guard = Restore(METER.replace(Some(Meter { used: 0, limit })));
    body()
}

/// Drops whom to tell, once nothing is metered any more, also when the body panics.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        drop(ON_EXCEEDED.take());
    }
}

/// Runs `body` without counting.
pub fn unmetered<T>(body: impl FnOnce() -> T) -> T {
    let _guard = Restore(METER.take());
    body()
}

/// Puts the meter back, also when the body panics.
struct Restore(Option<Meter>);

impl Drop for Restore {
    fn drop(&mut self) {
        METER.set(self.0);
    }
}

/// Counts `bytes` more, or parks the thread.
fn charge(bytes: usize) {
    // The thread-local is gone only while the thread ends, when no script runs any more.
    let Ok(Some(mut meter)) = METER.try_with(Cell::get) else { return };
    meter.used = meter.used.saturating_add(bytes);
    if meter.used > meter.limit {
        park_for_good();
    }
    METER.set(Some(meter));
}

/// Counts `bytes` less. Memory from before the meter ran may be freed while it does, hence `saturating`.
fn refund(bytes: usize) {
    if let Ok(Some(mut meter)) = METER.try_with(Cell::get) {
        meter.used = meter.used.saturating_sub(bytes);
        METER.set(Some(meter));
    }
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
/// SAFETY: each method passes its arguments unchanged to the inner allocator, which upholds the contract.
/// Before that it only counts, without allocating, or never returns.
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
        // Both may exist at once while the content moves.
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

    /// Runs `body` with a budget of 1 MiB; whether it came to its end.
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
