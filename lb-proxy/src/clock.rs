//! The conversion between the world's time and tokio's timers.

use stickler_model::{Env, Time};
use tokio::time::Instant;

/// Returns a time of the world as an instant of tokio's timers.
pub(crate) fn instant(env: &Env, at: Time) -> Instant {
    Instant::now() + (at - env.clock.now())
}
