//! The two ends of a handshake.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, Error, KeyLog, ServerConfig};
use stickler_net::Stream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::{Always, Authority, Certified};
use crate::random::{Random, drawing, provider};
use crate::stream::{Secured, Tls};
use crate::verifier::Verifier;

/// The receiver of each line of a TLS key log. NSS has defined this format, and Wireshark reads it
/// (draft-ietf-tls-keylogfile): a line has the label, the client's random and the secret, in hexadecimal.
pub type KeySink = Arc<dyn Fn(&str) + Send + Sync>;

/// The server's end of a handshake. A clone is the same server.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    certificate: CertificateDer<'static>,
    random: Random,
}

impl ServerTls {
    /// Returns a server that shows `certified` and, if `http2` is set, offers HTTP/2 before HTTP/1.1 by ALPN (RFC
    /// 7301). It does not ask clients for certificates.
    pub fn new(certified: &Certified, http2: bool, random: Random) -> Self {
        let mut config = ServerConfig::builder_with_details(Arc::new(provider()), Arc::new(Always))
            .with_safe_default_protocol_versions()
            .expect("ring's cipher suites are of both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.key())));
        config.alpn_protocols = protocols(http2);
        // A session that can be resumed draws random bytes, and its handshake differs from that of the first
        // connection.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let certificate = CertificateDer::from(certified.certificate().to_vec());
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate, random }
    }

    /// Returns this server with a key log: `sink` gets the secrets of each connection.
    #[must_use]
    pub fn with_key_log(self, sink: KeySink) -> Self {
        let mut config = ServerConfig::clone(self.acceptor.config());
        config.key_log = Arc::new(KeyLines(sink));
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), ..self }
    }

    /// Returns the certificate that clients are shown (DER).
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Performs the handshake on an accepted connection. The call has no time limit: wrap it in `tokio::time::timeout`.
    /// Dropping the future drops the connection.
    ///
    /// # Errors
    /// `InvalidData` if the client made an error (it has been sent an alert), `ConnectionAborted` if it refused,
    /// `UnexpectedEof` if it closed the connection, and any other error of the connection.
    pub async fn accept<S: Stream>(&self, stream: S) -> io::Result<Secured<S>> {
        let handshake = drawing(&self.random, || self.acceptor.accept(stream));
        let stream = run(&self.random, handshake).await.map_err(|error| explain("TLS with a client", &error))?;
        Ok(Secured::from(Tls::new(stream.into(), self.certificate.clone())))
    }
}

/// A key log that passes on each line.
struct KeyLines(KeySink);

impl KeyLog for KeyLines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hexadecimal = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        (self.0)(&format!("{label} {} {}", hexadecimal(client_random), hexadecimal(secret)));
    }
}

impl std::fmt::Debug for KeyLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyLines").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The client's end of a handshake. A clone is the same client.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    random: Random,
}

impl ClientTls {
    /// Returns a client that trusts `authority` alone and, if `http2` is set, offers HTTP/2 before HTTP/1.1 by ALPN.
    pub fn new(authority: &Authority, http2: bool, random: Random) -> Self {
        let provider = Arc::new(provider());
        let verifier = Verifier::new(&authority.certificate(), &provider);
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(Always))
            .with_safe_default_protocol_versions()
            .expect("ring's cipher suites are of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = protocols(http2);
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), random }
    }

    /// Returns this client with an offer of HTTP/1.1 only, for a server that has refused HTTP/2.
    #[must_use]
    pub fn http1(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols(false);
        Self { config: Arc::new(config), random: self.random.clone() }
    }

    /// Performs the handshake with the server called `name` (DNS name or IP address, without a port). The call has no
    /// time limit: wrap it in `tokio::time::timeout`. Dropping the future drops the connection.
    ///
    /// # Errors
    /// `InvalidData` if the certificate is not acceptable, for example because of its authority or name (the server has
    /// been sent an alert), `ConnectionAborted` if the server refused, `UnexpectedEof` if it closed the connection,
    /// `InvalidInput` if `name` is not a valid name, and any other error of the connection.
    pub async fn connect<S: Stream>(&self, name: &str, stream: S) -> io::Result<Secured<S>> {
        let what = format!("TLS with {name}");
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: that is not a valid server name"))
        })?;
        let connector = TlsConnector::from(self.config.clone());
        let handshake = drawing(&self.random, || connector.connect(server, stream));
        let stream = run(&self.random, handshake).await.map_err(|error| explain(&what, &error))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let leaf = shown.ok_or_else(|| io::Error::other(format!("{what}: no certificate was shown")))?;
        Ok(Secured::from(Tls::new(stream.into(), leaf)))
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("offers", &self.config.alpn_protocols.len()).finish_non_exhaustive()
    }
}

/// Returns the protocols that are offered by ALPN, in order of preference.
fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let all: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    all.iter().map(|name| name.to_vec()).collect()
}

/// Polls a handshake to its end, with its own source of randomness at each step.
async fn run<F: Future>(random: &Random, handshake: F) -> F::Output {
    let mut handshake: Pin<&mut F> = pin!(handshake);
    poll_fn(|context| drawing(random, || handshake.as_mut().poll(context))).await
}

/// Describes an error in terms that an operator knows.
fn explain(what: &str, error: &io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let why = match tls {
        // All authorities of this kind have the same name, so the signature reveals a different authority.
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "the certificate was not issued by an authority that this client trusts; \
             give it the authority's certificate"
                .into()
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "the certificate is for other names; issue one for this name, or ask for a name that it has".into(),
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            "the certificate has expired; issue a new one".into()
        }
        Some(Error::NoApplicationProtocol) => "no protocol in common (ALPN)".into(),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection during the handshake".into()
        }
        None => error.to_string(),
    };
    let kind =
        if matches!(tls, Some(Error::AlertReceived(_))) { io::ErrorKind::ConnectionAborted } else { error.kind() };
    io::Error::new(kind, format!("{what}: {why}"))
}
