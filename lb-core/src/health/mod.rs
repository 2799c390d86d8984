//! The rules of health checks: which backends are alive, according to active checks and to live traffic. This is the
//! pure half; `stickler-lb-proxy` sends the checks and watches the traffic.
//!
//! * [`rule`]: what a check asks, how often it asks, and which answers count as alive.
//! * [`state`]: the state that the results of a backend's checks add up to. [`passive`]: the effect of failures on live
//!   traffic.
//!
//! The findings go to a [`crate::Control`], which passes them on to the balancer's policy.

pub mod passive;
pub mod rule;
pub mod state;

pub use rule::{CheckError, CheckRule, Expect, FailureTarget, PassiveRule, Probe, Statuses};
pub use state::Health;
