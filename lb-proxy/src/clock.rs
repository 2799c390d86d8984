//! The world's time on tokio's timers.

use stickler_model::{Env, Time};
use tokio::time::Instant;

/// A time of the world as tokio's timers count it.
pub(crate) fn instant(env: &Env, at: Time) -> Instant {
    Instant::now() + (at - env.clock.now())
}
