//! The mock IIS: Windows authentication per TCP connection, an application, a W3C log.
//!
//! ```text
//! request ─▶ server ─▶ exchange ─▶ authn ──NeedLogon──▶ netlogon ══▶ DC   (or sam)
//!                         ├──────▶ app ─▶ answer
//!                         └──────▶ What::Server*, log
//! ```
//!
//! Pure: [`authn`] (who is on this connection), [`credentials`] (what a request presents), [`app`]
//! (what the application answers), [`codes`] (what the log says), [`sam`] (local accounts), [`log`].
//! Shell: [`server`] (connections), `exchange` (one request on one), `body` (reading it), `netlogon`
//! (the channel to the DC), [`answer`] (HTTP responses). [`site`] holds the configuration of all.
//!
//! The server never sees a password or a hash of a domain account: it forwards the response, and
//! keeps what only it can check (MIC, channel binding), since only it saw all three messages.

pub mod answer;
pub mod app;
pub mod authn;
mod body;
pub mod codes;
pub mod credentials;
mod exchange;
pub mod log;
mod netlogon;
pub mod sam;
pub mod server;
pub mod site;

pub use sam::Sam;
pub use server::serve;
pub use site::{Accounts, Limits, Site};
