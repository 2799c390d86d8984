//! The simulated world, on turmoil-net: hosts, links, faults, packet-level NAT, and a clock.
//!
//! * [`engine`]: the event-driven harness over turmoil-net's kernels; it knows TCP, not HTTP.
//! * [`arm`]: the simulator as an [`Arm`](stickler_runner::Arm) that performs plans and scripts.
//! * [`capture`]: the packets on its links, as a file for Wireshark.
//! * [`world`]: clients, a balancer, IIS servers and a DC on it: [`SimWorld`].

pub mod arm;
pub mod capture;
pub mod engine;
pub mod world;

pub use arm::{OwnArm, SimArm};
pub use capture::CaptureArm;
pub use world::SimWorld;
