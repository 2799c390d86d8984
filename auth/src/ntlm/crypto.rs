//! Hashes, responses and keys (MS-NLMP 3.3 and 3.4.5). Names follow the specification.

use des::Des;
use des::cipher::BlockCipherEncrypt;
use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};

use super::authenticate::MIC;
use super::flags::NegotiateFlags;
use super::text::{upcase, utf16le};

/// An HMAC-MD5 that has its key.
pub(crate) type HmacMd5 = Hmac<Md5>;

/// Returns an HMAC-MD5 with `key`. HMAC takes keys of any length.
pub(crate) fn hmac_md5(key: &[u8]) -> HmacMd5 {
    HmacMd5::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104 2)")
}

/// Returns an RC4 cipher with `key`.
pub(crate) fn rc4(key: &[u8; 16]) -> Rc4 {
    Rc4::new_from_slice(key).expect("RC4 takes keys of 1 to 256 bytes, this one has 16")
}

/// Returns NTOWFv1, 16 bytes, which is the MD4 of the password in UTF-16LE (3.3.1). A directory stores this hash.
pub fn ntowf_v1(password: &str) -> [u8; 16] {
    Md4::digest(utf16le(password)).into()
}

/// Returns LMOWFv1 (3.3.1), 16 bytes. Returns `None` for a password without an LM hash, which has more than 14
/// characters or characters beyond the OEM set.
pub fn lmowf_v1(password: &str) -> Option<[u8; 16]> {
    let mut key = [0; 14];
    for (at, c) in password.chars().enumerate() {
        *key.get_mut(at)? = u8::try_from(upcase(c)).ok()?;
    }
    let (first, second) = (key.first_chunk()?, key.last_chunk()?);
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&des(*first, *b"KGS!@#$%"));
    hash[8..].copy_from_slice(&des(*second, *b"KGS!@#$%"));
    Some(hash)
}

/// The NTOWFv2 hash of one user in one domain, kept as a keyed HMAC-MD5, so each use costs no key setup.
#[derive(Clone)]
pub struct Ntowfv2 {
    mac: HmacMd5,
}

impl Ntowfv2 {
    /// Creates the hash from NTOWFv1, the user's name and the domain (3.3.2). The name is converted to upper case here,
    /// and the domain is used exactly as it was sent.
    pub fn new(nt_hash: &[u8; 16], user: &str, domain: &str) -> Self {
        Self { mac: hmac_md5(&ntowf_v2(nt_hash, user, domain)) }
    }

    /// Returns NTProofStr over the challenge and the blob. NTProofStr is the first 16 bytes of an NTLMv2 response.
    ///
    /// With an 8-byte client challenge instead of a blob, the result is the beginning of an LMv2 response.
    pub fn proof(&self, server_challenge: &[u8; 8], blob: &[u8]) -> [u8; 16] {
        let mut mac = self.mac.clone();
        mac.update(server_challenge);
        mac.update(blob);
        mac.finalize().into_bytes().into()
    }

    /// Returns the session base key that belongs to a proof (3.3.2), 16 bytes.
    pub fn session_base_key(&self, proof: &[u8; 16]) -> [u8; 16] {
        let mut mac = self.mac.clone();
        mac.update(proof);
        mac.finalize().into_bytes().into()
    }

    /// Returns the whole LMv2 response, 24 bytes (3.3.2).
    pub fn lm_v2_response(&self, server_challenge: &[u8; 8], client_challenge: &[u8; 8]) -> [u8; 24] {
        let mut response = [0; 24];
        response[..16].copy_from_slice(&self.proof(server_challenge, client_challenge));
        response[16..].copy_from_slice(client_challenge);
        response
    }
}

/// Returns NTOWFv2 (3.3.2), 16 bytes: HMAC-MD5, keyed with NTOWFv1, over the user in upper case and the unchanged
/// domain.
pub fn ntowf_v2(nt_hash: &[u8; 16], user: &str, domain: &str) -> [u8; 16] {
    let mut mac = hmac_md5(nt_hash);
    for c in user.chars().map(upcase).chain(domain.chars()) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            mac.update(&unit.to_le_bytes());
        }
    }
    mac.finalize().into_bytes().into()
}

/// Returns DESL: a 24-byte v1 response to `challenge` under a 16-byte hash (3.3.1, section 6).
pub fn v1_response(hash: &[u8; 16], challenge: &[u8; 8]) -> [u8; 24] {
    let mut keys = [0; 21];
    keys[..16].copy_from_slice(hash);
    let mut response = [0; 24];
    for (key, out) in keys.as_chunks().0.iter().zip(response.as_chunks_mut().0) {
        *out = des(*key, *challenge);
    }
    response
}

/// Returns the challenge that an NTLM2 session response answers: MD5(server, client)\[0..8\] (3.3.1, with extended
/// session security). The server computes it for the DC (MS-APDS 3.1.5.2).
pub fn ntlm2_session_challenge(server: &[u8; 8], client: &[u8; 8]) -> [u8; 8] {
    let digest = Md5::new().chain_update(server).chain_update(client).finalize();
    std::array::from_fn(|at| digest[at])
}

/// Returns the session base key of the v1 responses: MD4(NTOWFv1) (3.3.1), 16 bytes.
pub fn v1_session_base_key(nt_hash: &[u8; 16]) -> [u8; 16] {
    Md4::digest(nt_hash).into()
}

/// Returns KXKEY for the v1 responses (3.4.5.1), 16 bytes. NTLMv2 uses the session base key unchanged.
///
/// `lm_key` is the first eight bytes of LMOWFv1. Eight bytes of `lm_response` are used, and missing bytes count as
/// zero.
pub fn v1_key_exchange_key(
    flags: NegotiateFlags,
    session_base_key: &[u8; 16],
    lm_key: &[u8; 8],
    lm_response: &[u8],
    server_challenge: &[u8; 8],
) -> [u8; 16] {
    let lm_first: [u8; 8] = lm_response.first_chunk().copied().unwrap_or_default();
    if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) {
        let mut mac = hmac_md5(session_base_key);
        mac.update(server_challenge);
        mac.update(&lm_first);
        return mac.finalize().into_bytes().into();
    }
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *lm_key;
    let mut key = [0; 16];
    if flags.contains(NegotiateFlags::LM_KEY) {
        key[..8].copy_from_slice(&des([k0, k1, k2, k3, k4, k5, k6], lm_first));
        key[8..].copy_from_slice(&des([k7, 0xBD, 0xBD, 0xBD, 0xBD, 0xBD, 0xBD], lm_first));
    } else if flags.contains(NegotiateFlags::REQUEST_NON_NT_SESSION_KEY) {
        key[..8].copy_from_slice(lm_key);
    } else {
        key = *session_base_key;
    }
    key
}

/// Applies RC4 under the key exchange key to a session key, which either encrypts or decrypts it (3.1.5.1.2,
/// 3.2.5.1.2).
pub fn exchange_session_key(key_exchange_key: &[u8; 16], session_key: &[u8; 16]) -> [u8; 16] {
    let mut out = *session_key;
    rc4(key_exchange_key).apply_keystream(&mut out);
    out
}

/// Returns the MIC: HMAC-MD5, keyed with the exported session key, over the three raw messages, with zeros in the MIC
/// field of the third one (3.1.5.1.2, 3.2.5.1.2). Returns `None` if the third message has no room for a MIC.
pub fn mic(
    exported_session_key: &[u8; 16],
    negotiate: &[u8],
    challenge: &[u8],
    authenticate: &[u8],
) -> Option<[u8; 16]> {
    Some(mic_state(exported_session_key, negotiate, challenge, authenticate)?.finalize().into_bytes().into())
}

/// Returns whether the MIC inside `authenticate` is right. The comparison takes constant time.
pub fn mic_matches(exported_session_key: &[u8; 16], negotiate: &[u8], challenge: &[u8], authenticate: &[u8]) -> bool {
    let sent = authenticate.get(MIC).unwrap_or_default();
    mic_state(exported_session_key, negotiate, challenge, authenticate)
        .is_some_and(|state| state.verify_slice(sent).is_ok())
}

fn mic_state(key: &[u8; 16], negotiate: &[u8], challenge: &[u8], authenticate: &[u8]) -> Option<HmacMd5> {
    let after = authenticate.get(MIC.end..)?;
    let mut mac = hmac_md5(key);
    mac.update(negotiate);
    mac.update(challenge);
    mac.update(&authenticate[..MIC.start]);
    mac.update(&[0; 16]);
    mac.update(after);
    Some(mac)
}

/// Encrypts one block with DES under a 56-bit key. The key is spread over eight bytes, whose parity bits DES ignores.
fn des(key: [u8; 7], block: [u8; 8]) -> [u8; 8] {
    let bits = key.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    let spread: [u8; 8] = std::array::from_fn(|at| ((bits >> (49 - 7 * at)) << 1) as u8);
    let mut out = block.into();
    Des::new(&spread.into()).encrypt_block(&mut out);
    out.into()
}
