//! A site on real sockets: mock servers and a balancer on loopback.
//!
//! A client of any kind can log on to such a site:
//!
//! ```
//! use stickler_mock_client::{Check, check};
//! use stickler_model::{BalancerSpec, standard};
//! use stickler_net::TokioNet;
//! use stickler_site::Balancer;
//! use stickler_wire::{Options, Site, WallClock};
//! # use std::sync::Arc;
//! # use stickler_model::{Clock, Entropy, Env, Journal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
//! # let journal = Journal::handing_on(clock.clone(), drop);
//! # let env = Env { name: "alice".into(), clock, entropy: Entropy::new(1, "alice"), journal };
//! let balancer = Balancer::of(&BalancerSpec::named("pin-on-401"))?;
//! let site = Site::start(Options::new(standard::site(2), balancer))?;
//!
//! let alice = standard::identity("alice");
//! let request = Check { host: "localhost", uri: "/inbox", identity: Some(&alice), keep: 4096 };
//! let answer = check(&TokioNet, &env, site.front_end, &request).await?;
//! assert_eq!((answer.status, answer.logged_on), (200, true));
//! assert!(String::from_utf8(answer.body)?.contains(r"CORP\\alice"));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! [`Site`] starts a DC, a farm of IIS servers and one balancer for real clients, with TLS if its topology says so.
//! `stickler-site` assembles them as it does in the simulated world; `hosts.rs` provides this machine's sockets. Health
//! checks can be a command of the operator ([`command`]). Processes that Stickler starts end with Stickler
//! ([`supervisor`]). [`Kdc`] is the DC's Kerberos service alone.

#[cfg(unix)]
mod addresses;
#[cfg(unix)]
mod arm;
mod checks;
mod clock;
pub mod command;
mod error;
mod gate;
mod host;
mod hosts;
mod kdc;
mod open_ports;
#[cfg(unix)]
mod power_cut;
#[cfg(unix)]
mod products;
mod settings;
#[cfg(unix)]
mod shared_memory;
mod site;
pub mod supervisor;
#[cfg(unix)]
mod target;
#[cfg(unix)]
mod world;

#[cfg(unix)]
pub use arm::{InstalledProduct, WireArm, installed, needs_own_network, version};
pub use clock::WallClock;
pub use command::{CheckCommand, CheckFailure, CheckSink};
pub use error::StartError;
pub use hosts::ListenError;
pub use kdc::{Kdc, krb5_conf};
#[cfg(unix)]
pub use products::{Package, ProductError, is_own_network};
pub use site::{Options, Site, SiteTls};
pub use supervisor::Supervisor;
#[cfg(unix)]
pub use target::Target;
#[cfg(unix)]
pub use world::WireWorld;
