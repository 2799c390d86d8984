//! The certificates of a site: one authority, and the certificates of servers and balancers.

use std::io;
use std::sync::Arc;

use stickler_lb_proxy::UpstreamTls as Upstream;
use stickler_model::topology::{BetweenTls, CertificateSpec, ServerSpec, TlsSpec, UpstreamTls};
use stickler_model::{Name, Topology};
use stickler_tls::{Authority, Certified, ClientTls, KeySink, Random, ServerTls};

use crate::site::FRONT;

/// Returns the source of randomness of the authority or of a host, by name. If the sources are seeded, drawing from one
/// of them does not change the others.
pub type RandomFor = Arc<dyn Fn(&str) -> Random + Send + Sync>;

/// The balancers at which TLS ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsEnds {
    /// Whether TLS ends at the second balancer in front, if there is one.
    pub front: bool,
    /// Whether TLS ends at the balancer under test.
    pub balancer: bool,
}

/// The certificates of a site with TLS.
pub struct SitePki {
    spec: TlsSpec,
    ends: TlsEnds,
    authority: Authority,
    /// The site's certificate.
    site: Certified,
    /// The names by which clients refer to the site.
    names: Vec<String>,
    domain: String,
    random: RandomFor,
    /// The function that receives the secrets of all connections.
    keys: Option<KeySink>,
}

impl SitePki {
    /// Creates the certificates for `topology`. Balancers at which TLS does not end pass it through. Returns `None` if
    /// the topology does not use TLS.
    ///
    /// Clients refer to the site by any of `names` (DNS names, and IP addresses in text). A balancer expects the first
    /// of them in a certificate that it shares with its servers.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names.
    pub fn new(topology: &Topology, ends: TlsEnds, names: &[String], random: RandomFor) -> io::Result<Option<Self>> {
        let Some(spec) = topology.tls else { return Ok(None) };
        let authority = Authority::new(random("the authority"));
        let site = authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let (names, domain) = (names.to_vec(), topology.domain.dns.clone());
        Ok(Some(Self { spec, ends, authority, site, names, domain, random, keys: None }))
    }

    /// Hands `sink` the secrets of every TLS connection of the site, of which one end is always a server's or a balancer's.
    #[must_use]
    pub fn with_key_log(self, keys: Option<KeySink>) -> Self {
        Self { keys, ..self }
    }

    /// Returns the TLS settings of the machine with this name, which shows this certificate.
    fn end(&self, certified: &Certified, name: &Name) -> ServerTls {
        let tls = ServerTls::new(certified, self.spec.http2, (self.random)(name.as_str()));
        match &self.keys {
            Some(keys) => tls.with_key_log(Arc::clone(keys)),
            None => tls,
        }
    }

    /// Returns the TLS settings of a server; `None` if TLS ends in front of it.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names.
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
        Ok(Some(self.end(&certified, name)))
    }

    /// Returns the TLS settings of the balancer with this name towards its clients; `None` if it passes TLS on, or
    /// receives none.
    pub fn front_end(&self, name: &Name) -> Option<ServerTls> {
        let ends = if is_front(name) { self.ends.front } else { self.ends.balancer && !self.is_plain_between() };
        ends.then(|| self.end(&self.site, name))
    }

    /// Returns the TLS settings that the balancer with this name, or its health checks, uses towards the servers or the
    /// other balancer behind it. Returns `None` if there is no TLS. The result offers HTTP/2; a caller that does not
    /// speak HTTP/2 must withdraw the offer.
    pub fn upstream(&self, name: &Name) -> Option<Upstream> {
        let (secured, shared) = if is_front(name) {
            (self.ends.front && !self.is_plain_between(), true)
        } else {
            (self.secures_servers(), self.spec.upstream == UpstreamTls::Same)
        };
        let client = || ClientTls::new(&self.authority, true, (self.random)(&format!("{name} towards servers")));
        let of_site = self.names.first().filter(|_| shared).map(|name| Name::from(name.as_str()));
        secured.then(|| Upstream { client: client(), name: of_site })
    }

    /// Returns the TLS settings of a client that trusts the authority.
    pub fn client(&self, name: &Name) -> ClientTls {
        ClientTls::new(&self.authority, true, (self.random)(name.as_str()))
    }

    /// Returns whether servers speak TLS, either to the balancer or through one that passes it on.
    pub fn secures_servers(&self) -> bool {
        if self.ends.balancer { self.spec.upstream != UpstreamTls::Plain } else { !self.is_plain_between() }
    }

    /// Returns whether the balancer under test receives plain HTTP.
    fn is_plain_between(&self) -> bool {
        self.ends.front && self.spec.between == BetweenTls::Plain
    }

    /// Returns the site's certificate and key as PEM, for a program that terminates TLS in place of the balancer.
    ///
    /// # Errors
    /// This function returns the same errors as [`Certified::pem`].
    pub fn site_pem(&self) -> io::Result<String> {
        self.site.pem()
    }

    /// Returns the authority, whose certificate a client needs in order to trust the site.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// Returns whether this is the balancer in front of the one under test.
fn is_front(name: &Name) -> bool {
    name.as_str() == FRONT
}
