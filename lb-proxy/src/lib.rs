//! The data planes that obey a policy, and the timing of health checks.
//!
//! A data plane takes its decisions from a policy, here that of a mechanism of the catalogue:
//!
//! ```
//! use stickler_lb_core::{Backend, Farm};
//! use stickler_lb_proxy::{HttpProxyConfig, serve_l7};
//! use stickler_net::{Listener as _, Net as _, TokioNet};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # use std::sync::Arc;
//! # use stickler_model::{Clock, Entropy, Env, Journal, Time};
//! #
//! # struct Still;
//! #
//! # impl Clock for Still {
//! #     fn now(&self) -> Time { Time(0) }
//! #     fn epoch(&self) -> u64 { 1_700_000_000 }
//! # }
//! #
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let (clock, entropy) = (Arc::new(Still), Entropy::new(1, "lb"));
//! # let env = Env { name: "lb".into(), clock: clock.clone(), entropy: entropy.clone(), journal: Journal::new(clock) };
//! # let any_port = "127.0.0.1:0".parse().unwrap();
//!
//! let backend = TokioNet.bind(any_port).await?;
//! let farm = Farm { backends: vec![Backend { name: "iis1".into(), address: backend.local_addr()? }] };
//! let policy = stickler_catalogue::find("pin-on-401").unwrap().l7(&farm, entropy).unwrap().unwrap();
//! let front = TokioNet.bind(any_port).await?;
//! let address = front.local_addr()?;
//! TokioNet.spawn(serve_l7(TokioNet, front, env, HttpProxyConfig::new(farm, policy)));
//!
//! let mut client = TokioNet.connect(address).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n").await?;
//! let (mut upstream, _) = backend.accept().await?;                // the connection that the policy asked for
//! upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"));
//! # Ok(())
//! # })
//! # }
//! ```
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
