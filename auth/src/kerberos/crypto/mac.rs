//! HMAC with the hash function of an encryption type, for checksums and as the pseudo-random function of key
//! derivation.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::Etype;

/// An HMAC with its key.
#[derive(Clone)]
pub(super) enum KeyedMac {
    /// Encryption types 17 and 18.
    Sha1(Hmac<Sha1>),
    /// Encryption type 19.
    Sha256(Hmac<Sha256>),
    /// Encryption type 20.
    Sha384(Box<Hmac<Sha384>>),
}

/// The reason why an HMAC can be created with any key.
const ANY_LENGTH: &str = "HMAC takes keys of any length (RFC 2104 2)";

impl KeyedMac {
    /// Creates the HMAC that belongs to an encryption type, with a key.
    pub(super) fn new(etype: Etype, key: &[u8]) -> Self {
        match etype {
            Etype::Aes128Sha1 | Etype::Aes256Sha1 | Etype::Rc4Hmac => {
                Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH))
            }
            Etype::Aes128Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Etype::Aes256Sha384 => Self::Sha384(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH))),
        }
    }

    /// Returns the length of the transmitted tag in bytes (RFC 3962 6, RFC 8009 5).
    pub(super) const fn tag_len(&self) -> usize {
        match self {
            Self::Sha1(_) => 12,
            Self::Sha256(_) => 16,
            Self::Sha384(_) => 24,
        }
    }

    /// Returns whether the tag covers the ciphertext (RFC 8009 5) rather than the plaintext (RFC 3961 5.3).
    pub(super) const fn after_encryption(&self) -> bool {
        matches!(self, Self::Sha256(_) | Self::Sha384(_))
    }

    /// Computes the whole HMAC of the concatenated `parts`, padded with zeros.
    pub(super) fn finish(&self, parts: &[&[u8]]) -> [u8; 48] {
        fn run<M: Mac + Clone>(mac: &M, parts: &[&[u8]]) -> [u8; 48] {
            let mut mac = mac.clone();
            for part in parts {
                mac.update(part);
            }
            let mut out = [0; 48];
            for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
                *to = from;
            }
            out
        }
        match self {
            Self::Sha1(mac) => run(mac, parts),
            Self::Sha256(mac) => run(mac, parts),
            Self::Sha384(mac) => run(&**mac, parts),
        }
    }
}
