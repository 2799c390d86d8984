//! The world on turmoil-net: hosts, links, faults, packet-level NAT, clock.
//!
//! * [`engine`]: the event-driven harness over turmoil-net's kernels; it knows TCP, not HTTP.
//! * [`world`]: clients, a balancer, IIS servers and a DC on it: [`SimWorld`].

pub mod engine;
pub mod world;

pub use world::{Balancer, SimWorld};
