//! Kerberos cryptography: the five encryption types that Windows and MIT still speak.
//!
//! | module | holds |
//! |---|---|
//! | [`Etype`], [`Key`], [`UsageKey`] | what the messages need: encrypt, decrypt, checksum, by key usage |
//! | `aes_cts` | AES in CBC mode with ciphertext stealing (RFC 3962 5) |
//! | `aes_profile` | etypes 17, 18 (RFC 3961 5.3, RFC 3962) and 19, 20 (RFC 8009) |
//! | `rc4_profile` | etype 23 (RFC 4757) |
//! | `mac` | HMAC with the hash function of an encryption type |
//! | [`mod@derive`] | n-fold and key derivation (RFC 3961 5.1, RFC 8009 3) |
//! | `password` | string-to-key |
//!
//! Confounders come in as arguments. Tags are compared in constant time.

use std::fmt;

use aes_profile::AesUsage;
use derive::Base;
use rc4_profile::Rc4Usage;
use subtle::ConstantTimeEq;

use crate::ntlm::crypto::{HmacMd5, hmac_md5};

mod aes_cts;
mod aes_profile;
pub mod derive;
mod mac;
mod password;
mod rc4_profile;

pub use aes_cts::AesCts;
pub use password::{DEFAULT_ITERATIONS_SHA1, DEFAULT_ITERATIONS_SHA2, MAX_ITERATIONS};
pub use rc4_profile::gss_signature;

/// An encryption type that is implemented here, with its assigned number (RFC 3961 8, RFC 8009 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Etype {
    /// aes128-cts-hmac-sha1-96.
    Aes128Sha1 = 17,
    /// aes256-cts-hmac-sha1-96: what Windows chooses by default.
    Aes256Sha1 = 18,
    /// aes128-cts-hmac-sha256-128.
    Aes128Sha256 = 19,
    /// aes256-cts-hmac-sha384-192.
    Aes256Sha384 = 20,
    /// rc4-hmac.
    Rc4Hmac = 23,
}

impl Etype {
    /// All, in the order of preference of Windows: AES with SHA-1 first, for all its peers speak it.
    pub const ALL: [Self; 5] =
        [Self::Aes256Sha1, Self::Aes128Sha1, Self::Aes256Sha384, Self::Aes128Sha256, Self::Rc4Hmac];

    /// What Windows offers by default (MS-KILE 3.1.5.2).
    pub const WINDOWS: [Self; 3] = [Self::Aes256Sha1, Self::Aes128Sha1, Self::Rc4Hmac];

    /// The assigned number.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The encryption type of that number, where it is one of these.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|etype| etype.number() == number)
    }

    /// Length of a key in bytes: 16 or 32.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha256 | Self::Rc4Hmac => 16,
            Self::Aes256Sha1 | Self::Aes256Sha384 => 32,
        }
    }

    /// Number of the checksum type that goes with it (RFC 3961 8, RFC 4757 4, RFC 8009 7).
    pub const fn checksum_type(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
            Self::Rc4Hmac => -138,
        }
    }
}

impl fmt::Display for Etype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Sha1 => "aes128-cts-hmac-sha1-96",
            Self::Aes256Sha1 => "aes256-cts-hmac-sha1-96",
            Self::Aes128Sha256 => "aes128-cts-hmac-sha256-128",
            Self::Aes256Sha384 => "aes256-cts-hmac-sha384-192",
            Self::Rc4Hmac => "rc4-hmac",
        })
    }
}

/// Why a cryptographic operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// An encryption type that is not implemented here.
    #[error("encryption type {0} is not supported")]
    Etype(i32),
    /// A key has a length that its type does not have.
    #[error("a key of {got} bytes for {etype}, which needs {}", etype.key_len())]
    KeyLength {
        /// The type.
        etype: Etype,
        /// The length in bytes.
        got: usize,
    },
    /// A ciphertext shorter than its confounder and tag.
    #[error("a ciphertext of {0} bytes is too short for its confounder and tag")]
    TooShort(usize),
    /// The tag does not match: another key, or altered.
    #[error("the ciphertext does not decrypt: another key, or altered on the way")]
    Integrity,
    /// String-to-key parameters that nobody should follow.
    #[error("{0} iterations of string-to-key are none, or more than {MAX_ITERATIONS}")]
    Iterations(u32),
}

/// Fresh random bytes that precede a plaintext: 16, of which RC4 takes 8.
pub type Confounder = [u8; 16];

/// A key of one encryption type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    etype: Etype,
    /// The key, then zeros.
    bytes: [u8; 32],
}

impl Key {
    /// A key of `etype` from its bytes: 16 or 32.
    ///
    /// # Errors
    /// Another length than the type has.
    pub fn new(etype: Etype, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != etype.key_len() {
            return Err(CryptoError::KeyLength { etype, got: bytes.len() });
        }
        Ok(Self::from_random(etype, &padded(bytes)))
    }

    /// A key from 32 random bytes, of which as many are taken as the type needs (random-to-key is the
    /// identity for all of these types).
    pub fn from_random(etype: Etype, random: &[u8; 32]) -> Self {
        let mut bytes = *random;
        bytes[etype.key_len()..].fill(0);
        Self { etype, bytes }
    }

    /// A key by its type's number, as messages carry it.
    ///
    /// # Errors
    /// An unknown type, another length.
    pub fn from_wire(number: i32, bytes: &[u8]) -> Result<Self, CryptoError> {
        Self::new(Etype::from_number(number).ok_or(CryptoError::Etype(number))?, bytes)
    }

    /// A key from a password: string-to-key (RFC 3962 4, RFC 4757 2, RFC 8009 4).
    ///
    /// `salt` comes from the principal or the KDC; RC4 has none. `iterations` is `None` for the type's
    /// default ([`DEFAULT_ITERATIONS_SHA1`], [`DEFAULT_ITERATIONS_SHA2`]).
    ///
    /// # Errors
    /// No iterations, or more than [`MAX_ITERATIONS`]: the number comes from a stranger.
    pub fn from_password(
        etype: Etype,
        password: &str,
        salt: &[u8],
        iterations: Option<u32>,
    ) -> Result<Self, CryptoError> {
        password::string_to_key(etype, password, salt, iterations)
    }

    /// The encryption type.
    pub const fn etype(&self) -> Etype {
        self.etype
    }

    /// The key's bytes: 16 or 32.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.etype.key_len()]
    }

    /// The keys that encrypt and protect under `usage` (RFC 4120 7.5.1), derived once for many uses.
    pub fn for_usage(&self, usage: u32) -> UsageKey {
        BaseKey::new(self).for_usage(usage)
    }

    /// Encrypts under `usage`; see [`UsageKey::encrypt`].
    pub fn encrypt(&self, usage: u32, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        BaseKey::new(self).encrypt(usage, confounder, plaintext)
    }

    /// Decrypts under `usage`; see [`UsageKey::decrypt`].
    pub fn decrypt(&self, usage: u32, ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        BaseKey::new(self).decrypt(usage, ciphertext)
    }

    /// The checksum of `parts`, one after the other, under `usage`: 12, 16 or 24 bytes.
    pub fn checksum(&self, usage: u32, parts: &[&[u8]]) -> Vec<u8> {
        match self.etype {
            Etype::Rc4Hmac => rc4_profile::checksum(self.as_bytes(), usage, parts),
            _ => aes_profile::checksum(self, usage, parts),
        }
    }

    /// Whether `checksum` is that of `parts` under `usage`; compared in constant time.
    pub fn verify_checksum(&self, usage: u32, parts: &[&[u8]], checksum: &[u8]) -> bool {
        self.checksum(usage, parts).ct_eq(checksum).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.etype)
    }
}

/// A [`Key`] that has several usages in turn: what their derivations have in common is done once.
pub(super) struct BaseKey(BaseProfile);

#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one message; a box would cost more")]
enum BaseProfile {
    Aes(Etype, Base),
    Rc4(HmacMd5),
}

impl BaseKey {
    pub(super) fn new(key: &Key) -> Self {
        Self(match key.etype {
            Etype::Rc4Hmac => BaseProfile::Rc4(hmac_md5(key.as_bytes())),
            etype => BaseProfile::Aes(etype, Base::new(key)),
        })
    }

    /// As [`Key::for_usage`].
    fn for_usage(&self, usage: u32) -> UsageKey {
        UsageKey(match &self.0 {
            BaseProfile::Aes(etype, base) => UsageProfile::Aes(Box::new(AesUsage::new(base, *etype, usage))),
            BaseProfile::Rc4(key) => UsageProfile::Rc4(Rc4Usage::new(key, usage)),
        })
    }

    /// As [`UsageKey::encrypt`], for a usage that comes once.
    pub(super) fn encrypt(&self, usage: u32, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        match &self.0 {
            BaseProfile::Aes(etype, base) => AesUsage::new(base, *etype, usage).encrypt(confounder, plaintext),
            BaseProfile::Rc4(key) => Rc4Usage::new(key, usage).encrypt(confounder, plaintext),
        }
    }

    /// As [`UsageKey::decrypt`], for a usage that comes once.
    pub(super) fn decrypt(&self, usage: u32, ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            BaseProfile::Aes(etype, base) => AesUsage::new(base, *etype, usage).decrypt(ciphertext),
            BaseProfile::Rc4(key) => Rc4Usage::new(key, usage).decrypt(ciphertext),
        }
    }
}

/// The keys derived from one [`Key`] for one key usage.
#[derive(Clone)]
pub struct UsageKey(UsageProfile);

#[derive(Clone)]
enum UsageProfile {
    Aes(Box<AesUsage>),
    Rc4(Rc4Usage),
}

impl UsageKey {
    /// Confounder, plaintext and tag, encrypted: 24 to 40 bytes longer than the plaintext.
    pub fn encrypt(&self, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        match &self.0 {
            UsageProfile::Aes(keys) => keys.encrypt(confounder, plaintext),
            UsageProfile::Rc4(keys) => keys.encrypt(confounder, plaintext),
        }
    }

    /// The plaintext of what [`Self::encrypt`] made.
    ///
    /// # Errors
    /// Too short, or the tag does not match.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match &self.0 {
            UsageProfile::Aes(keys) => keys.decrypt(ciphertext),
            UsageProfile::Rc4(keys) => keys.decrypt(ciphertext),
        }
    }
}

impl fmt::Debug for UsageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageKey").finish_non_exhaustive()
    }
}

/// `bytes`, at most 32, with zeros behind.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
