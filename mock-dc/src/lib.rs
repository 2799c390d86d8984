//! The mock domain controller: a directory, pass-through logon and a KDC over a network.
//!
//! ```text
//! IIS ═════ logon channel ══▶ server ──▶ directory ──▶ account
//!               another DC ◀══ forward     │              ▲
//!                               └──────────┴▶ What::Dc*   │
//! client ══ Kerberos ═══════▶ kdc ─────▶ tickets ─────────┘
//!                               └──▶ What::DcTicket
//! ```
//!
//! * [`directory`] (pure): decides NTLM logons. The time comes in as an argument.
//! * [`tickets`] (pure): decides requests for Kerberos tickets. Time and randomness come in as arguments.
//! * [`account`]: the state of one account, the logons that this state forbids, and the account's keys.
//! * `services`, [`spn`]: machines, services and their names, and key tables. `trust`: trusts with other domains.
//! * `names` (pure): comparison of names, and SIDs of domains.
//! * `controller`: one DC: its directory, the machines that may ask it, and the DCs that it asks.
//! * [`server`]: speaks the logon channel of `stickler_auth::logon` on a `Net`.
//! * `forward`: has a logon decided, here or by another DC (over `stickler_netlogon`).
//! * [`kdc`]: speaks Kerberos on a `Net`.
//!
//! Only the DC verifies responses. The logon channel returns a session key, never a hash, and never only a yes. Failed
//! logons are counted for each account, for NTLM and Kerberos together. If a balancer mixes two handshakes, this looks
//! like a wrong password here, and can lock an account out.

pub mod account;
mod controller;
pub mod directory;
mod forward;
pub mod kdc;
mod names;
pub mod server;
mod services;
pub mod spn;
pub mod tickets;
mod trust;

pub use account::{AccountState, LogonHours};
pub use controller::DomainController;
pub use directory::{Asker, Directory, Logon, LogonDecision};
pub use server::serve;
pub use spn::DuplicateSpn;
pub use tickets::Ticket;
