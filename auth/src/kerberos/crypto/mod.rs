//! Kerberos cryptography: the five encryption types that Windows and MIT still support.
//!
//! | module | holds |
//! |---|---|
//! | [`Etype`], [`Key`], [`UsageKey`] | encryption, decryption and checksums of messages, by key usage |
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
    /// The type aes128-cts-hmac-sha1-96 (RFC 3962).
    Aes128Sha1 = 17,
    /// The type aes256-cts-hmac-sha1-96 (RFC 3962), which Windows chooses by default.
    Aes256Sha1 = 18,
    /// The type aes128-cts-hmac-sha256-128 (RFC 8009).
    Aes128Sha256 = 19,
    /// The type aes256-cts-hmac-sha384-192 (RFC 8009).
    Aes256Sha384 = 20,
    /// The type rc4-hmac (RFC 4757).
    Rc4Hmac = 23,
}

impl Etype {
    /// All types in the order of preference of Windows: AES with SHA-1 first, since all its peers support it.
    pub const ALL: [Self; 5] =
        [Self::Aes256Sha1, Self::Aes128Sha1, Self::Aes256Sha384, Self::Aes128Sha256, Self::Rc4Hmac];

    /// The types that Windows offers by default (MS-KILE 3.1.5.2).
    pub const WINDOWS: [Self; 3] = [Self::Aes256Sha1, Self::Aes128Sha1, Self::Rc4Hmac];

    /// Returns the assigned number.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Returns the encryption type with an assigned number, or `None` if it is not implemented here.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|etype| etype.number() == number)
    }

    /// Returns the length of a key in bytes: 16 or 32.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha256 | Self::Rc4Hmac => 16,
            Self::Aes256Sha1 | Self::Aes256Sha384 => 32,
        }
    }

    /// Returns the number of the associated checksum type (RFC 3961 8, RFC 4757 4, RFC 8009 7).
    pub const fn checksum_type(self) -> i32 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
            Self::Rc4Hmac => -138,
        }
    }

    /// Returns the length of a checksum in bytes (RFC 3962 7, RFC 4757 4, RFC 8009 5).
    pub const fn checksum_len(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha256 | Self::Rc4Hmac => 16,
            Self::Aes256Sha384 => 24,
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

/// The reason why a cryptographic operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// An encryption type that is not implemented here.
    #[error("encryption type {0} is not supported")]
    Etype(i32),
    /// A key has a length that its type does not have.
    #[error("the key has {got} bytes, but {etype} needs {}", etype.key_len())]
    KeyLength {
        /// The encryption type of the key.
        etype: Etype,
        /// The length of the key in bytes.
        got: usize,
    },
    /// The ciphertext is shorter than a confounder and a tag.
    #[error("the ciphertext has {0} bytes, too few for its confounder and tag")]
    TooShort(usize),
    /// The tag does not match: the key is wrong, or the ciphertext was altered.
    #[error("the ciphertext cannot be decrypted: it was encrypted with a different key, or altered in transit")]
    Integrity,
    /// The string-to-key parameters are out of bounds.
    #[error("string-to-key cannot use {0} iterations: the number must be from 1 to {MAX_ITERATIONS}")]
    Iterations(u32),
}

/// Fresh random bytes that precede a plaintext: 16 bytes, of which RC4 uses 8.
pub type Confounder = [u8; 16];

/// A key of one encryption type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    etype: Etype,
    /// The key, padded with zeros.
    bytes: [u8; 32],
}

impl Key {
    /// Creates a key of `etype` from its 16 or 32 bytes.
    ///
    /// # Errors
    /// The length is not the key length of the type.
    pub fn new(etype: Etype, bytes: &[u8]) -> Result<Self, CryptoError> {
        if bytes.len() != etype.key_len() {
            return Err(CryptoError::KeyLength { etype, got: bytes.len() });
        }
        Ok(Self::from_random(etype, &padded(bytes)))
    }

    /// Creates a key from random bytes. The first 16 or 32 bytes are used, according to the type (random-to-key is the
    /// identity for all of these types).
    pub fn from_random(etype: Etype, random: &[u8; 32]) -> Self {
        let mut bytes = *random;
        bytes[etype.key_len()..].fill(0);
        Self { etype, bytes }
    }

    /// Creates a key from the number of its type and from its bytes, which messages carry.
    ///
    /// # Errors
    /// The type is not implemented here, or the length is not that of the type.
    pub fn from_wire(number: i32, bytes: &[u8]) -> Result<Self, CryptoError> {
        Self::new(Etype::from_number(number).ok_or(CryptoError::Etype(number))?, bytes)
    }

    /// Derives a key from a password: string-to-key (RFC 3962 4, RFC 4757 2, RFC 8009 4).
    ///
    /// `salt` comes from the principal or the KDC; RC4 ignores it. `iterations` is `None` for the type's default
    /// ([`DEFAULT_ITERATIONS_SHA1`], [`DEFAULT_ITERATIONS_SHA2`]).
    ///
    /// # Errors
    /// `iterations` is 0 or more than [`MAX_ITERATIONS`]. The number comes from the network and must be limited.
    pub fn from_password(
        etype: Etype,
        password: &str,
        salt: &[u8],
        iterations: Option<u32>,
    ) -> Result<Self, CryptoError> {
        password::string_to_key(etype, password, salt, iterations)
    }

    /// Returns the encryption type.
    pub const fn etype(&self) -> Etype {
        self.etype
    }

    /// Returns the key's 16 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.etype.key_len()]
    }

    /// Derives the keys that encrypt and protect under `usage` (RFC 4120 7.5.1), so that they can be used many times.
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

    /// Computes the checksum of the concatenated `parts` under `usage`: 12, 16 or 24 bytes.
    pub fn checksum(&self, usage: u32, parts: &[&[u8]]) -> Vec<u8> {
        match self.etype {
            Etype::Rc4Hmac => rc4_profile::checksum(self.as_bytes(), usage, parts),
            _ => aes_profile::checksum(self, usage, parts),
        }
    }

    /// Returns whether `checksum` is the checksum of `parts` under `usage`. The comparison takes constant time.
    pub fn verify_checksum(&self, usage: u32, parts: &[&[u8]], checksum: &[u8]) -> bool {
        self.checksum(usage, parts).ct_eq(checksum).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.etype)
    }
}

/// A [`Key`] that is used for several usages. The common part of their derivations is done once.
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

    /// Does the same as [`Key::for_usage`].
    fn for_usage(&self, usage: u32) -> UsageKey {
        UsageKey(match &self.0 {
            BaseProfile::Aes(etype, base) => UsageProfile::Aes(Box::new(AesUsage::new(base, *etype, usage))),
            BaseProfile::Rc4(key) => UsageProfile::Rc4(Rc4Usage::new(key, usage)),
        })
    }

    /// Does the same as [`UsageKey::encrypt`], for a usage that occurs once.
    pub(super) fn encrypt(&self, usage: u32, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        match &self.0 {
            BaseProfile::Aes(etype, base) => AesUsage::new(base, *etype, usage).encrypt(confounder, plaintext),
            BaseProfile::Rc4(key) => Rc4Usage::new(key, usage).encrypt(confounder, plaintext),
        }
    }

    /// Does the same as [`UsageKey::decrypt`], for a usage that occurs once.
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
    /// Encrypts a plaintext with its confounder, and adds the tag. The result is 24 to 40 bytes longer than the
    /// plaintext.
    pub fn encrypt(&self, confounder: &Confounder, plaintext: &[u8]) -> Vec<u8> {
        match &self.0 {
            UsageProfile::Aes(keys) => keys.encrypt(confounder, plaintext),
            UsageProfile::Rc4(keys) => keys.encrypt(confounder, plaintext),
        }
    }

    /// Decrypts the result of [`Self::encrypt`].
    ///
    /// # Errors
    /// The ciphertext is too short, or its tag does not match.
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

/// Pads up to 32 bytes with zeros.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
