//! The function n-fold, and key derivation.

use super::aes_cts::{AesCts, BLOCK};
use super::mac::KeyedMac;
use super::{Etype, Key};

/// The purpose of a derived key, which is the last byte of the constant (RFC 3961 5.3).
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The checksum key, Kc.
    Checksum = 0x99,
    /// The encryption key, Ke.
    Encryption = 0xAA,
    /// The integrity key, Ki.
    Integrity = 0x55,
}

/// Stretches or folds `input` to `N` bytes (RFC 3961 5.1). Copies of the input, each rotated right by 13 bits more than
/// the previous one, are divided into chunks of `N` bytes. The chunks are added with end-around carry.
pub const fn n_fold<const N: usize>(input: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    if input.is_empty() || N == 0 {
        return out;
    }
    let bits = 8 * input.len();
    let mut columns = [0_u32; N];
    let (mut at, end) = (0, lcm(input.len(), N));
    while at < end {
        let (copy, byte) = (at / input.len(), at % input.len());
        // The index of the input's bit at which this byte of the rotated copy begins.
        let start = (8 * byte + bits - 13 * copy % bits) % bits;
        let pair = u16::from_be_bytes([input[start / 8], input[(start / 8 + 1) % input.len()]]);
        columns[at % N] += (pair << (start % 8) >> 8) as u32;
        at += 1;
    }
    // The carry out of the highest byte is added to the lowest byte, until there is no carry.
    let (mut column, mut carry) = (N, 0);
    loop {
        if column == 0 {
            if carry == 0 {
                return out;
            }
            column = N;
        }
        column -= 1;
        let sum = columns[column] + carry;
        (columns[column], carry) = (sum & 0xFF, sum >> 8);
        out[column] = sum as u8;
    }
}

const fn lcm(a: usize, b: usize) -> usize {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor * b
}

/// The number of usages whose constants are folded at compile time, because folding takes longer than AES and HMAC.
const FOLDED: usize = 32;

/// The folded constants of each usage, for encryption, integrity and checksum (RFC 3961 5.3).
static CONSTANTS: [[[u8; BLOCK]; 3]; FOLDED] = {
    let mut all = [[[0; BLOCK]; 3]; FOLDED];
    let mut usage = 0;
    while usage < FOLDED {
        let low = usage as u8;
        all[usage] = [
            n_fold(&[0, 0, 0, low, Purpose::Encryption as u8]),
            n_fold(&[0, 0, 0, low, Purpose::Integrity as u8]),
            n_fold(&[0, 0, 0, low, Purpose::Checksum as u8]),
        ];
        usage += 1;
    }
    all
};

/// Returns the folded constant of a usage.
fn folded(usage: u32, purpose: Purpose) -> [u8; BLOCK] {
    let at = match purpose {
        Purpose::Encryption => 0,
        Purpose::Integrity => 1,
        Purpose::Checksum => 2,
    };
    CONSTANTS.get(usage as usize).map_or_else(|| n_fold(&constant(usage, purpose)), |constants| constants[at])
}

/// Returns the constant of a usage: its number, followed by the purpose of the key.
const fn constant(usage: u32, purpose: Purpose) -> [u8; 5] {
    let [a, b, c, d] = usage.to_be_bytes();
    [a, b, c, d, purpose as u8]
}

/// A base key (RFC 3961 5.3), prepared for the derivation of others. The preparation takes longer than a derivation.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one message; a box would cost more")]
pub(super) enum Base {
    /// Types 17 and 18.
    Cipher(AesCts),
    /// Types 19 and 20.
    Mac(KeyedMac),
}

impl Base {
    pub(super) fn new(key: &Key) -> Self {
        match key.etype {
            Etype::Aes128Sha256 | Etype::Aes256Sha384 => Self::Mac(KeyedMac::new(key.etype, key.as_bytes())),
            Etype::Aes128Sha1 | Etype::Aes256Sha1 | Etype::Rc4Hmac => Self::Cipher(AesCts::new(key.as_bytes())),
        }
    }

    /// Derives the key of `etype` for `usage`. It consists of the first [`derived_len`] bytes; the rest is 0.
    pub(super) fn derive(&self, etype: Etype, usage: u32, purpose: Purpose) -> [u8; 32] {
        let len = derived_len(etype, purpose);
        match self {
            Self::Cipher(cipher) => dk(cipher, folded(usage, purpose), len),
            Self::Mac(mac) => kdf_hmac_sha2(mac, &constant(usage, purpose), len),
        }
    }
}

/// Returns the length of a derived key in bytes (RFC 3961 5.3; RFC 8009 5: Kc and Ki are as long as the tag).
pub(super) const fn derived_len(etype: Etype, purpose: Purpose) -> usize {
    match (etype, purpose) {
        (Etype::Aes256Sha384, Purpose::Checksum | Purpose::Integrity) => 24,
        _ => etype.key_len(),
    }
}

/// DK of the AES types (RFC 3961 5.1): encrypts a folded constant repeatedly.
pub(super) fn dk(cipher: &AesCts, mut block: [u8; BLOCK], len: usize) -> [u8; 32] {
    let mut out = [0; 32];
    for chunk in out[..len].as_chunks_mut().0 {
        cipher.encrypt_chained(&mut block, &[0; BLOCK]);
        *chunk = block;
    }
    out
}

/// KDF-HMAC-SHA2 (RFC 8009 3) without a context. One round produces enough bytes for every key.
pub(super) fn kdf_hmac_sha2(mac: &KeyedMac, label: &[u8], len: usize) -> [u8; 32] {
    let bits = (8 * len as u32).to_be_bytes();
    let mut out = [0; 32];
    let block = mac.finish(&[&1_u32.to_be_bytes(), label, &[0], &bits]);
    out[..len].copy_from_slice(&block[..len]);
    out
}
