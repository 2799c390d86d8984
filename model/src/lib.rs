//! The vocabulary of Stickler: what a plan asks for, what a world does, and what was seen.
//!
//! ```text
//! Plan: Topology, BalancerSpec, seed ─┐
//!       Action ...  ──────────────────┴─▶ World ──▶ Outcome     (at once)
//!                                           └─────▶ Trace       (to the oracle, at the end)
//! ```
//!
//! * [`time`]: [`Time`] on the world's clock, and [`Clock`].
//! * [`name`]: [`Name`] of a host or client, [`Principal`] of a user.
//! * [`topology`]: which users, servers, balancer and links there are.
//! * [`balancer`]: which balancer stands between the clients and the servers.
//! * [`plan`]: everything that a run is made of, and the check that it makes sense.
//! * [`action`]: what a plan may ask of a world, as data, and the [`Outcome`] of it.
//! * [`agent`]: the user agents that a client can behave as.
//! * [`request`]: what a request may be, and which header fields are the client's own.
//! * [`bounds`]: how much a plan may ask for. [`topology_problem`]: what a topology may be.
//! * [`capabilities`]: the schemes and security packages that each user agent has.
//! * [`event`]: what clients, servers, the DC and the balancer saw.
//! * [`trace`]: the events of a run in order, and the [`Journal`] that collects them.
//! * [`escape`]: text that somebody else chose, made fit to be shown.
//! * [`env`](mod@env): what a mock is given in place of a clock, an RNG and a logger of its own.
//! * [`site`]: how the site of a server is set up.
//! * [`standard`]: the site that every scenario, test and benchmark finds unless it says otherwise.
//! * [`sync`]: the [`Lock`](sync::Lock) that shells keep their shared state in.
//! * [`payload`]: bodies by recipe, and their digests.
//! * [`world`]: the [`World`] trait, which `sim` implements.

pub mod action;
pub mod agent;
pub mod balancer;
pub mod bounds;
pub mod capabilities;
pub mod env;
pub mod escape;
pub mod event;
pub mod name;
pub mod payload;
pub mod plan;
mod repeats;
pub mod request;
pub mod server;
pub mod site;
pub mod standard;
pub mod sync;
mod text;
pub mod time;
pub mod topology;
pub mod topology_problem;
pub mod trace;
mod weight;
pub mod world;

pub use action::{Action, Answer, BodySending, Fault, Outcome, Piece, RawSpec, RequestSpec, TokenId};
pub use balancer::BalancerSpec;
pub use bounds::ActionProblem;
pub use env::{Entropy, Env};
pub use event::{Event, Leg, RequestId, What};
pub use name::{Name, Principal};
pub use payload::Payload;
pub use plan::Plan;
pub use request::RequestProblem;
pub use time::{Clock, Time};
pub use topology::{ClientSpec, Identity, Profile, Topology};
pub use topology_problem::TopologyProblem;
pub use trace::{Header, Journal, Trace};
pub use world::{World, WorldError};

/// The request header that carries a [`RequestId`], and the response header that echoes it.
pub const REQUEST_ID_HEADER: &str = "x-stickler-request";

/// The request header, or the part of a path's query, in which a real client says who it is, [`MAX_SENDER`] bytes at most. Servers
/// note it, and do nothing else by it.
pub const SENDER_HEADER: &str = "x-stickler-user";

/// The longest name in [`SENDER_HEADER`], in bytes; a longer one is no name.
pub const MAX_SENDER: usize = 256;
