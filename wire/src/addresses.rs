//! Who has which address of this machine.

use std::net::{IpAddr, Ipv4Addr};

use stickler_model::WorldError;

/// The site's name in `Host`.
pub(crate) const HOST_HEADER: &str = "www.corp.example";

/// Most clients: they are in 127.1.0.0/16.
const MOST: usize = 1 << 16;

/// The address of the client of that index: balancers keep clients apart by their addresses.
pub(crate) fn client(index: usize) -> Result<IpAddr, WorldError> {
    if index + 1 >= MOST {
        return Err(WorldError::Invalid(format!("there cannot be more than {} clients", MOST - 2)));
    }
    Ok(Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + 1 + index as u32).into())
}

/// The address of whoever asks, for that often, whether a balancer reaches its servers: in 127.2.0.0/16, which no client is in. The
/// third byte changes first, since nginx's `ip_hash` looks at the first three
/// (<https://nginx.org/en/docs/http/ngx_http_upstream_module.html#ip_hash>).
pub(crate) fn probe(number: usize) -> IpAddr {
    let [.., high, low] = (number % (MOST / 2)).to_be_bytes();
    Ipv4Addr::new(127, 2, low, high + 1).into()
}
