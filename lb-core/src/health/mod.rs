//! Health checks: who is alive, by asking and by watching. The pure half; `stickler-lb-proxy` asks, and watches.
//!
//! * [`rule`]: what is asked, how often, and which answers count.
//! * [`state`]: what the results of a backend's checks add up to; [`passive`]: what failures of live traffic do.
//!
//! What is found goes to a [`crate::Control`], and through it to the policy of whoever balances.

pub mod passive;
pub mod rule;
pub mod state;

pub use rule::{CheckError, CheckRule, Expect, FailureTarget, PassiveRule, Probe, Statuses};
pub use state::Health;
