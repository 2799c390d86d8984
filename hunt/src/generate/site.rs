//! The servers, and how they authenticate.

use std::time::Duration;

use stickler_model::topology::{AppPool, Provider, ServiceSpec, TlsSpec};
use stickler_model::{Topology, standard};

use super::{Draw, Features};

/// The account that the application pools run as where the site takes Kerberos.
const SERVICE: &str = "svc-web";

/// The name of the site for Kerberos.
const SPN: &str = "HTTP/www.corp.example";

/// Draws a site that is set up well, so that whatever goes wrong has another cause.
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
    topology
}

fn take_kerberos(draw: &Draw, features: &Features, topology: &mut Topology) {
    let ways: [&[Provider]; 3] =
        [&[Provider::NegotiateKerberos], &[Provider::Negotiate], &[Provider::Negotiate, Provider::Ntlm]];
    let providers = *draw.one_of(&ways);
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
        server.site.persist_non_ntlm = !features.not_persisted;
    }
}
