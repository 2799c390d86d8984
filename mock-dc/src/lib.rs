//! The mock domain controller: a directory, pass-through logon and a KDC over a network.
//!
//! ```text
//! IIS ═════ logon channel ══▶ server ──▶ directory ──▶ account
//!               another DC ◀══ passing     │              ▲
//!                               └──────────┴▶ What::Dc*   │
//! client ══ Kerberos ═══════▶ kdc ─────▶ tickets ─────────┘
//!                               └──▶ What::DcTicket
//! ```
//!
//! * [`directory`]: decides logons by NTLM. Pure: the time comes in as an argument.
//! * [`tickets`]: decides requests for Kerberos tickets. Pure: time and randomness come in as arguments.
//! * [`account`]: one account's state, and what it forbids; its keys.
//! * `services`, [`spn`], `trust`: machines, services and their names, key tables; trusts with other domains.
//! * `controller`: one DC: its directory, who may ask it, and whom it asks.
//! * [`server`]: speaks the logon channel of `stickler_auth::logon` on a `Net`.
//! * `passing`: carries a logon to its decision, here or at another DC (`stickler_netlogon`).
//! * [`kdc`]: speaks Kerberos on a `Net`.
//!
//! The logon channel alone verifies responses. It hands back a session key, never a hash and never a
//! bare yes. Failed logons are counted per account, by NTLM and by Kerberos alike: a balancer that
//! splices two handshakes looks like a wrong password here, and can lock an account out.

pub mod account;
mod controller;
pub mod directory;
pub mod kdc;
mod passing;
pub mod server;
mod services;
pub mod spn;
pub mod tickets;
mod trust;

pub use account::{AccountState, LogonHours};
pub use controller::DomainController;
pub use directory::{Asker, Course, Directory, Logon};
pub use server::serve;
pub use spn::DuplicateSpn;
pub use tickets::Ticket;
