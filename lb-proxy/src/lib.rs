//! The data planes that obey a policy, and the timing of health checks.
//!
//! ```text
//! downstream ══ proxy::serve_l7 (HTTP) ══ upstream           downstream ══ splice::serve_l4 (bytes) ══ upstream
//!                    │ ▲                                                      │ ▲
//!            request │ │ Route: Pinned | Reuse | Open | ...         connect   │ │ Backend | Refuse | Drop
//!                    ▼ │                                                      ▼ │
//!                  L7Policy                                                 L4Policy
//! ```
//!
//! `stickler-lb-core` makes the decisions. This crate has the sockets, the tasks and the timers. All of them are
//! generic over [`stickler_net::Net`], so the same code runs in the simulated world and on real sockets.
//!
//! * [`proxy`]: the HTTP data plane, [`serve_l7`], which terminates TLS and HTTP/2.
//! * [`splice`]: the byte data plane, [`serve_l4`], which passes bytes on.
//! * [`health`]: the checks. [`gate`]: the component that may answer before a policy is asked.
//! * [`proxy_protocol`]: reads and writes the header that names a client.

mod clock;
pub mod gate;
mod half_closed;
pub mod health;
pub mod proxy;
pub mod proxy_protocol;
pub mod splice;

pub use gate::{Admission, BoxFuture, Gate};
pub use proxy::{HttpProxyConfig, Limits, UpstreamTls, serve_l7};
pub use splice::{FlowLimits, SpliceConfig, serve_l4};
