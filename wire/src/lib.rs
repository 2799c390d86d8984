//! A site on real sockets: mock servers and a balancer on loopback.
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
