//! Health checks: who is alive, by asking and by watching.
//!
//! * [`rule`]: what is asked, how often, and which answers count.
//! * [`state`]: what the results of a backend's checks add up to; [`passive`]: what failures of live traffic do. Pure.
//! * [`prober`]: one check; [`run()`]: all of them, in time. `traffic` ties the data planes to [`passive`].
//!
//! What they find goes to a [`crate::Control`], and through it to the policy of whoever balances.

pub mod passive;
pub mod prober;
pub mod rule;
mod run;
pub mod state;
mod traffic;

pub use prober::{LogonAgent, LogonResult, Prober, probe};
pub use rule::{Blame, CheckError, CheckRule, Expect, PassiveRule, Probe};
pub use run::{run, run_with};
pub use state::Health;
pub(crate) use traffic::Traffic;
