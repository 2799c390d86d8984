//! TLS of a site: one authority, and who shows which certificate where.

use std::io;

use stickler_lb_proxy::UpstreamTls as Upstream;
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_model::{Name, Topology};
use stickler_tls::{Authority, Certified, ClientTls, Random, ServerTls};

/// The certificates of a site with TLS. Whatever a host draws comes from a source of its own, so that where sources are
/// seeded none changes another's.
pub struct Security {
    spec: TlsSpec,
    /// Whether TLS ends at the balancer.
    ends: bool,
    authority: Authority,
    /// The site's certificate.
    site: Certified,
    /// What clients call the site.
    names: Vec<String>,
    domain: String,
    random: Box<dyn Fn(&str) -> Random + Send + Sync>,
}

impl Security {
    /// That of a topology, with a balancer at which TLS `ends`, or which passes it on; `None` where there is no TLS.
    ///
    /// Clients call the site by any of `names` (DNS names, IP addresses); a balancer wants the first of a certificate
    /// that it shares with its servers. `random` gives each host its source, by name.
    ///
    /// # Errors
    /// A name that no certificate can hold.
    pub fn new(
        topology: &Topology,
        ends: bool,
        names: &[&str],
        random: impl Fn(&str) -> Random + Send + Sync + 'static,
    ) -> io::Result<Option<Self>> {
        let Some(spec) = topology.tls else { return Ok(None) };
        let authority = Authority::new(random("the authority"));
        let site = authority.issue(names)?;
        let names = names.iter().map(ToString::to_string).collect();
        let (domain, random) = (topology.domain.dns.clone(), Box::new(random));
        Ok(Some(Self { spec, ends, authority, site, names, domain, random }))
    }

    /// What a server shows; `None` where TLS ends in front of it.
    ///
    /// # Errors
    /// A name that no certificate can hold.
    pub fn server(&self, name: &Name) -> io::Result<Option<ServerTls>> {
        if !self.secures_servers() {
            return Ok(None);
        }
        let certified = match self.spec.upstream {
            UpstreamTls::Same => self.site.clone(),
            UpstreamTls::Own | UpstreamTls::Plain => {
                let full = format!("{name}.{}", self.domain);
                let of_site = self.names.iter().map(String::as_str);
                let names: Vec<&str> = [name.as_str(), &full].into_iter().chain(of_site).collect();
                self.authority.issue(&names)?
            }
        };
        // A balancer speaks HTTP/1.1 to servers, whatever they offer.
        let http2 = self.spec.http2 && !self.ends;
        Ok(Some(ServerTls::new(&certified, http2, (self.random)(name.as_str()))))
    }

    /// What the balancer shows; `None` where it passes TLS on.
    pub fn front_end(&self, name: &Name) -> Option<ServerTls> {
        self.ends.then(|| ServerTls::new(&self.site, self.spec.http2, (self.random)(name.as_str())))
    }

    /// How servers are spoken to, by the balancer or by who checks them; `None` where they have no TLS.
    pub fn towards_servers(&self, name: &Name) -> Option<Upstream> {
        if !self.secures_servers() {
            return None;
        }
        let client = ClientTls::new(&self.authority, false, (self.random)(&format!("{name} towards servers")));
        let shared = self.names.first().filter(|_| self.spec.upstream == UpstreamTls::Same);
        Some(Upstream { client, name: shared.map(|name| Name::from(name.as_str())) })
    }

    /// A client that trusts the authority.
    pub fn client(&self, name: &Name) -> ClientTls {
        ClientTls::new(&self.authority, true, (self.random)(name.as_str()))
    }

    /// Whether servers speak TLS: to the balancer, or through one that passes it on.
    pub fn secures_servers(&self) -> bool {
        !(self.ends && self.spec.upstream == UpstreamTls::Plain)
    }

    /// The authority, whose certificate whoever is to trust the site has to know.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}
