//! Writes a capture as a file for Wireshark (pcapng).
//!
//! * There is one interface for each link, named after its two ends. A packet that a packet-level balancer passes on
//!   therefore occurs twice, with the addresses that it has on either link.
//! * TCP has the sequence numbers of the kernels, and correct checksums. Packets begin with IP: there is no Ethernet.
//! * The file contains the names of all hosts (name resolution block), and the secrets of all TLS connections
//!   (decryption secrets block, as a key log of NSS).
//! * A site with TLS is on port 443. The simulated hosts have it on port 80, where Wireshark expects only HTTP.
//! * The keys of all accounts are in a key table beside the file, with which Wireshark decrypts Kerberos.
//!
//! The format is specified in draft-ietf-opsawg-pcapng.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
use stickler_model::Name;

use super::{Capture, Sent};

/// The time to live of a packet as hosts send it, which is the number of routers that it may pass.
const TTL: u8 = 64;

/// The port of the simulated site. In the file, a site that uses TLS is on the port `HTTPS` instead.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The type of the decryption secrets block, for which the library has no name, and the type of the key log in it.
const DECRYPTION_SECRETS: u32 = 0x0000_000A;
const TLS_KEY_LOG: u32 = 0x544c_534b;

impl Capture {
    /// Writes the file.
    ///
    /// # Errors
    /// The writer `out` returns an error.
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

    /// Returns the ends of the site that use TLS: those to which a ClientHello is sent (RFC 8446 5.1, a record of type
    /// 22).
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

    /// Returns the body of the block: type, length and text, padded.
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
    /// Encodes the packet as IP sends it.
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
