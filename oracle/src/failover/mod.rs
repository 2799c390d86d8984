//! FO-1 to FO-8: what happens to clients when backends fail, return or are drained.
//!
//! * `deaths`: FO-1 and FO-7, who is served when a backend dies, or when none is left.
//! * `returns`: FO-6, whether a backend that returns serves again.
//! * `replays`: FO-2, FO-3 and FO-8, what a retry must not do, and when a retry is required.
//! * `pins`: FO-4 and FO-5, what happens to the authenticated connection of a client.

pub(crate) mod deaths;
pub(crate) mod pins;
pub(crate) mod replays;
pub(crate) mod returns;
