//! Packets with logical addresses: the form in which a log sees them, and forged packets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport};

use super::router::PacketHead;

/// The function that is called for each packet, see [`Engine::set_packet_log`](super::Engine::set_packet_log).
pub type PacketLog = Box<dyn FnMut(&PacketRecord<'_>)>;

/// One packet on one link at the moment when it leaves. A packet that passes a router has two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRecord<'a> {
    /// The time at which the packet leaves its host, counted from the engine's start.
    pub sent: Duration,
    /// The time at which it arrives; `None` while it is held. A held packet is reported once more, with its time.
    pub arrives: Option<Duration>,
    /// The start of the link: a host or a virtual address.
    pub from: IpAddr,
    /// The end of the link.
    pub to: IpAddr,
    /// The source in the packet.
    pub src: SocketAddr,
    /// The destination in the packet.
    pub dst: SocketAddr,
    /// The flags SYN, ACK, FIN, RST and PSH.
    pub flags: TcpFlags,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement number, which is valid if `flags.ack` is set.
    pub ack: u32,
    /// The receive window in bytes.
    pub window: u16,
    /// The payload.
    pub payload: &'a Bytes,
}

/// A TCP segment with its addresses: the kernels' packet without its layers. The addresses are logical, except on the
/// last step into a kernel and on the first step out of one.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    /// The number of routers that it may still pass.
    pub(super) ttl: u8,
    pub(super) tcp: TcpSegment,
}

impl Segment {
    /// Returns the segment that a packet of a simulated host's kernel contains. Returns `None` for packets that are not TCP, which the engine's sockets never send.
    pub(super) fn from_packet(packet: Packet) -> Option<Self> {
        let Transport::Tcp(tcp) = packet.payload else { return None };
        let (src, dst) = (SocketAddr::new(packet.src, tcp.src_port), SocketAddr::new(packet.dst, tcp.dst_port));
        Some(Self { src, dst, ttl: packet.ttl, tcp })
    }

    /// Returns the segment as a packet that the kernels of the simulated hosts accept, addressed to `dst`.
    pub(super) fn into_packet(self, dst: SocketAddr) -> Packet {
        let mut tcp = self.tcp;
        tcp.src_port = self.src.port();
        tcp.dst_port = dst.port();
        Packet { src: self.src.ip(), dst: dst.ip(), ttl: self.ttl, payload: Transport::Tcp(tcp) }
    }

    pub(super) fn head(&self) -> PacketHead {
        PacketHead {
            src: self.src,
            dst: self.dst,
            flags: self.tcp.flags,
            seq: self.tcp.seq,
            ack: self.tcp.ack,
            payload_len: self.tcp.payload.len(),
        }
    }

    /// Returns whether the segment opens a connection.
    pub(super) fn is_syn(&self) -> bool {
        self.tcp.flags.syn && !self.tcp.flags.ack
    }

    /// Returns a RST that belongs to no received segment.
    pub(super) fn reset(src: SocketAddr, dst: SocketAddr) -> Self {
        Self::bare_reset(src, dst, 0, None)
    }

    /// Returns the last segment of a handshake.
    pub(super) fn acknowledgement(src: SocketAddr, dst: SocketAddr, ack: u32) -> Self {
        let mut segment = Self::bare_reset(src, dst, 0, Some(ack));
        segment.tcp.flags.rst = false;
        segment
    }

    /// Returns the RST with which a host without a matching socket answers (RFC 9293 3.10.7.1). There is no answer to a
    /// RST.
    pub(super) fn refusal(&self) -> Option<Self> {
        let flags = self.tcp.flags;
        if flags.rst {
            return None;
        }
        if flags.ack {
            return Some(Self::bare_reset(self.dst, self.src, self.tcp.ack, None));
        }
        let length = self.tcp.payload.len() as u32 + u32::from(flags.syn) + u32::from(flags.fin);
        Some(Self::bare_reset(self.dst, self.src, 0, Some(self.tcp.seq.wrapping_add(length))))
    }

    fn bare_reset(src: SocketAddr, dst: SocketAddr, seq: u32, ack: Option<u32>) -> Self {
        let flags = TcpFlags { rst: true, ack: ack.is_some(), ..TcpFlags::default() };
        let tcp = TcpSegment {
            src_port: src.port(),
            dst_port: dst.port(),
            seq,
            ack: ack.unwrap_or(0),
            flags,
            window: 0,
            payload: Bytes::new(),
        };
        Self { src, dst, ttl: 64, tcp }
    }
}
