//! The state that sockets and tasks of all hosts share with the engine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use tokio::runtime::Handle;
use turmoil_net::EnterGuard;

use super::clock::Clock;
use super::hosts::Registry;
use super::settings::{EngineError, Settings, TaskPanic};

/// The maximum number of polls of tasks between two instants at which all of them are idle. 10,000 clients that begin
/// at one instant need several hundred thousand.
pub(super) const MOST_POLLS: u32 = 2_000_000;

/// The state that sockets and tasks share with the engine. A stream may outlive its engine, and may be dropped on
/// another thread, which has no kernel to close it in.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) runtime: Handle,
    pub(super) clock: Clock,
    /// Whether a kernel may have a packet to emit.
    dirty: AtomicBool,
    open: AtomicBool,
    /// Whether a router may have work to do that no packet asked for.
    kicked: AtomicBool,
    thread: ThreadId,
    panicked: AtomicBool,
    panics: Mutex<VecDeque<TaskPanic>>,
    /// The number of polls of tasks since all of them were idle.
    polls: AtomicU32,
    registry: Mutex<Registry>,
}

impl Shared {
    pub(super) fn new(
        settings: &Settings,
        clock: Clock,
        runtime: Handle,
    ) -> Result<(Arc<Self>, EnterGuard), EngineError> {
        let (registry, guard) = Registry::new(settings)?;
        let shared = Self {
            runtime,
            clock,
            dirty: AtomicBool::new(false),
            open: AtomicBool::new(true),
            kicked: AtomicBool::new(false),
            thread: std::thread::current().id(),
            panicked: AtomicBool::new(false),
            panics: Mutex::default(),
            polls: AtomicU32::new(0),
            registry: Mutex::new(registry),
        };
        Ok((Arc::new(shared), guard))
    }

    /// Locks the hosts and addresses. The lock is never held while a kernel, a task or a callback runs.
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a kernel may have a packet to emit.
    pub(super) fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }

    /// Returns whether a kernel may have a packet to emit, and resets this mark.
    pub(super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::Relaxed)
    }

    /// Records that a router may have work to do.
    pub(super) fn kick(&self) {
        self.kicked.store(true, Ordering::Relaxed);
    }

    /// Returns whether a router may have work to do, and resets this mark.
    pub(super) fn take_kick(&self) -> bool {
        self.kicked.swap(false, Ordering::Relaxed)
    }

    /// Records that the engine is being dropped: sockets must not use kernels any more.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    /// Returns whether the kernels exist, on this thread.
    pub(super) fn is_reachable(&self) -> bool {
        self.open.load(Ordering::Relaxed) && std::thread::current().id() == self.thread
    }

    pub(super) fn record_panic(&self, panic: TaskPanic) {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).push_back(panic);
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// Counts the poll of a task, and returns whether it may take place. Without this limit, a task that never waits
    /// would be polled for ever.
    pub(super) fn may_poll(&self) -> bool {
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls.saturating_add(1), Ordering::Relaxed);
        polls < MOST_POLLS
    }

    /// Records that all tasks are idle.
    pub(super) fn note_idle(&self) {
        self.polls.store(0, Ordering::Relaxed);
    }

    pub(super) fn take_panic(&self) -> Option<TaskPanic> {
        if !self.panicked.load(Ordering::Relaxed) {
            return None;
        }
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let panic = panics.pop_front();
        self.panicked.store(!panics.is_empty(), Ordering::Relaxed);
        panic
    }
}
