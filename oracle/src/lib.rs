//! Requirements and verdicts, judged from traces alone.
//!
//! * [`requirement`]: the numbered requirements, each with its text, severity and source.
//! * [`verdict`]: a grade, with the evidence for it.
//! * [`effort`]: what the work cost in requests, tickets and logons.
//! * [`judge`]: all verdicts on a trace. Inside: `index` ties a trace's events together, `logons`
//!   the DC's decisions to their causes, `secured` says which connections have TLS, `site` what servers and clients can
//!   do; then there is a module for each family of requirements, which states its rules and why they are so:
//!   `handshake` (HS), `identity` (ID-1 to ID-3) and `trust` (ID-4, ID-5), `stability` (ST-2),
//!   `persistence` (ST-1, ST-3) and `spread` (ST-4), `failover` (FO), `health` (HC), `tls` (TL). Those that ask
//!   what became of a backend ask `farm`.
//!
//! The oracle sees what clients, servers and the DC saw. It never looks inside a balancer, so it
//! judges any: ours, or a stranger's. A violation is something that the trace *proves*; what could
//! also have another cause is not counted.

pub mod effort;
mod failover;
mod farm;
mod handshake;
mod health;
mod identity;
mod index;
mod judge;
mod logons;
mod persistence;
pub mod requirement;
mod secured;
mod site;
mod spread;
mod stability;
mod tls;
mod trust;
pub mod verdict;

pub use effort::{Cost, Effort};
pub use judge::judge;
pub use requirement::{Requirement, Severity};
pub use verdict::{Evidence, Grade, Verdict};
