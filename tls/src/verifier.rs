//! The verification of certificates and signatures by webpki, which remembers what it has found valid.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::memory::{Memory, digest};

/// The digests of what was valid: of a root, a certificate and a name, or of a certificate, a message and its signature.
static VALID: Memory<[u8; 32], ()> = Memory::new();

/// The verifier of a client that trusts one authority. Its clock stands still ([`TODAY`](crate::TODAY)), so a
/// valid certificate remains valid.
#[derive(Debug)]
pub(crate) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    root: CertificateDer<'static>,
}

impl Verifier {
    pub(crate) fn new(root: &CertificateDer<'static>, provider: &Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).expect("an authority has issued its own certificate well");
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .expect("there is one root, and no revocation list to misread");
        Self { webpki, root: root.clone() }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = || self.webpki.verify_server_cert(certificate, intermediates, name, ocsp, now);
        // An authority issues certificates itself; others are not remembered.
        if !intermediates.is_empty() {
            return verify();
        }
        let of = digest(&[b"certificate", &self.root, certificate, name.to_str().as_bytes()]);
        VALID.get_if_ok(of, || verify().map(drop)).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verify = || self.webpki.verify_tls13_signature(message, certificate, signed);
        let scheme = u16::from(signed.scheme).to_be_bytes();
        let of = digest(&[b"signature", certificate, message, &scheme, signed.signature()]);
        VALID.get_if_ok(of, || verify().map(drop)).map(|()| HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
