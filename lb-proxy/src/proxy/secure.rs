//! TLS on either side of a balancer at which it ends: termination in front, re-encryption behind.

use std::io;
use std::sync::Arc;

use stickler_model::Name;
use stickler_net::Stream;
use stickler_tls::{Authority, ClientTls, Random, Secured};

use stickler_lb_core::{Backend, UpstreamHttp};

/// TLS towards the backends.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// Whom the balancer trusts. It offers HTTP/2 where the balancer is to speak it ([`crate::HttpProxyConfig::hops`]), and
    /// not otherwise.
    pub client: ClientTls,
    /// The name that each backend's certificate has to have. `None`: the backend's own ([`Backend::name`]).
    pub name: Option<Name>,
}

impl UpstreamTls {
    /// Trusts what `client` trusts, and takes each backend at its own name.
    pub const fn new(client: ClientTls) -> Self {
        Self { client, name: None }
    }

    /// The same, offering HTTP/1.1 alone.
    #[must_use]
    pub fn http1(self) -> Self {
        Self { client: self.client.http1(), ..self }
    }

    /// Does the handshake on a connection to this backend. There is no time limit of its own.
    ///
    /// # Errors
    /// What was wrong with the backend's certificate, or that it speaks no TLS.
    pub async fn connect<S: Stream>(&self, backend: &Backend, stream: S) -> io::Result<Secured<S>> {
        self.client.connect(self.name.as_ref().unwrap_or(&backend.name).as_str(), stream).await
    }
}

/// The settings of upstream connections, by what the connection is for.
pub(super) struct Transports {
    shared: Versions,
    /// Those of dedicated connections, where they are others: the defect of [`crate::HttpProxyConfig::tls_drifts`].
    dedicated: Option<Versions>,
}

/// The TLS settings towards servers, in two versions: one offers HTTP/1.1 alone (ALPN, RFC 7301), the other HTTP/2 as well.
struct Versions {
    http1: UpstreamTls,
    any: UpstreamTls,
}

impl Versions {
    fn new(tls: UpstreamTls) -> Self {
        Self { http1: tls.clone().http1(), any: tls }
    }
}

impl Transports {
    pub(super) fn new(tls: UpstreamTls, drifts: bool) -> Self {
        let dedicated = drifts.then(|| Versions::new(UpstreamTls { client: trusting_nobody(), ..tls.clone() }));
        Self { shared: Versions::new(tls), dedicated }
    }

    /// Whether a connection that is its client's own from the start has settings of its own.
    pub(super) const fn tell_apart(&self) -> bool {
        self.dedicated.is_some()
    }

    pub(super) fn of(&self, dedicated: bool, version: UpstreamHttp) -> &UpstreamTls {
        let versions = self.dedicated.as_ref().filter(|_| dedicated).unwrap_or(&self.shared);
        if version == UpstreamHttp::Http1 { &versions.http1 } else { &versions.any }
    }
}

/// A client whose authority is not there: in its place is one that has issued nothing. It draws nothing, as it is to
/// make no other difference than that no certificate is good enough for it.
fn trusting_nobody() -> ClientTls {
    let constant: Random = Arc::new(|bytes: &mut [u8]| bytes.fill(7));
    ClientTls::new(&Authority::new(Arc::clone(&constant)), false, constant)
}
