//! The certificates of a site: one authority, and who shows which certificate where.

use std::io;
use std::sync::Arc;

use stickler_lb_proxy::UpstreamTls as TowardsServers;
use stickler_model::topology::{CertificateSpec, ServerSpec, TlsSpec, UpstreamTls};
use stickler_model::{Name, Topology};
use stickler_tls::{Authority, Certified, ClientTls, Random, ServerTls};

/// Gives the authority and each host a source of randomness of its own, by name. Where sources are seeded, what one of
/// them draws changes nothing that another draws.
pub type RandomFor = Arc<dyn Fn(&str) -> Random + Send + Sync>;

/// The certificates of a site with TLS.
pub struct SitePki {
    spec: TlsSpec,
    /// Whether the balancer terminates TLS.
    terminates: bool,
    authority: Authority,
    /// The site's certificate.
    site: Certified,
    /// What clients call the site.
    names: Vec<String>,
    domain: String,
    random: RandomFor,
}

impl SitePki {
    /// Creates the certificates for `topology`. `terminates` says whether the balancer terminates TLS or passes it
    /// through. Returns `None` if the topology does not use TLS.
    ///
    /// Clients call the site by any of `names` (DNS names, and IP addresses in text). A balancer expects the first of
    /// them in a certificate that it shares with its servers.
    ///
    /// # Errors
    /// Fails for a name that no certificate can hold.
    pub fn new(topology: &Topology, terminates: bool, names: &[String], random: RandomFor) -> io::Result<Option<Self>> {
        let Some(spec) = topology.tls else { return Ok(None) };
        let authority = Authority::new(random("the authority"));
        let site = authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let (names, domain) = (names.to_vec(), topology.domain.dns.clone());
        Ok(Some(Self { spec, terminates, authority, site, names, domain, random }))
    }

    /// What a server shows; `None` where TLS ends in front of it.
    ///
    /// # Errors
    /// Fails for a name that no certificate can hold.
    pub fn server(&self, spec: &ServerSpec) -> io::Result<Option<ServerTls>> {
        let name = &spec.name;
        if !self.secures_servers() {
            return Ok(None);
        }
        let full = format!("{name}.{}", self.domain);
        let of_site = self.names.iter().map(String::as_str);
        let names: Vec<&str> = [name.as_str(), &full].into_iter().chain(of_site).collect();
        let certified = match (spec.certificate, self.spec.upstream) {
            (CertificateSpec::Same, _) | (CertificateSpec::AsSite, UpstreamTls::Same) => self.site.clone(),
            (CertificateSpec::Own | CertificateSpec::AsSite, _) => self.authority.issue(&names)?,
            (CertificateSpec::Expired, _) => self.authority.issue_expired(&names)?,
            (CertificateSpec::OtherName, _) => self.authority.issue(&[&format!("old.{}", self.domain)])?,
        };
        // A balancer speaks HTTP/1.1 to servers, whatever they offer.
        let http2 = self.spec.http2 && !self.terminates;
        Ok(Some(ServerTls::new(&certified, http2, (self.random)(name.as_str()))))
    }

    /// What the balancer shows; `None` where it passes TLS on.
    pub fn front_end(&self, name: &Name) -> Option<ServerTls> {
        self.terminates.then(|| ServerTls::new(&self.site, self.spec.http2, (self.random)(name.as_str())))
    }

    /// How the balancer of this name, or whoever checks for it, speaks to servers; `None` where they have no TLS.
    pub fn towards_servers(&self, name: &Name) -> Option<TowardsServers> {
        if !self.secures_servers() {
            return None;
        }
        let client = ClientTls::new(&self.authority, false, (self.random)(&format!("{name} towards servers")));
        let shared = self.names.first().filter(|_| self.spec.upstream == UpstreamTls::Same);
        Some(TowardsServers { client, name: shared.map(|name| Name::from(name.as_str())) })
    }

    /// The TLS of a client that trusts the authority.
    pub fn client(&self, name: &Name) -> ClientTls {
        ClientTls::new(&self.authority, true, (self.random)(name.as_str()))
    }

    /// Whether servers speak TLS: to the balancer, or through one that passes it on.
    pub fn secures_servers(&self) -> bool {
        !(self.terminates && self.spec.upstream == UpstreamTls::Plain)
    }

    /// The authority, whose certificate whoever is to trust the site has to know.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}
