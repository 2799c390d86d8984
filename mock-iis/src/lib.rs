//! The mock IIS: Windows authentication per TCP connection, an application, a W3C log.
//!
//! ```text
//! request ─▶ server ─▶ exchange ─▶ acceptance ─▶ authn ──NeedLogon──▶ authority ─▶ netlogon ══▶ DC   (or sam)
//!                         ├──────▶ app ─▶ answer    ▲
//!                         └──────▶ What::Server*    └─ gate
//! ```
//!
//! Pure: [`authn`] (who is on this connection), [`tracker`] (who is who by a table, in place of the
//! connection), [`credentials`] (what a request presents), [`app`] (what the application answers, as whom it opens files),
//! [`codes`] (what the log says), [`sam`] (local accounts), `protection` (extended protection), [`log`].
//! Shell: [`server`] (connections), `exchange` (one request on one), `acceptance` (who sends it, by
//! what the site ties a user to), `body` (reading it), `authority` (who asks the DCs, by
//! `stickler_netlogon`), [`answer`] (HTTP responses), `rogue` (servers that misbehave). [`site`] holds the
//! configuration of all. [`gate`]: the same authentication for a balancer that ends it itself.
//!
//! The server never sees a password or a hash of a domain account: it forwards the response, and
//! keeps what only it can check (MIC, channel binding), since only it saw all three messages.

mod acceptance;
pub mod answer;
pub mod app;
pub mod authn;
mod authority;
mod body;
pub mod codes;
pub mod credentials;
mod exchange;
pub mod front_end;

pub mod log;
mod protection;
mod rogue;
pub mod sam;
pub mod server;
pub mod site;
pub mod tracker;

pub use front_end::{AuthOutcome, FrontEndAuthenticator};
pub use sam::Sam;
pub use server::serve;
pub use site::{Accounts, ServerLimits, WebSite};
