//! The pluggable balancer: pure decisions, and the data plane that obeys them.
//!
//! A **mechanism** is a [`L4Policy`] or [`L7Policy`] with parameters, and the unit that the bench judges. The
//! **decision half** is pure: time comes in as an argument, a decision is a return value, and upstream connections
//! are numbers to it. The **data plane** owns the sockets, asks, and obeys. It knows neither NTLM nor users: a
//! balancer sees headers, not secrets.
//!
//! ```text
//! downstream ══ proxy::serve_l7 (HTTP) ══ upstream           downstream ══ splice::serve_l4 (bytes) ══ upstream
//!                    │ ▲                                                      │ ▲
//!            request │ │ Route: Pinned | Reuse | Open | ...         connect   │ │ Backend | Refuse | Drop
//!                    ▼ │                                                      ▼ │
//!                  L7Policy                                                 L4Policy  (also asked by a packet router)
//! ```
//!
//! * [`policy`]: the traits, their vocabulary, and the shared parts from which mechanisms are composed.
//! * [`mechanism`]: the mechanisms by name; [`fault`]: the mistakes of real products, to be put on them.
//! * [`profile`]: products by name, as data with sources.
//! * [`farm`]: the backends.
//! * [`proxy`]: the HTTP data plane, [`serve_l7`], at which TLS and HTTP/2 end.
//! * [`splice`]: the byte data plane, [`serve_l4`], which passes them on.
//! * [`control`]: the operator's and the health checks' handle on both; [`health`]: the checks; [`gate`]: who may answer
//!   before a policy is asked.
//!
//! To plug in a balancer of your own, implement [`L7Policy`] or [`L4Policy`] and hand it to the data plane.

pub mod control;
pub mod farm;
pub mod fault;
pub mod gate;
pub mod health;
mod intern;
pub mod mechanism;
pub mod policy;
pub mod profile;
pub mod proxy;
pub mod proxy_protocol;
pub mod splice;

pub use control::{Attached, Change, Control};
pub use farm::{Backend, Farm};
pub use fault::{Fault, faults};
pub use gate::{Admission, Boxed, Gate};
pub use mechanism::{Carriage, Layer, Mechanism, Plane, UnknownBalancer, find, mechanisms, names};
pub use policy::backends::BackendState;
pub use policy::error::RuleError;
pub use policy::l4::{FiveTuple, L4Decision, L4Policy, L4Work};
pub use policy::l7::{
    Bond, Decision, DownstreamId, Edit, Exchange, Failure, FailureKind, Finish, L7Policy, Protocol, RequestHead,
    ResponseHead, Route, UpstreamId, Work,
};
pub use profile::{Profile, ProfileError, profiles};
pub use proxy::{Limits, Pipelining, Service, UpstreamTls, serve_l7};
pub use proxy_protocol::ProxyProtocol;
pub use splice::{FlowLimits, FlowService, serve_l4};
