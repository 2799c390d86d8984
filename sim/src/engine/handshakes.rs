//! The handshakes that a listening host has answered and that are not complete.
//!
//! turmoil-net's kernels keep a connection for ever if it is reset in that state (SYN-RECEIVED), so it blocks its
//! client's address and port. A real kernel returns to LISTEN (RFC 9293 3.10.7.4), and its application never learns of
//! the connection. Therefore the network completes the handshake before it resets the connection. Then the kernel
//! passes the connection to the listener, which drops it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A flow: the listening kernel's address, and the client.
pub(super) type Flow = (SocketAddr, SocketAddr);

/// The handshakes that are not complete.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// The acknowledgement number that each client must send.
    answered: BTreeMap<Flow, u32>,
    /// The flows that were reset before they were complete, and were not dropped yet.
    stillborn: BTreeSet<Flow>,
}

impl Handshakes {
    /// Records that a SYN-ACK leaves, which must be acknowledged with this number.
    pub(super) fn answered(&mut self, flow: Flow, acknowledgement: u32) {
        self.stillborn.remove(&flow);
        self.answered.insert(flow, acknowledgement);
    }

    /// Records that a segment with this acknowledgement arrives.
    pub(super) fn acknowledged(&mut self, flow: Flow, acknowledgement: u32) {
        if !self.answered.is_empty() && self.answered.get(&flow) == Some(&acknowledgement) {
            self.answered.remove(&flow);
        }
    }

    /// Records that the flow is reset. Returns the acknowledgement that must first complete its handshake; `None` if
    /// the handshake is complete, or if there is none.
    pub(super) fn reset(&mut self, flow: Flow) -> Option<u32> {
        let acknowledgement = self.answered.remove(&flow)?;
        self.stillborn.insert(flow);
        Some(acknowledgement)
    }

    /// Returns whether a connection that the kernel passes on was reset before its handshake was complete. The answer
    /// is given once.
    pub(super) fn take_stillborn(&mut self, flow: Flow) -> bool {
        !self.stillborn.is_empty() && self.stillborn.remove(&flow)
    }
}
