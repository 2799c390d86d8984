//! The addresses of clients on this machine.

use std::net::{IpAddr, Ipv4Addr};

use stickler_model::WorldError;

/// The name of the site in `Host`.
pub(crate) const HOST_HEADER: &str = "www.corp.example";

/// The maximum number of clients, whose addresses are in 127.1.0.0/16.
const MOST: usize = 1 << 16;

/// Returns the address of the client with this index. Each client has its own, because balancers distinguish clients by
/// their addresses.
pub(crate) fn client(index: usize) -> Result<IpAddr, WorldError> {
    if index + 1 >= MOST {
        return Err(WorldError::Invalid(format!("there cannot be more than {} clients", MOST - 2)));
    }
    Ok(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + 1 + index as u32).into())
}

/// Returns the address of the sender of the probe with this number. The probes determine whether a balancer reaches its
/// servers. The address is in 127.2.0.0/16, where no client is. The third byte changes first, because nginx's
/// `ip_hash` considers the first three (<https://nginx.org/en/docs/http/ngx_http_upstream_module.html#ip_hash>).
pub(crate) fn probe(number: usize) -> IpAddr {
    let [.., high, low] = (number % (MOST / 2)).to_be_bytes();
    Ipv4Addr::new(127, 2, low, high + 1).into()
}
