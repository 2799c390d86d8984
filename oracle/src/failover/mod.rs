//! FO-1 to FO-7: clients when backends fail, return or are drained.
//!
//! * `deaths`: FO-1 and FO-7, who is served when a backend dies, or when none is left.
//! * `returns`: FO-6, whether a backend that returns serves again.
//! * `replays`: FO-2 and FO-3, what a retry must not do.
//! * `pins`: FO-4 and FO-5, what becomes of a client's authenticated connection.

pub(crate) mod deaths;
pub(crate) mod pins;
pub(crate) mod replays;
pub(crate) mod returns;
