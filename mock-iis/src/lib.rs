//! The mock IIS: Windows authentication per TCP connection, an application, a W3C log.
//!
//! ```text
//! request ─▶ server ─▶ exchange ─▶ acceptance ─▶ authn ──NeedLogon──▶ authority ─▶ netlogon ══▶ DC   (or sam)
//!                         ├──────▶ app ─▶ answer    ▲
//!                         └──────▶ What::Server*    └─ front_end
//! ```
//!
//! Pure: [`authn`] (the authentication state of a connection), [`tracker`] (the same by a table instead of the
//! connection), [`credentials`] (what a request presents), [`app`] (what the application answers, and as whom it opens
//! files), [`codes`] (the codes in the log), [`sam`] (local accounts), `protection` (extended protection), `http_sys` (what
//! the kernel driver answers by itself), `calendar` (dates), [`log`].
//! Shell: [`server`] (connections), `secure` (TLS on them), `http1` (HTTP/1.1 on them), `exchange` (one request on a
//! connection), `acceptance` (who sent the request), `body` (reads it), `authority` (asks the DCs, over
//! `stickler_netlogon`), `answer` (HTTP responses), `rogue` (servers that misbehave). [`site`] holds the configuration of
//! all of them. [`front_end`] is the same authentication for a balancer that terminates it.
//!
//! One request passes through these types: [`authn::Decision`] (serve it as a [`authn::RequestIdentity`], answer 401,
//! or ask the DC first), and then, in `exchange`, the outcome with its response.
//!
//! The server never sees a password or a hash of a domain account. It forwards the NTLM response, and checks only what
//! it alone can check (MIC, channel binding), since only it has seen all three messages.

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

pub use front_end::{AuthOutcome, FrontEndAuthenticator};
pub use sam::Sam;
pub use server::serve;
pub use site::{Accounts, ServerLimits, WebSite};
