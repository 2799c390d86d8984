//! What goes over the links of a simulated world, as a file for Wireshark (pcapng).
//!
//! * One interface for each link, named after its two ends: a packet that a packet-level balancer passes on is there twice, with
//!   the addresses that it has on either link.
//! * TCP with the kernels' own sequence numbers, and with right checksums. Packets begin with IP: there is no Ethernet.
//! * The names of all hosts (name resolution block), and the secrets of all TLS connections (decryption secrets block, as a key log
//!   of NSS).
//! * A site with TLS is on port 443. The simulated hosts have it on port 80, where Wireshark looks for nothing but HTTP.
//! * The keys of all accounts, as a key table beside the file: with it Wireshark decrypts Kerberos.
//!
//! The format is that of draft-ietf-opsawg-pcapng.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etherparse::{PacketBuilder, TcpHeader};
use indexmap::IndexSet;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::block_common::{Block, PcapNgBlock};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, Ipv6Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::{DataLink, Endianness};
use stickler_model::sync::Lock;
use stickler_model::{BalancerSpec, Name, Topology, World, WorldError};
use stickler_runner::Arm;
use turmoil_net::TcpFlags;

use crate::SimWorld;
use crate::engine::PacketRecord;

/// The most bytes of packets that a capture keeps.
pub const MAX_CAPTURE: usize = 1 << 30;

/// About what a packet takes beside its payload, in bytes.
const PACKET: usize = 160;

/// The routers that a packet may pass, as hosts send it.
const TTL: u8 = 64;

/// The port of the site, and the one that it has in the file where it speaks TLS.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Type of the decryption secrets block, which the library has no name for, and of the key log in it.
const DECRYPTION_SECRETS: u32 = 0x0000_000A;
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// Builds simulated worlds as [`SimArm`](crate::SimArm) does, and keeps what goes over the links of the last one. What it keeps
/// changes nothing in the world.
#[derive(Default)]
pub struct CaptureArm {
    last: Lock<Recorder>,
}

/// A capture that a world writes and its arm reads.
pub(crate) type Recorder = Arc<Lock<Capture>>;

/// What went over the links of a world.
#[derive(Default)]
pub struct Capture {
    packets: Vec<Sent>,
    bytes: usize,
    /// Seconds from 1970 to the world's start.
    epoch: u64,
    names: BTreeMap<IpAddr, Vec<Name>>,
    secrets: String,
    keytab: Vec<u8>,
    cut: bool,
}

/// A packet as it sets out on a link.
struct Sent {
    at: Duration,
    link: (IpAddr, IpAddr),
    src: SocketAddr,
    dst: SocketAddr,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    window: u16,
    payload: Bytes,
}

impl CaptureArm {
    /// Takes what went over the links of the world that was built last. It is whole once that has finished.
    pub fn take(&self) -> Capture {
        let recorder = Arc::clone(&self.last.lock());
        std::mem::take(&mut *recorder.lock())
    }
}

impl Arm for CaptureArm {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn build(&self, topology: Topology, balancer: &BalancerSpec, seed: u64) -> Result<Box<dyn World>, WorldError> {
        let recorder = Recorder::default();
        *self.last.lock() = Arc::clone(&recorder);
        Ok(Box::new(SimWorld::captured(topology, balancer, seed, recorder)?))
    }

    fn build_control(&self, topology: Topology, seed: u64) -> Result<Box<dyn World>, WorldError> {
        Ok(Box::new(SimWorld::control(topology, seed)?))
    }
}

impl Capture {
    /// Says when the world begins, in seconds since 1970.
    pub(crate) fn begin(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Keeps a packet. One that is held keeps waiting: it sets out when it is released.
    pub(crate) fn packet(&mut self, record: &PacketRecord<'_>) {
        if record.arrives.is_none() || self.cut {
            return;
        }
        let bytes = self.bytes + PACKET + record.payload.len();
        if bytes > MAX_CAPTURE {
            self.cut = true;
            return;
        }
        self.bytes = bytes;
        self.packets.push(Sent {
            at: record.sent,
            link: (record.from.min(record.to), record.from.max(record.to)),
            src: record.src,
            dst: record.dst,
            flags: record.flags,
            seq: record.seq,
            ack: record.ack,
            window: record.window,
            payload: record.payload.clone(),
        });
    }

    /// Keeps a line of a key log of TLS.
    pub(crate) fn secret(&mut self, line: &str) {
        self.secrets.push_str(line);
        self.secrets.push('\n');
    }

    /// Keeps who has which address, and the accounts' keys.
    pub(crate) fn end(&mut self, names: BTreeMap<IpAddr, Vec<Name>>, keytab: Vec<u8>) {
        (self.names, self.keytab) = (names, keytab);
    }

    /// Returns the number of packets.
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Returns whether there were more packets than [`MAX_CAPTURE`] allows, so that the last ones are missing.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Returns the keys of all accounts, as MIT's and Wireshark's key tables have them.
    pub fn keytab(&self) -> &[u8] {
        &self.keytab
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Whatever `out` says.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let about = SectionHeaderOption::UserApplication(Cow::Borrowed("stickler"));
        let header = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![about],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(out, header).map_err(io::Error::other)?;
        let mut write = |block: Block<'_>| writer.write_block(&block).map(drop).map_err(io::Error::other);
        write(self.name_resolution().into_block())?;
        if !self.secrets.is_empty() {
            let secrets = self.decryption_secrets();
            write(UnknownBlock::new(DECRYPTION_SECRETS, secrets.len() as u32 + 12, &secrets).into_block())?;
        }
        let links: IndexSet<(IpAddr, IpAddr)> = self.packets.iter().map(|packet| packet.link).collect();
        for link in &links {
            write(self.interface(*link).into_block())?;
        }
        let secured = self.secured();
        let mut bytes = Vec::new();
        for packet in &self.packets {
            bytes.clear();
            packet.encode(&secured, &mut bytes)?;
            let block = EnhancedPacketBlock {
                interface_id: links.get_index_of(&packet.link).unwrap_or(0) as u32,
                timestamp: Duration::from_secs(self.epoch) + packet.at,
                original_len: bytes.len() as u32,
                data: Cow::Borrowed(&bytes),
                options: Vec::new(),
            };
            write(block.into_block())?;
        }
        Ok(())
    }

    /// The ends of the site that speak TLS: those to which somebody sends a ClientHello (RFC 8446 5.1, a record of type 22).
    fn secured(&self) -> BTreeSet<SocketAddr> {
        let hello = |packet: &&Sent| packet.dst.port() == HTTP && packet.payload.starts_with(&[22, 3]);
        self.packets.iter().filter(hello).map(|packet| packet.dst).collect()
    }

    fn name_resolution(&self) -> NameResolutionBlock<'_> {
        let record = |(ip, names): (&IpAddr, &'_ Vec<Name>)| {
            let names = names.iter().map(|name| Cow::Owned(name.to_string())).collect();
            match *ip {
                IpAddr::V4(ip_addr) => Record::Ipv4(Ipv4Record { ip_addr, names }),
                IpAddr::V6(ip_addr) => Record::Ipv6(Ipv6Record { ip_addr, names }),
            }
        };
        NameResolutionBlock { records: self.names.iter().map(record).collect(), options: Vec::new() }
    }

    /// The body of the block: type, length and text, padded.
    fn decryption_secrets(&self) -> Vec<u8> {
        let mut body = TLS_KEY_LOG.to_le_bytes().to_vec();
        body.extend_from_slice(&(self.secrets.len() as u32).to_le_bytes());
        body.extend_from_slice(self.secrets.as_bytes());
        body.resize(body.len().next_multiple_of(4), 0);
        body
    }

    fn interface(&self, (one, other): (IpAddr, IpAddr)) -> InterfaceDescriptionBlock<'static> {
        let name = |ip: IpAddr| {
            let names = self.names.get(&ip).map(|names| names.iter().map(Name::as_str).collect::<Vec<_>>().join("+"));
            names.unwrap_or_else(|| ip.to_string())
        };
        let name = InterfaceDescriptionOption::IfName(Cow::Owned(format!("{} - {}", name(one), name(other))));
        let nanoseconds = InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO);
        InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options: vec![name, nanoseconds] }
    }
}

impl Sent {
    /// The packet as IP sends it.
    fn encode(&self, secured: &BTreeSet<SocketAddr>, out: &mut Vec<u8>) -> io::Result<()> {
        let port = |end: &SocketAddr| if secured.contains(end) { HTTPS } else { end.port() };
        let mut tcp = TcpHeader::new(port(&self.src), port(&self.dst), self.seq, self.window);
        tcp.acknowledgment_number = self.ack;
        (tcp.syn, tcp.ack, tcp.fin) = (self.flags.syn, self.flags.ack, self.flags.fin);
        (tcp.rst, tcp.psh) = (self.flags.rst, self.flags.psh);
        let packet = match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => PacketBuilder::ipv4(src.octets(), dst.octets(), TTL),
            (IpAddr::V6(src), IpAddr::V6(dst)) => PacketBuilder::ipv6(src.octets(), dst.octets(), TTL),
            _ => return Err(io::Error::other("a packet from one family of addresses to another")),
        };
        packet.tcp_header(tcp).write(out, &self.payload).map_err(io::Error::other)
    }
}
