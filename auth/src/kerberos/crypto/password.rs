//! String-to-key: the derivation of a key from a password, a salt and a number of iterations.

use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::aes_cts::AesCts;
use super::derive::{dk, kdf_hmac_sha2, n_fold};
use super::mac::KeyedMac;
use super::{CryptoError, Etype, Key};
use crate::ntlm::crypto::ntowf_v1;

/// The default number of iterations of types 17 and 18 (RFC 3962 4).
pub const DEFAULT_ITERATIONS_SHA1: u32 = 4096;

/// The default number of iterations of types 19 and 20 (RFC 8009 4).
pub const DEFAULT_ITERATIONS_SHA2: u32 = 32_768;

/// The maximum number of iterations that is accepted. The derivation then takes about a second.
pub const MAX_ITERATIONS: u32 = 1 << 20;

/// The constant under which the result of PBKDF2 is derived once more.
const LABEL: &[u8] = b"kerberos";

pub(super) fn string_to_key(
    etype: Etype,
    password: &str,
    salt: &[u8],
    iterations: Option<u32>,
) -> Result<Key, CryptoError> {
    let default = match etype {
        Etype::Aes128Sha256 | Etype::Aes256Sha384 => DEFAULT_ITERATIONS_SHA2,
        Etype::Aes128Sha1 | Etype::Aes256Sha1 | Etype::Rc4Hmac => DEFAULT_ITERATIONS_SHA1,
    };
    let iterations = iterations.unwrap_or(default);
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(CryptoError::Iterations(iterations));
    }
    let password_bytes = password.as_bytes();
    let mut buffer = [0; 32];
    let random = &mut buffer[..etype.key_len()];
    match etype {
        // The key is the NT hash, without salt or iterations (RFC 4757 2).
        Etype::Rc4Hmac => random.copy_from_slice(&ntowf_v1(password)),
        Etype::Aes128Sha1 | Etype::Aes256Sha1 => {
            pbkdf2_hmac::<Sha1>(password_bytes, salt, iterations, random);
            buffer = dk(&AesCts::new(random), n_fold(LABEL), etype.key_len());
        }
        Etype::Aes128Sha256 => {
            pbkdf2_hmac::<Sha256>(password_bytes, &named(etype, salt), iterations, random);
            buffer = kdf_hmac_sha2(&KeyedMac::new(etype, random), LABEL, etype.key_len());
        }
        Etype::Aes256Sha384 => {
            pbkdf2_hmac::<Sha384>(password_bytes, &named(etype, salt), iterations, random);
            buffer = kdf_hmac_sha2(&KeyedMac::new(etype, random), LABEL, etype.key_len());
        }
    }
    Ok(Key::from_random(etype, &buffer))
}

/// Returns the salt with the name of the encryption type before it (RFC 8009 4).
fn named(etype: Etype, salt: &[u8]) -> Vec<u8> {
    [etype.to_string().as_bytes(), &[0], salt].concat()
}
