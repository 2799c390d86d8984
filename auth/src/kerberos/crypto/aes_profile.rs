//! The AES types: encrypt and MAC (RFC 3962), encrypt then MAC (RFC 8009).

use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use subtle::ConstantTimeEq;

use super::aes_cts::{AesCts, BLOCK};
use super::derive::{Base, Purpose, derived_len};
use super::{Confounder, CryptoError, Etype, Key};

/// HMAC with the hash of an encryption type, keyed.
#[derive(Clone)]
pub(super) enum KeyedMac {
    /// Types 17 and 18.
    Sha1(Hmac<Sha1>),
    /// Type 19.
    Sha256(Hmac<Sha256>),
    /// Type 20.
    Sha384(Box<Hmac<Sha384>>),
}

/// HMAC takes keys of any length (RFC 2104 2).
const ANY_LENGTH: &str = "HMAC takes keys of any length (RFC 2104 2)";

impl KeyedMac {
    pub(super) fn new(etype: Etype, key: &[u8]) -> Self {
        match etype {
            Etype::Aes128Sha1 | Etype::Aes256Sha1 | Etype::Rc4Hmac => {
                Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH))
            }
            Etype::Aes128Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Etype::Aes256Sha384 => Self::Sha384(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH))),
        }
    }

    fn derived(base: &Base, etype: Etype, usage: u32, purpose: Purpose) -> Self {
        let bytes = base.derive(etype, usage, purpose);
        Self::new(etype, &bytes[..derived_len(etype, purpose)])
    }

    /// Bytes of the tag that is sent (RFC 3962 6, RFC 8009 5).
    const fn tag_len(&self) -> usize {
        match self {
            Self::Sha1(_) => 12,
            Self::Sha256(_) => 16,
            Self::Sha384(_) => 24,
        }
    }

    /// Whether the tag covers the ciphertext (RFC 8009 5) rather than the plaintext (RFC 3961 5.3).
    const fn after_encryption(&self) -> bool {
        matches!(self, Self::Sha256(_) | Self::Sha384(_))
    }
}

/// Ke and Ki of one usage.
#[derive(Clone)]
pub(super) struct AesUsage {
    cipher: AesCts,
    mac: KeyedMac,
}

impl AesUsage {
    /// Those of a key of this type.
    pub(super) fn new(base: &Base, etype: Etype, usage: u32) -> Self {
        let ke = base.derive(etype, usage, Purpose::Encryption);
        let mac = KeyedMac::derived(base, etype, usage, Purpose::Integrity);
        Self { cipher: AesCts::new(&ke[..etype.key_len()]), mac }
    }

    pub(super) fn encrypt(&self, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK + plaintext.len() + 24);
        out.extend_from_slice(confounder);
        out.extend_from_slice(plaintext);
        let tag = if self.mac.after_encryption() {
            self.cipher.encrypt(&mut out);
            self.tag(&out)
        } else {
            let tag = self.tag(&out);
            self.cipher.encrypt(&mut out);
            tag
        };
        out.extend_from_slice(&tag[..self.mac.tag_len()]);
        out
    }

    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let split = ciphertext.len().checked_sub(self.mac.tag_len()).filter(|split| *split >= BLOCK);
        let split = split.ok_or(CryptoError::TooShort(ciphertext.len()))?;
        let (body, tag) = ciphertext.split_at(split);
        let mut plain = body.to_vec();
        self.cipher.decrypt(&mut plain);
        let expected = self.tag(if self.mac.after_encryption() { body } else { &plain });
        if !bool::from(expected[..tag.len()].ct_eq(tag)) {
            return Err(CryptoError::Integrity);
        }
        plain.drain(..BLOCK);
        Ok(plain)
    }

    /// The tag over `bytes`; RFC 8009 5.1 puts the initial vector, which is zero, before them.
    fn tag(&self, bytes: &[u8]) -> [u8; 48] {
        if self.mac.after_encryption() { self.mac.finish(&[&[0; BLOCK], bytes]) } else { self.mac.finish(&[bytes]) }
    }
}

/// The keyed checksum (RFC 3961 5.4, RFC 8009 6): 12, 16 or 24 bytes.
pub(super) fn checksum(key: &Key, usage: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mac = KeyedMac::derived(&Base::new(key), key.etype, usage, Purpose::Checksum);
    mac.finish(parts)[..mac.tag_len()].to_vec()
}
