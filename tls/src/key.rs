//! A key for ECDSA over P-256 with SHA-256, whose signatures are deterministic (RFC 6979).
//!
//! Ed25519 is not suitable: a `tls-server-end-point` binding uses the hash of the certificate's signature algorithm
//! (RFC 5929 4.1), and Ed25519 does not name one.

use std::io;
use std::sync::Arc;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use rustls::sign::Signer;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::Random;
use crate::memory::{Memory, digest};

/// The public point that belongs to each secret, so that it is computed only once.
static PUBLIC: Memory<[u8; 32], Arc<[u8]>> = Memory::new();

/// The signatures that were made. The key of an entry is a digest of the public point and the message.
static SIGNATURES: Memory<[u8; 32], Vec<u8>> = Memory::new();

/// A private key.
#[derive(Clone)]
pub(crate) struct Key {
    secret: SigningKey,
    /// The public point, uncompressed (SEC 1 2.3.3): 65 bytes.
    public: Arc<[u8]>,
}

impl Key {
    /// Draws a key from 32 bytes of `random`.
    pub(crate) fn draw(random: &Random) -> Self {
        let mut bytes = [0; 32];
        random(&mut bytes);
        // The value is neither zero nor as large as the order of the curve, so one draw is always enough.
        bytes[0] &= 0x7f;
        bytes[31] |= 1;
        let secret = SigningKey::from_slice(&bytes).expect("the scalar was brought within bounds above");
        let public = PUBLIC.get(bytes, || secret.verifying_key().to_sec1_point(false).as_bytes().into());
        Self { secret, public }
    }

    /// Returns the private key in PKCS#8, as PEM.
    pub(crate) fn pem(&self) -> io::Result<String> {
        let pem = p256::SecretKey::from(&self.secret).to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
        Ok(pem.to_string())
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        SIGNATURES.get(digest(&[&self.public, message]), || {
            let signature: DerSignature = self.secret.sign(message);
            signature.as_bytes().to_vec()
        })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// The form of a key that signs certificates, as rcgen expects it.
impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.signature(message))
    }
}

/// The form of a key that signs handshakes, as rustls expects it.
impl rustls::sign::SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SCHEME).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(self.signature(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
