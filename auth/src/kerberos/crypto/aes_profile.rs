//! The AES encryption types: those with encrypt-and-MAC (RFC 3962), and those with encrypt-then-MAC (RFC 8009).

use subtle::ConstantTimeEq;

use super::aes_cts::{AesCts, BLOCK};
use super::derive::{Base, Purpose, derived_len};
use super::mac::KeyedMac;
use super::{Confounder, CryptoError, Etype, Key};

/// The encryption key Ke and the integrity key Ki of one usage.
#[derive(Clone)]
pub(super) struct AesUsage {
    cipher: AesCts,
    mac: KeyedMac,
}

impl AesUsage {
    /// Derives both keys from a base key of this type.
    pub(super) fn new(base: &Base, etype: Etype, usage: u32) -> Self {
        let ke = base.derive(etype, usage, Purpose::Encryption);
        let mac = derived_mac(base, etype, usage, Purpose::Integrity);
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

    /// Computes the tag over `bytes`. RFC 8009 5.1 puts the initial vector, which is zero, before them.
    fn tag(&self, bytes: &[u8]) -> [u8; 48] {
        if self.mac.after_encryption() { self.mac.finish(&[&[0; BLOCK], bytes]) } else { self.mac.finish(&[bytes]) }
    }
}

/// Computes the keyed checksum (RFC 3961 5.4, RFC 8009 6): 12, 16 or 24 bytes.
pub(super) fn checksum(key: &Key, usage: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mac = derived_mac(&Base::new(key), key.etype, usage, Purpose::Checksum);
    mac.finish(parts)[..mac.tag_len()].to_vec()
}

/// Returns the MAC whose key is derived from `base` for a usage and a purpose.
fn derived_mac(base: &Base, etype: Etype, usage: u32, purpose: Purpose) -> KeyedMac {
    let key = base.derive(etype, usage, purpose);
    KeyedMac::new(etype, &key[..derived_len(etype, purpose)])
}
