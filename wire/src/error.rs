//! The errors of starting a site.

use std::net::IpAddr;

use stickler_lb_core::health::CheckError;
use stickler_model::Topology;
use stickler_site::SiteError;

use crate::ListenError;

/// Why a site could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checks cannot notice a failure within the time that they promise.
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// The topology has something that exists in the simulated world only.
    #[error("a site on real sockets has {has}: remove `{field}` from the topology, or run it in the simulation")]
    Unsupported {
        /// The field of the topology.
        field: &'static str,
        /// What real sockets have instead.
        has: &'static str,
    },
    /// TLS is served on loopback addresses only. A client that trusts the authority trusts a test bench, so TLS must
    /// not leave this machine.
    #[error(
        "TLS is served only on loopback addresses, and {0} is not one: leave out the address, or serve without TLS"
    )]
    NotLoopback(IpAddr),
    /// The topology cannot be assembled, or a port is not available.
    #[error(transparent)]
    Site(#[from] SiteError<ListenError>),
}

/// Refuses a topology with something that real sockets do not have, or with TLS on one of these addresses if it is
/// outside loopback. Otherwise a part of it would be left out silently.
pub(crate) fn refuse_unsupported(
    topology: &Topology,
    mut addresses: impl Iterator<Item = IpAddr>,
) -> Result<(), StartError> {
    let controllers = &topology.controllers;
    let one_in_order = matches!(&controllers[..], [only] if only.is_in_order());
    for (wanted, field, has) in [
        (!(controllers.is_empty() || one_in_order), "controllers", "one DC, `dc`, which is in order"),
        (topology.partner.is_some(), "partner", "one domain"),
        (topology.front.is_some(), "front", "one balancer"),
    ] {
        if wanted {
            return Err(StartError::Unsupported { field, has });
        }
    }
    match addresses.find(|address| topology.tls.is_some() && !address.is_loopback()) {
        Some(address) => Err(StartError::NotLoopback(address)),
        None => Ok(()),
    }
}
