//! Connections from a port of the host's choice.
//!
//! The kernels connect from ports of their own choice, and several hosts share one kernel. Therefore a chosen port is a
//! name that the network shows in place of the kernel's port: a flow (host, port, peer) represents one socket.
//!
//! There is no TIME_WAIT: a flow's name is free as soon as the connection is closed on both sides, or was reset. An
//! address translator that is short of ports behaves in this way (RFC 5382 REQ-5 asks for minutes, but under load not
//! every product waits). If the peer no longer answers, the name is free when the kernel gives up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use stickler_model::bounds::LINGERS;

use super::hosts::{HostId, Life};

/// A flow, by the name that its peer knows.
pub(super) type FlowName = (HostId, u16, SocketAddr);

/// The sockets of named flows.
#[derive(Debug, Default)]
pub(super) struct NamedFlows {
    sockets: BTreeMap<FlowName, (Life, SocketAddr)>,
    /// The names whose SYN has not been sent yet.
    reserved: BTreeSet<FlowName>,
    /// The time at which the application closed a flow.
    closed: BTreeMap<FlowName, Duration>,
}

/// Whether a name is available.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NameState {
    /// The name is now reserved for the caller.
    Reserved,
    /// Another connect with the name is in progress.
    Busy,
    /// The name is in use if this socket of the kernel still exists.
    TakenBy(SocketAddr),
}

impl NamedFlows {
    /// Returns whether no host has ever chosen a port.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Reserves a name for a connect of `life`. `gone` is a socket that no longer exists.
    pub(super) fn reserve(&mut self, name: FlowName, life: Life, gone: Option<SocketAddr>) -> NameState {
        match self.sockets.get(&name) {
            _ if self.reserved.contains(&name) => return NameState::Busy,
            // The kernel completes the close of an earlier life's socket under the socket's own port.
            Some((owner, socket)) if *owner == life && Some(*socket) != gone => return NameState::TakenBy(*socket),
            _ => {}
        }
        self.reserved.insert(name);
        NameState::Reserved
    }

    /// Records that the SYN was sent: from now on, the flow is this socket of `life`.
    pub(super) fn opened(&mut self, name: FlowName, life: Life, socket: SocketAddr) {
        self.reserved.remove(&name);
        self.closed.remove(&name);
        self.sockets.insert(name, (life, socket));
    }

    /// Records that the application has closed the flow.
    pub(super) fn closed(&mut self, name: FlowName, now: Duration) {
        self.closed.insert(name, now);
    }

    /// Returns the socket of a flow that was closed so long ago that a kernel gives up.
    pub(super) fn take_overdue(&mut self, name: FlowName, now: Duration) -> Option<SocketAddr> {
        let closed = *self.closed.get(&name)?;
        if now < closed + LINGERS {
            return None;
        }
        self.closed.remove(&name);
        self.sockets.get(&name).map(|&(_, socket)| socket)
    }

    /// Records that there will be no SYN.
    pub(super) fn given_up(&mut self, name: FlowName) {
        self.reserved.remove(&name);
    }

    /// Records that the kernel uses the socket's port for another connection.
    pub(super) fn recycled(&mut self, name: FlowName, socket: SocketAddr) {
        if self.sockets.get(&name).is_some_and(|(_, owner)| *owner == socket) {
            self.sockets.remove(&name);
        }
    }

    /// Returns the socket of a flow.
    pub(super) fn socket(&self, name: FlowName) -> Option<(Life, SocketAddr)> {
        self.sockets.get(&name).copied()
    }

    /// Returns whether the host has ever chosen this port for a connection, to any peer.
    pub(super) fn uses(&self, host: HostId, port: u16) -> bool {
        let first = SocketAddr::from(([0, 0, 0, 0], 0));
        let next = self.sockets.range((host, port, first)..).next();
        next.is_some_and(|((owner, own, _), _)| (*owner, *own) == (host, port))
    }
}
