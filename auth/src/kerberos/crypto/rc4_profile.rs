//! The RC4-HMAC encryption type (RFC 4757).

use hmac::Mac;
use md5::{Digest, Md5};
use rc4::StreamCipher;
use subtle::ConstantTimeEq;

use super::{Confounder, CryptoError};
use crate::ntlm::crypto::{HmacMd5, hmac_md5, rc4};

/// The number of bytes of the confounder, which follows the checksum.
const CONFOUNDER: usize = 8;
const CHECKSUM: usize = 16;

/// The HMAC that is keyed with K1 of one usage.
#[derive(Clone)]
pub(super) struct Rc4Usage {
    mac: HmacMd5,
}

impl Rc4Usage {
    /// Creates the usage from a key, which is given as a keyed HMAC.
    pub(super) fn new(key: &HmacMd5, usage: u32) -> Self {
        let k1 = keyed(key, &[&microsoft_usage(usage).to_le_bytes()]);
        Self { mac: hmac_md5(&k1) }
    }

    pub(super) fn encrypt(&self, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        let mut out = vec![0; CHECKSUM];
        out.extend_from_slice(&confounder[..CONFOUNDER]);
        out.extend_from_slice(plaintext);
        let (head, body) = out.split_at_mut(CHECKSUM);
        let checksum = keyed(&self.mac, &[body]);
        head.copy_from_slice(&checksum);
        rc4(&keyed(&self.mac, &[&checksum])).apply_keystream(body);
        out
    }

    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (checksum, body) = ciphertext
            .split_first_chunk::<CHECKSUM>()
            .filter(|(_, body)| body.len() >= CONFOUNDER)
            .ok_or(CryptoError::TooShort(ciphertext.len()))?;
        let mut plain = body.to_vec();
        rc4(&keyed(&self.mac, &[checksum])).apply_keystream(&mut plain);
        if !bool::from(keyed(&self.mac, &[&plain]).ct_eq(checksum)) {
            return Err(CryptoError::Integrity);
        }
        plain.drain(..CONFOUNDER);
        Ok(plain)
    }
}

/// Returns the HMAC-MD5 checksum (RFC 4757 4), 16 bytes.
pub(super) fn checksum(key: &[u8], usage: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = Md5::new_with_prefix(microsoft_usage(usage).to_le_bytes());
    for part in parts {
        digest.update(part);
    }
    keyed(&hmac_md5(&signature_key(key)), &[&digest.finalize()]).to_vec()
}

/// Returns Ksign (RFC 4757 4), 16 bytes.
fn signature_key(key: &[u8]) -> [u8; 16] {
    keyed(&hmac_md5(key), &[b"signaturekey\0"])
}

/// Returns the usage number that Microsoft's implementation uses in place of the one in RFC 4120 (RFC 4757 3).
const fn microsoft_usage(usage: u32) -> u32 {
    match usage {
        3 => 8,
        23 => 13,
        other => other,
    }
}

fn keyed(mac: &HmacMd5, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Returns SND_SEQ and SGN_CKSUM of a GSS token with an RC4 key of 16 bytes (RFC 4757 7.2, 7.3), 8 bytes each.
///
/// The checksum covers the concatenated `parts`. `usage` is 15 for a MIC and 13 for a wrap token. The sequence number
/// is encrypted under the checksum; `direction` is 0 from the initiator and 0xFF from the acceptor.
pub fn gss_signature(key: &[u8], usage: u32, parts: &[&[u8]], sequence: u32, direction: u8) -> ([u8; 8], [u8; 8]) {
    let mut digest = Md5::new_with_prefix(usage.to_le_bytes());
    for part in parts {
        digest.update(part);
    }
    let [checksum @ .., _, _, _, _, _, _, _, _] = keyed(&hmac_md5(&signature_key(key)), &[&digest.finalize()]);
    let sequence_key = keyed(&hmac_md5(&keyed(&hmac_md5(key), &[&[0; 4]])), &[&checksum]);
    let [a, b, c, d] = sequence.to_be_bytes();
    let mut encrypted = [a, b, c, d, direction, direction, direction, direction];
    rc4(&sequence_key).apply_keystream(&mut encrypted);
    (encrypted, checksum)
}
