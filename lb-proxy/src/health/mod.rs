//! Health checks in time: who is alive, by asking and by watching. The rules, and what results add up to, are
//! [`stickler_lb_core::health`].
//!
//! * [`prober`]: one check; [`run()`]: all of them. `traffic` ties the data planes to passive checks.
//!
//! What they find goes to a [`stickler_lb_core::Control`], and through it to the policy of whoever balances.

pub mod prober;
mod run;
mod traffic;

pub use prober::{LogonAgent, LogonResult, Prober, probe};
pub use run::{run, run_with};
pub(crate) use traffic::{Traffic, watch};
