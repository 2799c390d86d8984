//! TLS of a world.

use std::sync::Arc;

use stickler_agents::Security;
use stickler_model::{Entropy, Topology, WorldError};

use super::addresses::HOST_HEADER;

/// That of a topology, with a balancer at which TLS `ends`, or which passes it on; `None` where there is no TLS.
pub(super) fn security(topology: &Topology, ends: bool, seed: u64) -> Result<Option<Security>, WorldError> {
    if topology.tls.is_some() && topology.front.is_some() {
        return Err(WorldError::Invalid("TLS goes through one balancer here, and not through two".into()));
    }
    let random = move |who: &str| -> stickler_tls::Random {
        let entropy = Entropy::new(seed, &format!("TLS of {who}"));
        Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes))
    };
    Security::new(topology, ends, &[HOST_HEADER], random).map_err(super::invalid)
}
