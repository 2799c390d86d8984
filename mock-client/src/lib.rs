//! The user agents, described by profiles of their handshakes, their reuse of connections and their rules for bodies.
//!
//! * [`profile`]: the differences between user agents, as data ([`UserAgent`]), with the source of each.
//! * [`agent`]: the authentication of a request, which is pure: it decides what to send next, given the last answer
//!   ([`Exchange`]). Randomness and time come in as arguments, and the module knows no connection.
//! * [`client`]: the [`Client`], which carries out exchanges on its own connections, and records what it sends and
//!   receives. It uses these modules: `transfer` (all legs of one request), `pool` (all connections), `connection` (one
//!   connection), `link` (the end of a connection), `http1` (one request and its answer), `message` (builds requests,
//!   reads answers), `session` (the user), `traced` (headers that are recorded), `secure` (TLS and HTTP/2), `tickets`
//!   (Kerberos) and `cookies`.
//! * [`check`](mod@check): a health check, which is one request on a separate connection.
//! * [`raw_answers`]: the answers among the bytes that arrive on a bare connection.
//! * [`error`]: the reason why a request has no answer ([`NoAnswer`]).

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
