//! The user agents, as profiles of handshakes, connection reuse and rules for bodies.
//!
//! * [`profile`]: the differences between user agents, as data ([`UserAgent`]), with the source of each.
//! * [`agent`]: how a request gets through authentication, pure: what to send next, given the last answer
//!   ([`Exchange`]). Randomness and time come in as arguments, and it knows no connection.
//! * [`client`]: the [`Client`], which carries out exchanges on connections of its own, and records what it sends and
//!   receives. Inside: `transfer` (all legs of one request), `pool` (the connections), `connection` (one of them),
//!   `link` (how it ends), `http1` (one request and its answer on it), `message` (builds requests, reads answers),
//!   `session` (the user), `traced` (headers that are recorded), `secure` (TLS and HTTP/2), `tickets` (of Kerberos),
//!   `cookies`.
//! * [`check`](mod@check): a health check: one request on a connection of its own.
//! * [`raw_answers`]: the answers in what comes back on a bare connection.
//! * [`error`]: why a request has no answer ([`NoAnswer`]).

pub mod agent;
pub mod check;
pub mod client;
mod connection;
mod cookies;
pub mod error;
mod http1;
mod link;
mod message;
mod pool;
pub mod profile;
mod raw;
mod secure;
mod session;
mod tickets;
mod traced;
mod transfer;

pub use agent::Exchange;
pub use check::{Check, CheckResult, check, check_on};
pub use client::{Client, RequestLimits};
pub use error::NoAnswer;
pub use profile::UserAgent;
pub use raw::raw_answers;
