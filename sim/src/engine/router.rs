//! The interface for packet-level balancers: virtual addresses that no host owns.
//!
//! A router is *between* links: a packet to it travels the link from its sender to the virtual address, is decided on
//! when it arrives there, and then travels the link to its next destination. Therefore latency, holds and loss apply to
//! each side of a balancer separately.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turmoil_net::TcpFlags;

/// The part of a TCP segment that a router sees. Addresses are logical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHead {
    /// The sender.
    pub src: SocketAddr,
    /// The destination.
    pub dst: SocketAddr,
    /// The flags SYN, ACK, FIN, RST and PSH.
    pub flags: TcpFlags,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number, which is valid if `flags.ack` is set.
    pub ack: u32,
    /// The length of the payload in bytes.
    pub payload_len: usize,
}

/// The way in which a packet leaves its host. The engine asks each router in turn when a packet is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The packet does not concern this router.
    Direct,
    /// The packet goes straight to its destination, but with this source: a direct server return, in which the server
    /// itself answers from the virtual address.
    DirectFrom(SocketAddr),
    /// The packet goes by way of this virtual address, where [`PacketRouter::route`] decides.
    Via(IpAddr),
}

/// The decision of a router about a packet that reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward the packet with these addresses.
    Forward {
        /// The source of the packet from here on.
        src: SocketAddr,
        /// The destination of the packet from here on.
        dst: SocketAddr,
    },
    /// Drop the packet.
    Drop,
    /// Answer with RST in the name of the packet's destination.
    Reset,
}

/// A RST that a router sends on its own initiative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The router's virtual address, from which the RST is sent.
    pub at: IpAddr,
    /// The endpoint in whose name it is sent.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
}

/// A packet-level balancer. Its decisions are pure, and time is an argument.
pub trait PacketRouter {
    /// Decides whether and how the packet passes this router. The engine calls this for each packet, so it must be
    /// fast.
    fn departs(&mut self, packet: &PacketHead) -> Departure;

    /// Decides on a packet that arrived at the virtual address. `now` counts from the start.
    fn route(&mut self, packet: &PacketHead, now: Duration) -> Verdict;

    /// Adds the packets that the router sends on its own initiative. The engine calls this after packets were routed,
    /// at [`PacketRouter::next_deadline`], and after a [`Kick`](super::Kick).
    fn poll(&mut self, now: Duration, resets: &mut Vec<Reset>) {
        let _ = (now, resets);
    }

    /// Returns the time at which [`PacketRouter::poll`] is to be called next; `None`: there is no such time. The engine
    /// asks whenever all tasks are idle.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }
}
