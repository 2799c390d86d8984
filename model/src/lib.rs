//! The vocabulary of Stickler: plans, the actions of a world, and the observations in a trace.
//!
//! A plan is data. It can be written by hand, generated, or read from a file, and it is checked before a world performs
//! it:
//!
//! ```
//! use stickler_model::{
//!     Action, BalancerSpec, ClientSpec, Plan, Payload, Profile, RequestId, RequestSpec, standard,
//! };
//!
//! let request = RequestSpec {
//!     client: "browser".into(),
//!     method: "GET".into(),
//!     path: "/whoami".into(),
//!     body: Payload::Empty,
//!     headers: Vec::new(),
//!     sending: Default::default(),
//! };
//! let mut plan = Plan {
//!     seed: 1,
//!     balancer: BalancerSpec::named("pin-on-401"),
//!     topology: standard::site(2),
//!     steps: vec![
//!         Action::AddClient(ClientSpec::new("browser".into(), Profile::BROWSER, Some(standard::identity("alice")))),
//!         Action::Start { id: RequestId(1), request },
//!         Action::Await(RequestId(1)),
//!     ],
//! };
//! assert!(plan.check().is_ok());
//!
//! plan.steps.remove(0);                                        // the client is never added
//! assert!(plan.check().is_err());
//! ```
//!
//! ```text
//! Plan: Topology, BalancerSpec, seed ─┐
//!       Action ...  ──────────────────┴─▶ World ──▶ Outcome     (at once)
//!                                           └─────▶ Trace       (to the oracle, at the end)
//! ```
//!
//! * [`time`]: [`Time`] on the world's clock, and [`Clock`].
//! * [`name`]: [`Name`] of a host or client, [`Principal`] of a user.
//! * [`topology`]: the users, servers, balancer and links of a world.
//! * [`balancer`]: the description of the balancer between the clients and the servers.
//! * [`plan`]: everything that a run consists of, and the check that it is valid.
//! * [`action`]: the actions that a plan may ask of a world, as data, and their [`Outcome`].
//! * [`agent`]: the user agents that a client can imitate.
//! * [`request`]: the limits on a request, and the header fields that only the client itself sets.
//! * [`bounds`]: the limits on a plan. [`topology_problem`]: the limits on a topology.
//! * [`capabilities`]: the schemes and security packages that each user agent has.
//! * [`event`]: what clients, servers, the DC and the balancer observed.
//! * [`trace`]: the events of a run in order, and the [`Journal`] that collects them.
//! * [`escape`]: escaping of text that comes from a peer or a script.
//! * [`env`](mod@env): the environment of a mock: its clock, its random bytes and its journal.
//! * [`site`]: the settings of a server's web site.
//! * [`standard`]: the site that scenarios, tests and benchmarks use by default.
//! * [`sync`]: the [`Lock`](sync::Lock) around shared state.
//! * [`payload`]: bodies that are described by a recipe, and their digests.
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

/// The request header, or the parameter of a query, in which a real client states its name, in at most [`MAX_SENDER`]
/// bytes. Servers record the name and do nothing else with it.
pub const SENDER_HEADER: &str = "x-stickler-user";

/// The maximum length of a name in [`SENDER_HEADER`], in bytes. A longer value does not count as a name.
pub const MAX_SENDER: usize = 256;
