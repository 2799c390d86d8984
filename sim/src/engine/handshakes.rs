//! Handshakes that a listening host has answered, and that are not complete.
//!
//! turmoil-net's kernels keep a connection for ever that is reset in that state (SYN-RECEIVED): it blocks its client's
//! address and port. A real one returns to LISTEN (RFC 9293 3.10.7.4), and its application never hears of it. So the
//! network completes the handshake before it resets the connection, which makes the kernel hand it out, and the listener
//! throws it away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The listening kernel's address and the client.
pub(super) type Flow = (SocketAddr, SocketAddr);

/// Handshakes that are not complete.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// What the client has to acknowledge.
    answered: BTreeMap<Flow, u32>,
    /// Reset before they were complete, and not yet thrown away.
    stillborn: BTreeSet<Flow>,
}

impl Handshakes {
    /// A SYN-ACK leaves, to be acknowledged with this number.
    pub(super) fn answered(&mut self, flow: Flow, acknowledgement: u32) {
        self.stillborn.remove(&flow);
        self.answered.insert(flow, acknowledgement);
    }

    /// A segment with this acknowledgement comes.
    pub(super) fn acknowledged(&mut self, flow: Flow, acknowledgement: u32) {
        if !self.answered.is_empty() && self.answered.get(&flow) == Some(&acknowledgement) {
            self.answered.remove(&flow);
        }
    }

    /// The flow is reset. Returns the acknowledgement that completes its handshake first; `None` where it is complete, or
    /// there is none.
    pub(super) fn reset(&mut self, flow: Flow) -> Option<u32> {
        let acknowledgement = self.answered.remove(&flow)?;
        self.stillborn.insert(flow);
        Some(acknowledgement)
    }

    /// Whether a connection that the kernel hands out was reset before its handshake was complete. Asked once.
    pub(super) fn take_stillborn(&mut self, flow: Flow) -> bool {
        !self.stillborn.is_empty() && self.stillborn.remove(&flow)
    }
}
