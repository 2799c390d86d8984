//! FO-1 to FO-7: what becomes of clients when backends go, come back, or are drained.
//!
//! * `deaths`: FO-1 and FO-7, who is served when a backend dies, or none is left.
//! * `returns`: FO-6, whether a backend that comes back serves again.
//! * `replays`: FO-2 and FO-3, what a retry must not do.
//! * `pins`: FO-4 and FO-5, what becomes of a client's authenticated connection.

mod deaths;
mod pins;
mod replays;
mod returns;

pub(crate) use deaths::{no_backend_is_told, the_orphaned_are_served};
pub(crate) use pins::{draining_keeps_and_takes_nothing, losses_are_told};
pub(crate) use replays::{is_idempotent, nothing_is_replayed, processed_at_most_once};
pub(crate) use returns::the_returned_serve;
