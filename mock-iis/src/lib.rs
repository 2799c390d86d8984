//! The mock IIS: Windows authentication per TCP connection, an application, a W3C log.
//!
//! A server answers a request without credentials with 401 and the schemes that it takes:
//!
//! ```
//! use stickler_mock_iis::{Accounts, Sam, WebSite, serve};
//! use stickler_model::topology::{Provider, ServerSpec};
//! use stickler_model::standard;
//! use stickler_net::{Listener as _, Net as _, TokioNet};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # use std::sync::Arc;
//! # use stickler_model::{Clock, Entropy, Env, Journal, Time};
//! #
//! # struct Still;
//! #
//! # impl Clock for Still {
//! #     fn now(&self) -> Time { Time(0) }
//! #     fn epoch(&self) -> u64 { 1_700_000_000 }
//! # }
//! #
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let clock = Arc::new(Still);
//! # let (entropy, journal) = (Entropy::new(1, "iis1"), Journal::new(clock.clone()));
//! # let env = Env { name: "iis1".into(), clock, entropy, journal };
//!
//! let providers = vec![Provider::Negotiate, Provider::Ntlm];
//! let spec = ServerSpec { providers, ..standard::server("iis1".into()) };
//! let accounts = Accounts::local(Sam::new("IIS1", &[standard::account("alice".into())]));
//! let site = WebSite::new(&spec, &standard::domain(), accounts);
//! let listener = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await?;
//! let address = listener.local_addr()?;
//! TokioNet.spawn(serve(TokioNet, listener, env, site.into()));
//!
//! let mut client = TokioNet.connect(address).await?;
//! client.write_all(b"GET /inbox HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
//! assert!(answer.contains("WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"));
//! # Ok(())
//! # })
//! # }
//! ```
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
