//! The mock domain controller: a directory, and pass-through logon over a network.
//!
//! ```text
//! IIS ══ logon channel ══▶ server ──▶ directory ──▶ account
//!                            └──▶ What::DcLogon
//! ```
//!
//! * [`directory`]: decides logons. Pure: the time comes in as an argument.
//! * [`account`]: one account's state, and what it forbids.
//! * [`server`]: speaks the logon channel of `stickler_auth::logon` on a `Net`.
//!
//! It alone verifies responses. It hands back a session key, never a hash and never a bare yes, and
//! counts failed logons per account: a balancer that splices two handshakes looks like a wrong
//! password here, and can lock an account out.

pub mod account;
pub mod directory;
pub mod server;

pub use account::{AccountState, LogonHours};
pub use directory::{Directory, Logon};
pub use server::{DomainController, serve};
