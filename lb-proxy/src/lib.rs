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
//! The decisions are those of `stickler-lb-core`; here are the sockets, the tasks and the timers. Everything is generic
//! over [`stickler_net::Net`], and written once for the simulated world and for real sockets.
//!
//! * [`proxy`]: the HTTP data plane, [`serve_l7`], at which TLS and HTTP/2 end.
//! * [`splice`]: the byte data plane, [`serve_l4`], which passes them on.
//! * [`health`]: the checks; [`gate`]: who may answer before a policy is asked.
//! * [`proxy_protocol`]: the header that names a client, read and written.

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
