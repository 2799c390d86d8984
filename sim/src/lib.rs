//! The world on turmoil-net: hosts, links, faults, packet-level NAT, clock.
//!
//! * [`engine`]: the event-driven harness over turmoil-net's kernels; it knows TCP, not HTTP.
//! * [`world`]: clients and a site on it: [`SimWorld`].

pub mod engine;
pub mod world;

pub use stickler_site::Balancer;
pub use world::SimWorld;
