//! TLS of a site on real sockets.

use std::net::IpAddr;
use std::sync::Arc;

use stickler_agents::Security;
use stickler_model::Topology;
use stickler_tls::Random;

use crate::StartError;

/// That of a topology, with a balancer at which TLS `ends`, or which passes it on; `None` where there is no TLS.
///
/// Keys are the operating system's, and not of the site's seed: who knows the seed is not to be trusted by whoever
/// trusts the authority.
pub(crate) fn security(topology: &Topology, ends: bool, address: IpAddr) -> Result<Option<Security>, StartError> {
    let (address, own) = (address.to_string(), format!("www.{}", topology.domain.dns));
    let mut names = vec!["localhost", "127.0.0.1", &own];
    if !names.contains(&address.as_str()) {
        names.push(&address);
    }
    Security::new(topology, ends, &names, |_| random()).map_err(StartError::Certificate)
}

fn random() -> Random {
    // rustls draws through this, and has no way to pass an error on. There is none past a system's start.
    Arc::new(|bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system has random numbers once it is up"))
}
