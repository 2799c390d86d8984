//! The addresses of hosts and clients. They are fixed, because traces show them.

use std::net::{IpAddr, Ipv4Addr};

use stickler_model::WorldError;
use stickler_site::{Role, Service};

/// The name of the site in `Host`.
pub(super) const HOST_HEADER: &str = "www.corp.example";

/// Returns the address of a host of the site.
pub(super) fn of(role: Role) -> Result<IpAddr, WorldError> {
    match role {
        Role::Controller(index) => number(Ipv4Addr::new(10, 0, 0, 0), index, 60, "DCs"),
        Role::PartnerController => Ok(Ipv4Addr::new(10, 0, 0, 70).into()),
        Role::Front => Ok(Ipv4Addr::new(10, 0, 0, 79).into()),
        Role::Balancer => Ok(Ipv4Addr::new(10, 0, 0, 80).into()),
        Role::Checker => Ok(Ipv4Addr::new(10, 0, 0, 81).into()),
        Role::Server(index) => number(Ipv4Addr::new(10, 0, 1, 0), index, 254, "backends"),
    }
}

/// Returns the port of a service, which is the same on every host.
pub(super) const fn port(service: Service) -> u16 {
    match service {
        Service::Logons => 445,
        Service::Tickets => 88,
        Service::Http => 80,
    }
}

/// Returns the address of the client with this index: 10.1.0.0 and following.
pub(super) fn client(index: usize) -> Result<IpAddr, WorldError> {
    number(Ipv4Addr::new(10, 1, 0, 0), index, 1 << 18, "clients")
}

fn number(base: Ipv4Addr, index: usize, most: usize, what: &str) -> Result<IpAddr, WorldError> {
    if index >= most {
        return Err(WorldError::Invalid(format!("there cannot be more than {most} {what}")));
    }
    Ok(Ipv4Addr::from_bits(base.to_bits() + 1 + index as u32).into())
}
