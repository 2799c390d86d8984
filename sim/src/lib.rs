//! The simulated world, on turmoil-net: hosts, links, faults, packet-level NAT, and a clock.
//!
//! A plan is played in simulated time, and its trace says who was served as whom:
//!
//! ```
//! use stickler_model::{Action, BalancerSpec, ClientSpec, Plan, Profile, RequestId, RequestSpec, What, standard};
//! use stickler_runner::play;
//! use stickler_sim::SimArm;
//!
//! let alice = ClientSpec::new("browser".into(), Profile::BROWSER, Some(standard::identity("alice")));
//! let request = RequestSpec::new("browser".into(), "GET", "/inbox");
//! let plan = Plan {
//!     seed: 1,
//!     balancer: BalancerSpec::named("pin-on-401"),
//!     topology: standard::site(1),
//!     steps: vec![
//!         Action::AddClient(alice),
//!         Action::Start { id: RequestId(1), request },
//!         Action::Await(RequestId(1)),
//!     ],
//! };
//! let trace = play(&plan, &SimArm).unwrap();
//! let served_alice = |what: &What| {
//!     matches!(what, What::ServerAnswered { status: 200, user: Some(user), .. } if user.as_str() == "CORP\\alice")
//! };
//! assert!(trace.events.iter().any(|event| event.by == "iis1".into() && served_alice(&event.what)));
//! assert_eq!(play(&plan, &SimArm).unwrap(), trace);               // the same plan gives the same trace
//! ```
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
