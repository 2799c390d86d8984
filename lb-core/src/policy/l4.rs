//! The trait for a balancer that does not read HTTP, and the vocabulary of its decisions.

use std::net::SocketAddr;

use stickler_model::Time;

use crate::BackendAware;

/// The addresses and ports that distinguish one TCP connection from another at the front end. The protocol, the fifth
/// of the five elements, is always TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The front end's address and port.
    pub front: SocketAddr,
}

/// The fate of a new downstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4Decision {
    /// The connection goes to the backend with this index in the farm.
    Backend(usize),
    /// The connection is refused: with an RST at packet level, or with an immediate close by a splice (which has
    /// already accepted it).
    Refuse,
    /// The connection gets no answer: a packet router drops the packet, and a splice holds the connection without
    /// sending anything.
    Drop,
}

/// Work that a policy wants done although no connection asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4Work {
    /// End this flow on both sides.
    CloseFlow(FiveTuple),
    /// Drop everything that arrives for this flow from either side from now on, without notice. The flow has not ended.
    SilenceFlow(FiveTuple),
    /// Send everything that arrives for this flow to the backend with this index from now on. A splice ends the flow
    /// instead.
    MoveFlow(FiveTuple, usize),
}

/// The decisions of a balancer that sees connections or packets, and no HTTP.
///
/// Both the splice (`serve_l4` of `stickler-lb-proxy`) and the packet router of the simulation obey it. An
/// implementation must be pure: the same calls give the same answers.
pub trait L4Policy: BackendAware<Work = L4Work> {
    /// Decides what happens to a connection that a client opens (its first SYN).
    fn connect(&mut self, now: Time, flow: FiveTuple) -> L4Decision;

    /// Tells the policy that a flow that went to a backend has ended on both sides.
    fn closed(&mut self, now: Time, flow: FiveTuple) {
        let _ = (now, flow);
    }
}
