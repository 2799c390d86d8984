//! The mock IIS: Windows authentication per TCP connection, an application, a W3C log.
//!
//! ```text
//! request ─▶ server ─▶ exchange ─▶ acceptance ─▶ authn ──NeedLogon──▶ authority ─▶ netlogon ══▶ DC   (or sam)
//!                         ├──────▶ app ─▶ answer    ▲
//!                         └──────▶ What::Server*    └─ front_end
//! ```
//!
//! These modules are pure: [`authn`] (the authentication state of a connection), [`tracker`] (authentication by a table
//! instead of the connection), [`credentials`] (the credentials of a request), [`app`] (the answers of the application,
//! and access to files), [`codes`] (the codes in the log), [`sam`] (local accounts), `protection` (extended
//! protection), `http_sys` (the answers of the kernel driver), `calendar` (dates) and [`log`].
//!
//! These modules do I/O: [`server`] (connections), `secure` (TLS on connections), `http1` (HTTP/1.1), `exchange` (one
//! request on a connection), `acceptance` (the sender of a request), `body` (the body of a request), `authority`
//! (questions to the DCs, over `stickler_netlogon`), `answer` (HTTP responses), `web_socket` (WebSocket, after a 101)
//! and `rogue` (servers that misbehave). [`site`] holds the configuration of all modules. [`front_end`] authenticates
//! for a balancer that terminates authentication.
//!
//! A request leads first to an [`authn::Decision`] (serve it as a [`authn::RequestIdentity`], answer 401, or ask the DC
//! first), and then, in `exchange`, to an outcome with its response.
//!
//! The server never sees a password or a hash of a domain account. It forwards the NTLM response. It checks only the
//! MIC and the channel binding, because no other party has all three messages.

mod acceptance;
mod answer;
pub mod app;
pub mod authn;
mod authority;
mod body;
mod calendar;
pub mod codes;
pub mod credentials;
mod exchange;
pub mod front_end;
mod http1;
mod http_sys;
pub mod log;
mod protection;
mod rogue;
pub mod sam;
mod secure;
mod sending;
pub mod server;
pub mod site;
pub mod tracker;
mod web_socket;

pub use front_end::{AuthOutcome, FrontEndAuthenticator};
pub use sam::Sam;
pub use server::serve;
pub use site::{Accounts, ServerLimits, WebSite};
