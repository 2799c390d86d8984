//! Draws the servers and their authentication.

use std::time::Duration;

use stickler_model::topology::{
    AppPool, Checking, ControllerSpec, DomainSpec, IisVersion, PartnerSpec, Provider, ServerSpec, ServiceSpec, TlsSpec,
};
use stickler_model::{Topology, standard};

use super::{Draw, Features};

/// The account as which the application pools run if the site accepts Kerberos.
const SERVICE: &str = "svc-web";

/// The service principal name of the site.
const SPN: &str = "HTTP/www.corp.example";

/// Draws a site that is set up correctly, so that every failure has another cause.
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
    take_tickets(topology, providers);
    for server in &mut topology.servers {
        server.site.persist_non_ntlm = !features.not_persisted;
    }
}

/// Sets up a site so that its servers accept tickets under these providers: their application pools run as an account
/// that the whole farm shares.
pub(crate) fn take_tickets(topology: &mut Topology, providers: &[Provider]) {
    topology.domain.users.push(standard::account(SERVICE.to_owned()));
    topology.domain.services.push(ServiceSpec {
        account: SERVICE.to_owned(),
        spns: vec![SPN.to_owned()],
        trusted_for_delegation: false,
    });
    for server in &mut topology.servers {
        server.providers = providers.to_vec();
        server.site.pool = AppPool::Service(SERVICE.to_owned());
        server.site.kernel_mode = false;
    }
}
