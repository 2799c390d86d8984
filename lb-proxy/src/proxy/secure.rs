//! TLS on either side of a balancer that terminates it: termination in front, re-encryption behind.

use std::io;
use std::sync::Arc;

use stickler_model::Name;
use stickler_net::Stream;
use stickler_tls::{Authority, ClientTls, Random, Secured};

use stickler_lb_core::{Backend, UpstreamHttp};

/// TLS towards the backends.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// The client's end of TLS, with the authority that the balancer trusts. It offers HTTP/2 only if the balancer may
    /// speak it ([`crate::HttpProxyConfig::hops`]).
    pub client: ClientTls,
    /// The name that the certificate of each backend must have. `None`: the backend's own name ([`Backend::name`]).
    pub name: Option<Name>,
}

impl UpstreamTls {
    /// Returns settings that trust the same authority as `client`, and expect each backend's own name.
    pub const fn new(client: ClientTls) -> Self {
        Self { client, name: None }
    }

    /// Returns these settings with an offer of HTTP/1.1 only.
    #[must_use]
    pub fn http1(self) -> Self {
        Self { client: self.client.http1(), ..self }
    }

    /// Performs the handshake on a connection to this backend. The call has no time limit.
    ///
    /// # Errors
    /// The backend's certificate is not acceptable, or the backend does not speak TLS.
    pub async fn connect<S: Stream>(&self, backend: &Backend, stream: S) -> io::Result<Secured<S>> {
        self.client.connect(self.name.as_ref().unwrap_or(&backend.name).as_str(), stream).await
    }
}

/// The settings of upstream connections, according to the purpose of the connection.
pub(super) struct Transports {
    shared: Versions,
    /// The settings of dedicated connections if they differ, which is the defect
    /// [`crate::HttpProxyConfig::tls_drifts`].
    dedicated: Option<Versions>,
}

/// The TLS settings towards servers, in two versions: one offers HTTP/1.1 only (ALPN, RFC 7301), and the other offers
/// HTTP/2 as well.
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

    /// Returns whether a connection that belongs to one client from the start has separate settings.
    pub(super) const fn tell_apart(&self) -> bool {
        self.dedicated.is_some()
    }

    pub(super) fn of(&self, dedicated: bool, version: UpstreamHttp) -> &UpstreamTls {
        let versions = self.dedicated.as_ref().filter(|_| dedicated).unwrap_or(&self.shared);
        if version == UpstreamHttp::Http1 { &versions.http1 } else { &versions.any }
    }
}

/// Returns a client that trusts only an authority without certificates, so it accepts no server. The function draws no
/// random bytes, because it must not make any other difference.
fn trusting_nobody() -> ClientTls {
    let constant: Random = Arc::new(|bytes: &mut [u8]| bytes.fill(7));
    ClientTls::new(&Authority::new(Arc::clone(&constant)), false, constant)
}
