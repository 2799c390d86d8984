//! Who has which address. Traces show them, so they are fixed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stickler_model::WorldError;

/// Where a DC serves logons.
const LOGONS: u16 = 445;

/// Where a DC serves tickets, over TCP.
const TICKETS: u16 = 88;

/// The logon service of the partner's domain.
pub(super) const PARTNER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 70)), LOGONS);

/// The balancer's front end: what clients connect to.
pub(super) const FRONT_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 80)), 80);

/// A second balancer in front of it, where there is one.
pub(super) const SECOND_FRONT_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 79)), 80);

/// Who checks the backends for a packet-level balancer, which has no host of its own.
pub(super) const CHECKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 81)), 80);

/// The site's name in `Host`.
pub(super) const HOST_HEADER: &str = "www.corp.example";

/// The logon service of the domain's DC of that index: 10.0.0.1 and on.
pub(super) fn controller(index: usize) -> Result<SocketAddr, WorldError> {
    Ok(SocketAddr::new(number(Ipv4Addr::new(10, 0, 0, 0), index, 60, "DCs")?, LOGONS))
}

/// The KDC of the DC whose logon service is this.
pub(super) fn kdc(logons: SocketAddr) -> SocketAddr {
    SocketAddr::new(logons.ip(), TICKETS)
}

/// The backend of that index: 10.0.1.1 and on.
pub(super) fn server(index: usize) -> Result<SocketAddr, WorldError> {
    Ok(SocketAddr::new(number(Ipv4Addr::new(10, 0, 1, 0), index, 254, "backends")?, 80))
}

/// The client of that index: 10.1.0.0 and on.
pub(super) fn client(index: usize) -> Result<IpAddr, WorldError> {
    number(Ipv4Addr::new(10, 1, 0, 0), index, 1 << 18, "clients")
}

fn number(base: Ipv4Addr, index: usize, most: usize, what: &str) -> Result<IpAddr, WorldError> {
    if index >= most {
        return Err(WorldError::Invalid(format!("there cannot be more than {most} {what}")));
    }
    Ok(Ipv4Addr::from_bits(base.to_bits() + 1 + index as u32).into())
}
