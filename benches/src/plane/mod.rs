//! The data plane on loopback: Stickler's balancers beside nginx and HAProxy, under the same load.
//!
//! ```text
//! load (this thread) ══ balancer: ours on a thread, or a child process ══ origin (a thread)
//! ```
//!
//! * [`Load`]: a number of clients, each with a number of requests, on persistent connections or on a new one for each.
//! * [`Origin`]: a farm of plain servers that only answer.
//! * [`Own`]: one of Stickler's mechanisms; [`Peer`]: nginx or HAProxy, if it is installed.
//!
//! Each balancer has one thread, Stickler's as well as the others' (`worker_processes 1`, `nbthread 1`), and nothing is
//! bound to a processor. The measured value is the wall time for a fixed number of requests, because several threads and
//! processes do the work. The share of the load and the origin is part of every figure, so ratios are nearer to 1 than
//! those of the balancers alone.

mod background;
mod load;
mod origin;
mod own;
mod peer;

pub use load::{Connections, Load};
pub use origin::Origin;
pub use own::Own;
pub use peer::{Peer, PeerError, Product};
