//! Draws the servers and their authentication.

use std::time::Duration;

use stickler_model::topology::{
    Checking, ControllerSpec, DomainSpec, IisVersion, PartnerSpec, Provider, ServerSpec, TlsSpec,
};
use stickler_model::{Topology, standard};

use super::{Draw, Features};

/// Draws a site that is set up correctly, so every failure has another cause.
pub(super) fn draw(draw: &Draw, features: &Features) -> Topology {
    let backends = if features.farm { draw.between(2, 3) as u32 } else { 1 };
    let mut topology = standard::site(backends);
    if features.jitter {
        topology.link.jitter = Duration::from_micros(*draw.one_of(&[50, 100, 200]));
    }
    if features.tls {
        topology.tls = Some(TlsSpec { http2: features.http2, ..TlsSpec::default() });
    }
    if features.kerberos {
        take_kerberos(draw, features, &mut topology);
    }
    if features.tls && features.extended_protection {
        let checking = *draw.one_of(&[Checking::Allow, Checking::Require]);
        topology.servers.iter_mut().for_each(|server| server.site.protection.checking = checking);
    }
    if features.odd_server {
        let odd = draw.between(0, u64::from(backends) - 1) as usize;
        make_odd(draw, &mut topology.servers[odd]);
    }
    if features.second_controller {
        topology.controllers = ["dc", "dc2"].map(|name| ControllerSpec::new(name.into())).into();
    }
    if features.partner {
        topology.partner = Some(PartnerSpec::trusted(&mut topology.domain, partner(), "Trust-Pa55word"));
    }
    if features.lockout {
        topology.domain.lockout_threshold = Some(draw.between(3, 6) as u32);
    }
    topology
}

/// Changes the settings of one server, so that it differs from the others.
fn make_odd(draw: &Draw, server: &mut ServerSpec) {
    match draw.between(0, 1) {
        0 => server.version = IisVersion::Iis6,
        _ => server.site.connection_timeout = Duration::from_secs(*draw.one_of(&[10, 60])),
    }
}

/// The user of the partner's domain.
pub(super) const STRANGER: &str = "pat";

/// Returns the trusted domain.
fn partner() -> DomainSpec {
    DomainSpec {
        netbios: PARTNER.into(),
        dns: "partner.example".into(),
        users: vec![standard::account(STRANGER.to_owned())],
        ..DomainSpec::default()
    }
}

/// The NetBIOS name of the trusted domain.
pub(super) const PARTNER: &str = "PARTNER";

fn take_kerberos(draw: &Draw, features: &Features, topology: &mut Topology) {
    let ways: [&[Provider]; 3] =
        [&[Provider::NegotiateKerberos], &[Provider::Negotiate], &[Provider::Negotiate, Provider::Ntlm]];
    let providers = *draw.one_of(&ways);
    standard::accept_tickets(topology, providers);
    for server in &mut topology.servers {
        server.site.persist_non_ntlm = !features.not_persisted;
    }
}
