//! The hook for packet-level balancers: virtual addresses that no host owns.
//!
//! A router stands *between* links: a packet to it travels the link from its sender to the virtual
//! address, is decided on when it arrives there, and then travels the link to where it goes next.
//! So latency, hold and loss apply to either side of a balancer separately.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turmoil_net::TcpFlags;

/// What a router sees of a TCP segment. Addresses are logical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHead {
    /// Sender.
    pub src: SocketAddr,
    /// Destination.
    pub dst: SocketAddr,
    /// SYN, ACK, FIN, RST, PSH.
    pub flags: TcpFlags,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; counts where `flags.ack` is set.
    pub ack: u32,
    /// Bytes of payload.
    pub payload_len: usize,
}

/// How a packet leaves its host, asked of each router in turn when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Not this router's concern.
    Direct,
    /// Straight to its destination, but with this source: a direct server return, where the server
    /// itself answers from the virtual address.
    DirectFrom(SocketAddr),
    /// By way of this virtual address, where [`PacketRouter::route`] decides.
    Via(IpAddr),
}

/// What a router does with a packet that reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on with these addresses.
    Forward {
        /// The source it shows from here.
        src: SocketAddr,
        /// The destination it has from here.
        dst: SocketAddr,
    },
    /// Swallow it.
    Drop,
    /// Answer with RST in the name of its destination.
    Reset,
}

/// A RST that a router sends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The router's virtual address, where it sets out.
    pub at: IpAddr,
    /// In whose name.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
}

/// A packet-level balancer: pure decisions, time comes in as an argument.
pub trait PacketRouter {
    /// Whether and how the packet passes this router. Called for each packet, so it must be quick.
    fn departs(&mut self, packet: &PacketHead) -> Departure;

    /// Decides on a packet that arrived at the virtual address; `now` counts from the start.
    fn route(&mut self, packet: &PacketHead, now: Duration) -> Verdict;

    /// Adds what the router sends without a packet that asks for it. Called after packets were
    /// routed, when [`PacketRouter::next_deadline`] is there, and after a [`Kick`](super::Kick).
    fn poll(&mut self, now: Duration, resets: &mut Vec<Reset>) {
        let _ = (now, resets);
    }

    /// When [`PacketRouter::poll`] is to be called next; `None`: not for the sake of time. It is
    /// asked whenever all tasks are idle.
    fn next_deadline(&self) -> Option<Duration> {
        None
    }
}
