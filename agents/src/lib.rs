//! Who acts for a balancer where secrets are needed. A balancer sees headers; these know passwords.
//!
//! * [`Monitor`]: logs on for the health checks.
//! * [`Doorkeeper`]: authenticates clients for a balancer that ends authentication itself (M20).
//! * [`DataPlane`]: a mechanism with the data plane that it needs.
//! * [`Security`]: issues the certificates, to balancer and servers.
//!
//! All are independent of the network, and serve the simulated world and real sockets alike.

mod doorkeeper;
mod monitor;
mod plane;
mod security;

pub use doorkeeper::Doorkeeper;
pub use monitor::Monitor;
pub use plane::DataPlane;
pub use security::Security;
