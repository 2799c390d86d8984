//! Why a site does not start.

use std::net::IpAddr;

use stickler_lb_core::health::CheckError;
use stickler_model::Topology;
use stickler_site::SiteError;

use crate::ListenError;

/// Why a site could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checks cannot keep what they promise.
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// The topology has what there is in the simulated world alone.
    #[error("a site on real sockets has {has}: remove `{field}` from the topology, or run it in the simulation")]
    Unsupported {
        /// The topology's field.
        field: &'static str,
        /// What there is in its place.
        has: &'static str,
    },
    /// TLS is for this machine alone, as whoever trusts the authority does so on the word of a test bench.
    #[error(
        "TLS is served only on loopback addresses, and {0} is not one: leave out the address, or serve without TLS"
    )]
    NotLoopback(IpAddr),
    /// The topology makes no site, or a port cannot be had.
    #[error(transparent)]
    Site(#[from] SiteError<ListenError>),
}

/// Refuses a topology with more than there is here, or TLS on one of these addresses if it is none of loopback, rather than to leave some of it out without a word.
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
