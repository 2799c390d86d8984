//! The activity of a downstream connection: whether it is idle, is in the middle of a head, or has exchanges under way,
//! and which places its HTTP/2 streams occupy.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::config::Limits;

/// The activity of a downstream connection, and the number of requests that it has brought.
///
/// If a request was answered before its end, the rest of that request may take any time, as long as it makes progress.
#[derive(Debug, Default)]
pub(super) struct HeadWatch {
    moment: AtomicU32,
    /// The number of exchanges under way.
    open: AtomicU32,
    /// The number of bodies of requests that have not ended, and that code still reads.
    uploads: AtomicU32,
    /// Whether a request was given up before its end, in which case the rest of it is still to come.
    owing: AtomicBool,
}

/// The state of a [`HeadWatch`] at one moment. Two bits say what the connection is doing. The others count changes, so
/// two idle times differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl HeadWatch {
    const IDLE: u32 = 0;
    /// The bit that says that a head has begun to arrive and has not ended.
    const PARTIAL: u32 = 1;
    const BUSY: u32 = 2;
    /// The bits that say that a request has been answered, and that the rest of it is arriving.
    const REST: u32 = 3;
    const MASK: u32 = 3;

    /// Records that a head is complete. Its exchange is under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.change(Self::BUSY);
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy { watch: Arc::clone(self), stream: None }
    }

    pub(super) fn bytes(&self) {
        let now = self.moment.load(Ordering::Relaxed);
        match now & Self::MASK {
            Self::IDLE => self.moment.store(now | Self::PARTIAL, Ordering::Relaxed),
            Self::REST => self.change(Self::REST),
            _ => {}
        }
    }

    /// Enters a state anew, so that its time limit starts again.
    fn change(&self, state: u32) {
        let count = (self.moment.load(Ordering::Relaxed) & !Self::MASK).wrapping_add(Self::MASK + 1);
        self.moment.store(count | state, Ordering::Relaxed);
    }

    /// Records that the body of a request begins, and that code reads it.
    pub(super) fn upload_begins(&self) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the body of a request has ended, or that no code reads it any more.
    pub(super) fn upload_ends(&self) {
        let last = self.uploads.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && self.moment.load(Ordering::Relaxed) & Self::MASK == Self::REST {
            self.change(Self::IDLE);
        }
    }

    pub(super) fn get(&self) -> Moment {
        Moment(self.moment.load(Ordering::Relaxed))
    }

    /// Records that the rest of a request is still to come, and that no code will read it.
    pub(super) fn owes(&self) {
        self.owing.store(true, Ordering::Relaxed);
    }

    /// Returns whether the client may still be sending the rest of a request that no code reads.
    pub(super) fn is_owing(&self) -> bool {
        self.owing.load(Ordering::Relaxed)
    }
}

impl Moment {
    /// Returns the time for which the state may last.
    pub(super) fn limit(self, limits: &Limits) -> Option<Duration> {
        match self.0 & HeadWatch::MASK {
            HeadWatch::IDLE => limits.idle,
            HeadWatch::PARTIAL => Some(limits.request_head),
            HeadWatch::REST => Some(limits.body),
            _ => None,
        }
    }

    pub(super) const fn is_busy(self) -> bool {
        self.0 & HeadWatch::MASK == HeadWatch::BUSY
    }

    /// Returns whether there has been a request.
    pub(super) const fn has_begun(self) -> bool {
        self.0 > HeadWatch::MASK
    }
}

/// The guard of an exchange under way, which lives as long as the answer's body. The connection, the exchange and the
/// body are in the same task, so loads and stores need no ordering.
pub(super) struct Busy {
    watch: Arc<HeadWatch>,
    stream: Option<Open>,
}

impl Busy {
    /// Returns the guard for an exchange by this HTTP/2 stream.
    pub(super) fn by(mut self, stream: Open) -> Self {
        self.stream = Some(stream);
        self
    }

    pub(super) const fn is_stream(&self) -> bool {
        self.stream.is_some()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.watch.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            if self.watch.uploads.load(Ordering::Relaxed) > 0 {
                self.watch.change(HeadWatch::REST);
                return;
            }
            self.watch.moment.fetch_and(!HeadWatch::MASK, Ordering::Relaxed);
        }
    }
}

/// The places that open streams occupy.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<Vec<bool>>);

/// An open stream. When it is dropped, its place is free again, and the next stream has its turn.
#[derive(Debug)]
pub(super) struct Open {
    table: Arc<Table>,
    pub(super) place: u32,
    pub(super) turn: Option<OwnedSemaphorePermit>,
}

impl Table {
    /// Occupies the first free place.
    pub(super) fn open(this: &Arc<Self>) -> Open {
        let mut places = this.lock();
        let place = places.iter().position(|taken| !taken).unwrap_or_else(|| {
            places.push(false);
            places.len() - 1
        });
        places[place] = true;
        Open { table: Arc::clone(this), place: u32::try_from(place).unwrap_or(u32::MAX), turn: None }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(taken) = self.table.lock().get_mut(self.place as usize) {
            *taken = false;
        }
    }
}
