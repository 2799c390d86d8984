//! TLS of a world: one authority, and who shows which certificate where.

use std::sync::Arc;

use stickler_lb_core::UpstreamTls as Upstream;
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_model::{Entropy, Name, Topology, WorldError};
use stickler_net::tls::{Authority, Certified, ClientTls, Random, ServerTls};

use super::addresses::HOST_HEADER;

/// The certificates of a world with TLS. Whatever they draw is a host's own, so that none changes another's.
pub(super) struct Security {
    spec: TlsSpec,
    /// Whether TLS ends at the balancer.
    ends: bool,
    authority: Authority,
    /// The site's certificate.
    site: Certified,
    domain: String,
    seed: u64,
}

impl Security {
    /// That of a topology, with a balancer at which TLS `ends`, or which passes it on; `None` where there is no TLS.
    pub(super) fn new(topology: &Topology, ends: bool, seed: u64) -> Result<Option<Self>, WorldError> {
        let Some(spec) = topology.tls else { return Ok(None) };
        if topology.front.is_some() {
            return Err(WorldError::Invalid("TLS goes through one balancer here, and not through two".into()));
        }
        let authority = Authority::new(random(seed, "the authority"));
        let site = authority.issue(&[HOST_HEADER]).map_err(super::invalid)?;
        Ok(Some(Self { spec, ends, authority, site, domain: topology.domain.dns.clone(), seed }))
    }

    /// What a server shows; `None` where TLS ends in front of it.
    pub(super) fn server(&self, name: &Name) -> Result<Option<ServerTls>, WorldError> {
        let own = || {
            let names = [name.to_string(), format!("{name}.{}", self.domain), HOST_HEADER.to_owned()];
            self.authority.issue(&names.each_ref().map(String::as_str)).map_err(super::invalid)
        };
        let certified = match self.spec.upstream {
            UpstreamTls::Plain if self.ends => return Ok(None),
            UpstreamTls::Same => self.site.clone(),
            UpstreamTls::Own | UpstreamTls::Plain => own()?,
        };
        // A balancer speaks HTTP/1.1 to servers, whatever they offer.
        let http2 = self.spec.http2 && !self.ends;
        Ok(Some(ServerTls::new(&certified, http2, random(self.seed, name.as_str()))))
    }

    /// What the balancer shows; `None` where it passes TLS on.
    pub(super) fn front_end(&self, name: &Name) -> Option<ServerTls> {
        self.ends.then(|| ServerTls::new(&self.site, self.spec.http2, random(self.seed, name.as_str())))
    }

    /// How servers are spoken to, by the balancer or by who checks them; `None` where they have no TLS.
    pub(super) fn towards_servers(&self, name: &Name) -> Option<Upstream> {
        if self.ends && self.spec.upstream == UpstreamTls::Plain {
            return None;
        }
        let client = ClientTls::new(&self.authority, false, random(self.seed, &format!("{name} towards servers")));
        let shared = self.spec.upstream == UpstreamTls::Same;
        Some(Upstream { client, name: shared.then(|| Name::from(HOST_HEADER)) })
    }

    /// A client that trusts the authority.
    pub(super) fn client(&self, name: &Name) -> ClientTls {
        ClientTls::new(&self.authority, true, random(self.seed, name.as_str()))
    }
}

fn random(seed: u64, who: &str) -> Random {
    let entropy = Entropy::new(seed, &format!("TLS of {who}"));
    Arc::new(move |bytes: &mut [u8]| entropy.fill(bytes))
}
