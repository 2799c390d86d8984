//! The data plane on loopback: our balancers beside nginx and HAProxy, under the same load.
//!
//! ```text
//! load (this thread) ══ balancer: ours on a thread, or a child process ══ origin (a thread)
//! ```
//!
//! * [`Load`]: so many clients, each with so many requests, on connections that stay or on one for each.
//! * [`Origin`]: a farm of plain servers that do nothing but answer.
//! * [`Own`]: one of our mechanisms; [`Peer`]: nginx or HAProxy, where it is installed.
//!
//! Each balancer has one thread, ours as theirs (`worker_processes 1`, `nbthread 1`), and nothing is tied to a
//! processor. What is measured is the time on the wall for a fixed number of requests, since the work is that of several
//! threads and processes: the load's and the origin's own share is in every figure, so that ratios are nearer to 1 than
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
