//! The domain controller's side: the comparison of a response with a stored hash (MS-NLMP 3.3, MS-APDS 3.1.5).

use std::fmt;

use subtle::ConstantTimeEq;

use super::crypto::{self, Ntowfv2};
use super::response::{NtResponse, PROOF_LEN, V1_LEN};
use super::text::{Hidden, same_name};
use crate::logon::LogonRequest;
use crate::status::NtStatus;

/// The LmCompatibilityLevel of a DC: the responses that it still accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LmCompatibilityLevel {
    /// Levels 0 to 3: LM, NTLM and NTLMv2 are accepted.
    #[default]
    AcceptAll,
    /// Level 4: LM is refused.
    RefuseLm,
    /// Level 5: LM and NTLM (with NTLM2 session) are refused; only NTLMv2 and LMv2 are accepted.
    RefuseLmAndNtlm,
}

impl LmCompatibilityLevel {
    /// Returns the rule for the registry value 0 to 5. Larger values have the effect of 5.
    pub const fn from_level(level: u8) -> Self {
        match level {
            0..=3 => Self::AcceptAll,
            4 => Self::RefuseLm,
            _ => Self::RefuseLmAndNtlm,
        }
    }
}

/// The secret that a directory stores: the hashes of the password, and keyed NTLMv2 states of earlier logons.
#[derive(Clone)]
pub struct StoredSecret {
    nt_hash: [u8; 16],
    lm_hash: Option<[u8; 16]>,
    /// The spellings of the user and the domain in successful logons. Failures are not kept, so that an attacker cannot
    /// fill the cache.
    cache: Vec<CachedKey>,
    /// The entry that is replaced next if the cache is full.
    oldest: usize,
}

/// The NTLMv2 key for one spelling of the user and the domain.
#[derive(Clone)]
struct CachedKey {
    user: String,
    domain: String,
    key: Ntowfv2,
}

/// The number of spellings that are kept. An account is used under only a few spellings (`CORP\alice`,
/// `alice@corp.example` ...).
const CACHED_KEYS: usize = 4;

/// The response that proved the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The NT response, which is NTLMv2.
    NtlmV2,
    /// The NT response, which is NTLMv1 or NTLM2 session.
    NtlmV1,
    /// The LM response, which is LMv2.
    LmV2,
    /// The LM response, made with the LM hash or the NT hash.
    Lm,
}

/// The result of a verified logon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKeys {
    /// The session base key (MS-NLMP 3.3), 16 bytes.
    pub session_base_key: [u8; 16],
    /// The first eight bytes of the LM hash; zero if no LM hash is stored.
    pub lm_key: [u8; 8],
    /// The response that proved the password.
    pub proof: Proof,
}

impl StoredSecret {
    /// Computes the hashes of a password. The LM hash is computed only if `keep_lm` is set and the password has at most
    /// 14 characters (see [`crypto::lmowf_v1`]).
    pub fn from_password(password: &str, keep_lm: bool) -> Self {
        let lm_hash = if keep_lm { crypto::lmowf_v1(password) } else { None };
        Self::from_hashes(crypto::ntowf_v1(password), lm_hash)
    }

    /// Creates the secret from hashes: NTOWFv1 and, if stored, LMOWFv1.
    pub fn from_hashes(nt_hash: [u8; 16], lm_hash: Option<[u8; 16]>) -> Self {
        Self { nt_hash, lm_hash, cache: Vec::new(), oldest: 0 }
    }

    /// Verifies the responses of `request`. It is sufficient if one of them matches. After a mismatch, the responses
    /// are tried again with an empty domain (MS-NLMP 3.2.5.1.2).
    ///
    /// The method takes `&mut self`, because it stores the keyed NTLMv2 state of a successful logon, which makes the
    /// next verification of the same user and domain fast.
    ///
    /// # Errors
    /// [`NtStatus::WRONG_PASSWORD`] if no response matches, or if the level refuses the response that matches.
    pub fn verify(&mut self, request: &LogonRequest, level: LmCompatibilityLevel) -> Result<SessionKeys, NtStatus> {
        self.verify_v1(request, level)
            .or_else(|| self.verify_v2(request, &request.logon_domain))
            .or_else(|| match request.logon_domain.as_str() {
                "" => None,
                _ => self.verify_v2(request, ""),
            })
            .map(|(session_base_key, proof)| self.session_keys(session_base_key, proof))
            .ok_or(NtStatus::WRONG_PASSWORD)
    }

    fn session_keys(&self, session_base_key: [u8; 16], proof: Proof) -> SessionKeys {
        let lm_hash = self.lm_hash.unwrap_or_default();
        SessionKeys { session_base_key, lm_key: std::array::from_fn(|at| lm_hash[at]), proof }
    }

    /// Verifies the responses of 24 bytes that `level` accepts. They do not depend on the domain.
    fn verify_v1(&self, request: &LogonRequest, level: LmCompatibilityLevel) -> Option<([u8; 16], Proof)> {
        let proves = |hash: &[u8; 16], response: &[u8]| {
            response.len() == V1_LEN && crypto::v1_response(hash, &request.challenge).ct_eq(response).into()
        };
        let base_key = || crypto::v1_session_base_key(&self.nt_hash);
        if level >= LmCompatibilityLevel::RefuseLmAndNtlm {
            return None;
        }
        if proves(&self.nt_hash, &request.nt_response) {
            return Some((base_key(), Proof::NtlmV1));
        }
        let lm_response = lm_response(request)?;
        // A client without an LM hash repeats its NT response in this field (3.3.1, NoLMResponseNTLMv1). Beside an
        // NTLMv2 response, the field contains neither, and DES would only cost time.
        if request.nt_response.len() > V1_LEN {
            return None;
        }
        if proves(&self.nt_hash, lm_response) {
            return Some((base_key(), Proof::Lm));
        }
        let lm_hash = self.lm_hash.filter(|_| level < LmCompatibilityLevel::RefuseLm)?;
        // With the LM response alone, the session key can come only from the LM hash (3.3.1).
        let mut lm_base_key = [0; 16];
        lm_base_key[..8].copy_from_slice(&lm_hash[..8]);
        proves(&lm_hash, lm_response).then_some((lm_base_key, Proof::Lm))
    }

    /// Verifies NTLMv2, then LMv2, with the user's name in upper case and an unchanged `domain`.
    fn verify_v2(&mut self, request: &LogonRequest, domain: &str) -> Option<([u8; 16], Proof)> {
        let cached = self.cache.iter().position(|entry| entry.user == request.user && entry.domain == domain);
        if let Some(at) = cached {
            return prove_v2(&self.cache[at].key, request);
        }
        let key = Ntowfv2::new(&self.nt_hash, &request.user, domain);
        let proven = prove_v2(&key, request)?;
        self.remember(CachedKey { user: request.user.clone(), domain: domain.into(), key });
        Some(proven)
    }

    fn remember(&mut self, entry: CachedKey) {
        if self.cache.len() < CACHED_KEYS {
            self.cache.push(entry);
        } else {
            self.cache[self.oldest] = entry;
            self.oldest = (self.oldest + 1) % CACHED_KEYS;
        }
    }
}

/// Returns the session base key if the NTLMv2 or the LMv2 response was made with `key`.
fn prove_v2(key: &Ntowfv2, request: &LogonRequest) -> Option<([u8; 16], Proof)> {
    let nt = request.nt_response.split_first_chunk::<PROOF_LEN>();
    let nt = nt.filter(|_| request.nt_response.len() > V1_LEN);
    let lm = lm_response(request).and_then(|response| response.split_first_chunk::<PROOF_LEN>());
    [(nt, Proof::NtlmV2), (lm, Proof::LmV2)].into_iter().find_map(|(response, proof)| {
        let (sent, signed) = response?;
        let expected = key.proof(&request.challenge, signed);
        bool::from(expected.ct_eq(sent)).then(|| (key.session_base_key(sent), proof))
    })
}

/// Returns the LM response, unless it has one of the forms without meaning: empty, short, or all zero.
fn lm_response(request: &LogonRequest) -> Option<&[u8]> {
    let response = request.lm_response.as_slice();
    (response.len() == V1_LEN && response.iter().any(|byte| *byte != 0)).then_some(response)
}

/// Checks that the AV pairs in an NTLMv2 response name the machine that asks and the DC's domain (MS-APDS 3.1.5.2): a
/// response made for another server is refused.
///
/// `domain` is the NetBIOS domain of the machine's Challenge. Responses without AV pairs pass.
///
/// # Errors
/// [`NtStatus::LOGON_FAILURE`].
pub fn check_target_info(request: &LogonRequest, domain: &str) -> Result<(), NtStatus> {
    check_names(request, Some(&request.channel_machine), domain)
}

/// Checks only the domain, for a request that comes from another domain's controller. That controller knows which
/// machine asked it, and has checked the machine.
///
/// # Errors
/// [`NtStatus::LOGON_FAILURE`].
pub fn check_target_domain(request: &LogonRequest, domain: &str) -> Result<(), NtStatus> {
    check_names(request, None, domain)
}

fn check_names(request: &LogonRequest, machine: Option<&str>, domain: &str) -> Result<(), NtStatus> {
    let Ok(NtResponse::V2(response)) = NtResponse::decode(&request.nt_response) else {
        return Ok(());
    };
    let pairs = response.av_pairs;
    let agrees = |sent: Option<String>, ours: &str| sent.is_none_or(|name| same_name(&name, ours));
    let machine_agrees = machine.is_none_or(|machine| agrees(pairs.nb_computer_name(), machine));
    if machine_agrees && agrees(pairs.nb_domain_name(), domain) { Ok(()) } else { Err(NtStatus::LOGON_FAILURE) }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredSecret").field(&Hidden).finish()
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys").field("proof", &self.proof).finish_non_exhaustive()
    }
}
