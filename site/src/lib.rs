//! Assembles a site from a topology: domain controllers, servers, certificates, health checks and a balancer.
//!
//! A site is described before it is started. A balancer that authenticates clients itself changes what its servers do:
//!
//! ```
//! use stickler_model::{BalancerSpec, standard};
//! use stickler_site::Balancer;
//!
//! let balancer = Balancer::of(&BalancerSpec::named("auth-at-balancer")).unwrap();
//! let mut topology = standard::site(2);
//! balancer.adapt(&mut topology);
//! // The servers trust the header in which the balancer names the user.
//! assert!(topology.servers.iter().all(|server| server.acceptor.trusted_header().is_some()));
//!
//! let unknown = Balancer::of(&BalancerSpec::named("auth-at-balancr")).err().unwrap();
//! assert!(unknown.to_string().contains("did you mean `auth-at-balancer`?"));
//! ```
//!
//! ```text
//! Topology ─┐
//! Balancer ─┼─▶ Site::start ──▶ Hosts (a simulated network, or sockets of this machine)
//! Settings ─┘        │            add a host, open a port, give its Net and its Env
//!                    └─▶ Site: start a host again, drain a backend, list the addresses
//! ```
//!
//! Both arms use this crate, so a site is the same in simulated time and on real sockets. An arm implements [`Hosts`];
//! all other differences are in [`Settings`].
//!
//! * [`Site`]: the assembled site. Machines have the names `dc`, `iis1` ..., `lb` and `front`.
//! * [`Balancer`]: the balancer between the clients and the farm: a mechanism, a custom policy for one of Stickler's data
//!   planes, or a complete external proxy ([`ForeignProxy`]).
//! * [`Domains`]: the domain controllers of the site's domain, and that of its partner.
//!
//! A balancer sees headers and no secrets. The components that act for it with secrets are here too:
//!
//! * [`AuthOffload`] authenticates clients for a balancer that terminates authentication itself (M20).
//! * [`CheckUser`] logs on for its health checks.
//! * [`SitePki`] issues the certificates of balancer and servers.

mod auth_offload;
mod backends;
mod balancer;
mod check_user;
mod checks;
mod clients;
mod domains;
mod error;
mod foreign;
mod hosts;
mod machine;
mod pki;
mod plane;
mod server;
mod site;

pub use auth_offload::AuthOffload;
pub use backends::Backends;
pub use balancer::Balancer;
pub use check_user::CheckUser;
pub use clients::{Clients, NewClient};
pub use domains::{DcAddress, Domains};
pub use error::{BalancerError, SiteError};
pub use foreign::ForeignProxy;
pub use hosts::{Hosts, PacketMode, Role, Service};
pub use pki::{RandomFor, SitePki, TlsEnds};
pub use plane::DataPlane;
pub use site::{BALANCER, Settings, Site};
