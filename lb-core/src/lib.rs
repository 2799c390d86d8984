//! The pluggable balancer: pure decisions.
//!
//! A **mechanism** is a [`L4Policy`] or [`L7Policy`] with parameters, and the unit that the bench judges. Everything
//! here is pure: time and randomness come in as arguments, a decision is a return value, and upstream connections are
//! represented by numbers. The **data plane** (`stickler-lb-proxy`) owns the sockets, asks, and obeys. Neither knows
//! NTLM or users: a balancer sees headers, not secrets.
//!
//! The following code is a complete policy, which spreads connections over the farm in turn:
//!
//! ```
//! use stickler_lb_core::{BackendAware, FiveTuple, L4Decision, L4Policy, L4Work};
//! use stickler_model::Time;
//!
//! struct InTurn {
//!     backends: usize,
//!     next: usize,
//! }
//!
//! impl BackendAware for InTurn {
//!     type Work = L4Work;
//! }
//!
//! impl L4Policy for InTurn {
//!     fn connect(&mut self, _: Time, _: FiveTuple) -> L4Decision {
//!         let backend = self.next % self.backends;
//!         self.next += 1;
//!         L4Decision::Backend(backend)
//!     }
//! }
//!
//! let mut policy = InTurn { backends: 2, next: 0 };
//! let flow = FiveTuple { client: "192.0.2.1:50000".parse().unwrap(), front: "192.0.2.80:80".parse().unwrap() };
//! assert_eq!(policy.connect(Time(0), flow), L4Decision::Backend(0));
//! assert_eq!(policy.connect(Time(0), flow), L4Decision::Backend(1));
//! ```
//!
//! ```text
//! downstream ══ serve_l7 (HTTP) ══ upstream           downstream ══ serve_l4 (bytes) ══ upstream
//!                    │ ▲                                               │ ▲
//!            request │ │ Route: Pinned | Reuse | Open | ...  connect   │ │ Backend | Refuse | Drop
//!                    ▼ │                                               ▼ │
//!                  L7Policy                                          L4Policy  (also asked by a packet router)
//! ```
//!
//! * [`policy`]: the traits, their vocabulary, and the shared parts from which mechanisms are composed.
//! * [`farm`]: the backends.
//! * [`control`]: the handle on a policy for the operator and the health checks. [`health`]: the rules of checks, and
//!   the conclusions from their results.
//! * [`settings`]: the settings of a mechanism that the data plane obeys.
//!
//! All rules are data: they can be serialised and read back. They own the text that they contain, or borrow it from the
//! program ([`Text`]).
//!
//! Mechanisms by name are in `stickler-catalogue`. To plug in a balancer of your own, implement [`L7Policy`] or
//! [`L4Policy`] and hand it to a data plane.

pub mod control;
pub mod farm;
pub mod health;
pub mod policy;
pub mod settings;
mod status;
mod text;

pub use control::{Attached, Change, Control};
pub use farm::{Backend, Farm};
pub use policy::backend_aware::BackendAware;
pub use policy::backends::BackendState;
pub use policy::error::RuleError;
pub use policy::l4::{FiveTuple, L4Decision, L4Policy, L4Work};
pub use policy::l7::{
    Bond, Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, Finish, L7Policy, Protocol, RequestHead,
    ResponseHead, Route, UpstreamId, Work,
};
pub use settings::{
    FlowIdle, FlowIdleEnd, HeadRule, Hops, Layer, Pipelining, ProxyProtocol, Timers, Upgrades, UpstreamHttp,
};
pub use text::{List, Text, texts};
