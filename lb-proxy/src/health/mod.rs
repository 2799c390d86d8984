//! Performs health checks, active and passive. The rules, and the evaluation of results, are in
//! [`stickler_lb_core::health`].
//!
//! * [`prober`]: one check; [`run()`]: all checks. `traffic` connects the data planes to passive checks.
//!
//! The findings go to a [`stickler_lb_core::Control`], which passes them on to the balancer's policy.

pub mod prober;
mod run;
mod traffic;

pub use prober::{LogonAgent, LogonResult, Prober, probe};
pub use run::{run, run_with};
pub(crate) use traffic::{Traffic, watch};
