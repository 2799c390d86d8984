//! The PROXY protocol (HAProxy, `doc/proxy-protocol.txt`, versions 1 and 2): the first bytes of a connection name the
//! client for whom a balancer opened it.
//!
//! The `ppp` crate writes and parses the header. This module determines how much of a stream belongs to the header, so
//! that no byte after it is consumed.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use stickler_lb_core::ProxyProtocol;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The maximum length of a version 1 header, including the line end (section 2.1), in bytes.
const V1_MOST: usize = 107;
/// The minimum length of a header of either version, in bytes: `PROXY UNKNOWN` with its line end. The fixed part of
/// version 2 has 16 bytes.
const LEAST: usize = 15;
const V2_FIXED: usize = 16;
/// The maximum length of a version 2 header after its fixed part, in bytes. The specification requires room for 216
/// bytes of addresses; the rest is for TLVs, which are ignored. A longer header is refused.
const V2_MOST: usize = 4096;
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Returns the header of a connection that is opened for `client`, who connected to `front`. A header cannot express
/// two different address families. In that case, it says that the client is not known (`UNKNOWN`, `AF_UNSPEC`).
pub fn header(version: ProxyProtocol, client: SocketAddr, front: SocketAddr) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => v1::Addresses::from((client, front)).to_string().into_bytes(),
        ProxyProtocol::V2 => {
            let addresses = v2::Addresses::from((client, front));
            v2::Builder::with_addresses(v2::Version::Two | v2::Command::Proxy, v2::Protocol::Stream, addresses)
                .build()
                .expect("two addresses are shorter than 65,536 bytes")
        }
    }
}

/// Reads a header, and no byte after it. Returns the client that it names. Returns `None` if it names no client, so the
/// connection's own address counts: for a balancer's own health check (`LOCAL`) or an unknown protocol (`UNKNOWN`).
///
/// # Errors
/// `InvalidData` if the stream does not begin with a header, or the header has more than 4,112 bytes; `UnexpectedEof`
/// if the stream ends within it; and any error of the stream.
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; LEAST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(V2_SIGNATURE) {
        header.resize(V2_FIXED, 0);
        stream.read_exact(&mut header[LEAST..]).await?;
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if length > V2_MOST {
            return Err(not_one("it is longer than any balancer's"));
        }
        header.resize(V2_FIXED + length, 0);
        stream.read_exact(&mut header[V2_FIXED..]).await?;
        return client_v2(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(not_one("there is none"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= V1_MOST {
            return Err(not_one("its line does not end"));
        }
        // The bytes are read one at a time, since the next one may be the last of the header.
        header.push(stream.read_u8().await?);
    }
    client_v1(&header)
}

fn client_v1(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v1::Header::try_from(header).map_err(|error| not_one(&error.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

fn client_v2(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v2::Header::try_from(header).map_err(|error| not_one(&error.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}

fn not_one(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no PROXY protocol header: {why}"))
}
