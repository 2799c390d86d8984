//! The world on real sockets: mock servers and a balancer on loopback.
//!
//! [`Site`] starts a DC, a farm of IIS servers and one balancer, with the very code that the simulated
//! world runs, for real clients to talk to. Its health checks may be a command of the operator's:
//! [`command`].

mod clock;
pub mod command;
mod host;
mod site;

pub use clock::WallClock;
pub use command::{CheckCommand, CheckFailure, CheckSink};
pub use site::{Options, Site, StartError};
