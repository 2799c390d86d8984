//! The user agents: handshake state, connection reuse and body rules, as profiles.
//!
//! * [`profile`]: in what user agents differ, as data ([`UserAgent`]), with the source of each habit.
//! * [`agent`]: one request's way through authentication, pure: what to send next, given what came
//!   back ([`Exchange`]). It is given randomness and time, and knows no connection.
//! * [`client`]: the [`Client`], which sends what an exchange says over connections of its own, and
//!   notes what it saw. Inside: `connection` (a connection and the pool of idle ones), `link` (how one ends), `message`
//!   (requests and bodies on their way out and in), `seat` (who sits there), `secure` (TLS, and
//!   what goes over HTTP/2), `tickets` (of Kerberos), `cookies`.
//! * [`check`](mod@check): one request on a connection of its own that is nobody's, for health checks.

pub mod agent;
pub mod check;
pub mod client;
mod connection;
mod cookies;
mod link;
mod message;
pub mod profile;
mod seat;
mod secure;
mod tickets;

pub use agent::Exchange;
pub use check::{Check, Checked, check, check_on};
pub use client::{Client, Limits};
pub use profile::UserAgent;
