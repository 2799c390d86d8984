//! What a balancer that does not read HTTP is asked, and may answer.

use std::net::SocketAddr;

use stickler_model::Time;

use crate::BackendAware;

/// What tells one TCP connection from another at the front end. The protocol, fifth of the five, is always TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The front end's address and port.
    pub front: SocketAddr,
}

/// What becomes of a new downstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4Decision {
    /// It goes to the backend with this index in the farm.
    Backend(usize),
    /// It is refused: RST at packet level, an immediate close on a splice (which has accepted already).
    Refuse,
    /// It gets no answer at all: the packet is dropped; a splice holds the connection in silence.
    Drop,
}

/// What a policy wants done that no connection asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4Work {
    /// End this flow on both sides.
    CloseFlow(FiveTuple),
    /// Drop what comes of this flow from now on, from either side, without a word. It has not ended.
    SilenceFlow(FiveTuple),
    /// Send what comes of this flow to the backend with this index from now on. A splice ends the flow instead.
    MoveFlow(FiveTuple, usize),
}

/// The decisions of a balancer that sees connections or packets, and no HTTP.
///
/// The splice (`serve_l4` of `stickler-lb-proxy`) and a packet router obey it alike. Pure: the same calls give the same answers.
pub trait L4Policy: BackendAware<Work = L4Work> {
    /// A client opens a connection (its first SYN).
    fn connect(&mut self, now: Time, flow: FiveTuple) -> L4Decision;

    /// A flow that went to a backend has ended, on both sides.
    fn closed(&mut self, now: Time, flow: FiveTuple) {
        let _ = (now, flow);
    }
}
