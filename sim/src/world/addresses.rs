//! Who has which address. Traces show them, so they are fixed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use stickler_model::WorldError;

/// The domain controller's logon service.
pub(super) const DC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 445);

/// The domain controller's KDC, over TCP.
pub(super) const KDC: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 88);

/// The balancer's front end: what clients connect to.
pub(super) const FRONT_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 80)), 80);

/// A second balancer in front of it, where there is one.
pub(super) const SECOND_FRONT_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 79)), 80);

/// Who checks the backends for a packet-level balancer, which has no host of its own.
pub(super) const CHECKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 81)), 80);

/// The site's name in `Host`.
pub(super) const HOST_HEADER: &str = "www.corp.example";

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
