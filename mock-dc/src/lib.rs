//! The mock domain controller: a directory, pass-through logon and a KDC over a network.
//!
//! The directory decides the logons about which servers ask, and locks an account after too many wrong passwords:
//!
//! ```
//! use stickler_auth::FileTime;
//! use stickler_auth::logon::LogonRequest;
//! use stickler_auth::status::NtStatus;
//! use stickler_mock_dc::Directory;
//! use stickler_model::{standard, topology::DomainSpec};
//!
//! let mut directory = Directory::new(&DomainSpec { lockout_threshold: Some(2), ..standard::domain() });
//! let now = FileTime::from_unix_nanos(1_700_000_000_000_000_000);
//! assert!(directory.would_accept(&standard::identity("alice"), now));
//!
//! // What IIS1 asks about a client that answered its challenge with the wrong password.
//! let guess = LogonRequest {
//!     channel_machine: "IIS1".into(),
//!     logon_domain: "CORP".into(),
//!     user: "alice".into(),
//!     nt_response: vec![0; 24],
//!     ..LogonRequest::default()
//! };
//! assert_eq!(directory.logon(&guess, now).reply.status, NtStatus::WRONG_PASSWORD);
//! assert_eq!(directory.logon(&guess, now).bad_count, 2);
//! assert_eq!(directory.logon(&guess, now).reply.status, NtStatus::ACCOUNT_LOCKED_OUT);
//! ```
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
