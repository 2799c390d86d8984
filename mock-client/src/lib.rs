//! The user agents, described by profiles of their handshakes, their reuse of connections and their rules for bodies.
//!
//! A client carries out the whole handshake that a request needs. The server here is a mock IIS with an account of its
//! own:
//!
//! ```
//! use stickler_mock_client::Client;
//! use stickler_mock_iis::{Accounts, Sam, WebSite};
//! use stickler_model::event::Credentials;
//! use stickler_model::{ClientSpec, Identity, Principal, Profile, RequestId, RequestSpec, standard};
//! use stickler_net::{Listener as _, Net as _, TokioNet};
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
//! # let journal = Journal::new(clock.clone());
//! # let env = |name: &str| {
//! #     Env { name: name.into(), clock: clock.clone(), entropy: Entropy::new(1, name), journal: journal.clone() }
//! # };
//!
//! let accounts = Accounts::local(Sam::new("IIS1", &[standard::account("alice".into())]));
//! let site = WebSite::new(&standard::server("iis1".into()), &standard::domain(), accounts);
//! let listener = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await?;
//! let address = listener.local_addr()?;
//! TokioNet.spawn(stickler_mock_iis::serve(TokioNet, listener, env("iis1"), site.into()));
//!
//! let alice = Identity { principal: Principal::new("IIS1", "alice"), password: standard::password("alice") };
//! let spec = ClientSpec::new("browser".into(), Profile::BROWSER, Some(alice));
//! let client = Client::new(TokioNet, env("browser"), &spec, address, "www.corp.example".into());
//! let request = RequestSpec::new("browser".into(), "GET", "/inbox");
//! let answer = client.request(RequestId(1), &request, Credentials::Valid).await;
//! assert_eq!((answer.status, answer.requests), (Some(200), 3));   // without a token, Negotiate, Authenticate
//! # Ok(())
//! # })
//! # }
//! ```
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
