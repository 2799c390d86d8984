//! The rules of health checks, which determine from active checks and from live traffic which backends are alive. This
//! module is pure; `stickler-lb-proxy` sends the checks and watches the traffic.
//!
//! * [`rule`]: what a check asks, how often it asks, and which answers count as alive.
//! * [`state`]: the state of a backend that follows from the results of its checks. [`passive`]: the effect of failures
//!   on live traffic.
//!
//! The findings go to a [`crate::Control`], which passes them on to the balancer's policy.

pub mod passive;
pub mod rule;
pub mod state;

pub use rule::{CheckError, CheckRule, Expect, FailureTarget, PassiveRule, Probe, Statuses};
pub use state::Health;
