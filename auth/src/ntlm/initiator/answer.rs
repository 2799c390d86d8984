//! The answer of a client to a Challenge: flags, responses and target info (MS-NLMP 3.1.5.1.2, 3.3).

use super::{Credentials, InitiatorConfig, InitiatorError, Nonces};
use crate::FileTime;
use crate::ntlm::authenticate::Authenticate;
use crate::ntlm::av::{AvId, AvPairs, AvPairsBuf};
use crate::ntlm::challenge::Challenge;
use crate::ntlm::crypto::{self, Ntowfv2};
use crate::ntlm::flags::NegotiateFlags;
use crate::ntlm::profile::{Clock, LmRule, ResponseKind};
use crate::ntlm::response::{V1_LEN, encode_blob};
use crate::ntlm::wire::DecodeError;

/// The responses to a Challenge, and the key that protects the session key.
pub(super) struct Responses {
    lm: Vec<u8>,
    nt: Vec<u8>,
    pub(super) key_exchange_key: [u8; 16],
}

impl InitiatorConfig {
    /// Returns the flags of the Authenticate: those that both sides set. The client alone decides on REQUEST_TARGET.
    pub(super) fn authenticate_flags(&self, challenge: NegotiateFlags) -> NegotiateFlags {
        let profile = &self.profile;
        let mut flags = challenge;
        if !profile.echo_flags {
            flags = (flags & (profile.flags | NegotiateFlags::TARGET_INFO))
                | (profile.flags & NegotiateFlags::REQUEST_TARGET);
            if flags.contains(NegotiateFlags::UNICODE) {
                flags = flags - NegotiateFlags::OEM;
            }
        }
        if profile.response == ResponseKind::NtlmV1 {
            flags = flags - NegotiateFlags::EXTENDED_SESSION_SECURITY;
        }
        if self.credentials.nt_hash.is_none() {
            flags = flags | NegotiateFlags::ANONYMOUS;
        }
        flags
    }

    /// Returns whether the MIC field of the Authenticate is filled. Only an NTLMv2 blob can announce a MIC.
    pub(crate) fn sends_mic(&self) -> bool {
        self.profile.mic && self.profile.response == ResponseKind::NtlmV2 && self.credentials.nt_hash.is_some()
    }

    /// Computes the responses to `challenge`. `flags` are those of the Authenticate.
    pub(super) fn responses(
        &self,
        challenge: &Challenge<'_>,
        flags: NegotiateFlags,
        nonces: Nonces,
        now: FileTime,
    ) -> Result<Responses, DecodeError> {
        let Some(nt_hash) = &self.credentials.nt_hash else {
            // A null session answers with one zero byte and a key of zeros (3.1.5.1.2, 3.3).
            return Ok(Responses { lm: vec![0], nt: Vec::new(), key_exchange_key: [0; 16] });
        };
        match self.profile.response {
            ResponseKind::NtlmV2 => self.v2_responses(nt_hash, challenge, nonces, now),
            ResponseKind::NtlmV1 | ResponseKind::Ntlm2Session => {
                Ok(self.v1_responses(nt_hash, challenge.server_challenge, flags, nonces))
            }
        }
    }

    fn v2_responses(
        &self,
        nt_hash: &[u8; 16],
        challenge: &Challenge<'_>,
        nonces: Nonces,
        now: FileTime,
    ) -> Result<Responses, DecodeError> {
        let pairs = challenge.av_pairs()?;
        let timestamp = match self.profile.clock {
            Clock::ServerFirst => pairs.timestamp().unwrap_or(now),
            Clock::OwnWholeSeconds => now.whole_seconds(),
        };
        let blob = encode_blob(timestamp, nonces.client_challenge, &self.target_info(pairs));
        let Credentials { user, domain, .. } = &self.credentials;
        let key = Ntowfv2::new(nt_hash, user, domain);
        let proof = key.proof(&challenge.server_challenge, &blob);
        let lm = match self.profile.lm {
            LmRule::Send => key.lm_v2_response(&challenge.server_challenge, &nonces.client_challenge),
            LmRule::Withhold => [0; V1_LEN],
        };
        Ok(Responses {
            lm: lm.to_vec(),
            nt: [proof.as_slice(), &blob].concat(),
            key_exchange_key: key.session_base_key(&proof),
        })
    }

    /// Returns the server's AV pairs, extended by those of the client (3.1.5.1.2).
    fn target_info(&self, server: AvPairs<'_>) -> Vec<u8> {
        let mut pairs = if self.sends_mic() {
            let flags = server.flags() | AvPairs::FLAG_MIC;
            let mut pairs = AvPairsBuf::default();
            for (id, value) in server.iter().filter(|(id, _)| *id != AvId::FLAGS) {
                pairs.push(id, value);
            }
            pairs.push(AvId::FLAGS, &flags.to_le_bytes());
            pairs
        } else {
            AvPairsBuf::from_pairs(server)
        };
        if self.profile.extended_protection {
            let binding = self.channel_binding.map_or([0; 16], |binding| binding.0);
            pairs.push(AvId::CHANNEL_BINDINGS, &binding);
            pairs.push_text(AvId::TARGET_NAME, self.target_name.as_deref().unwrap_or_default());
        }
        pairs.finish()
    }

    fn v1_responses(
        &self,
        nt_hash: &[u8; 16],
        server_challenge: [u8; 8],
        flags: NegotiateFlags,
        nonces: Nonces,
    ) -> Responses {
        let lm_hash = self.credentials.lm_hash.unwrap_or_default();
        let (lm, nt) = if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) {
            let client_challenge = nonces.client_challenge;
            let both = crypto::ntlm2_session_challenge(&server_challenge, &client_challenge);
            let mut lm = [0; V1_LEN];
            lm[..8].copy_from_slice(&client_challenge);
            (lm, crypto::v1_response(nt_hash, &both))
        } else {
            let nt = crypto::v1_response(nt_hash, &server_challenge);
            // A password without an LM hash has no LM response either.
            let lm = match (self.profile.lm, self.credentials.lm_hash) {
                (LmRule::Send, Some(hash)) => crypto::v1_response(&hash, &server_challenge),
                _ => nt,
            };
            (lm, nt)
        };
        let lm_key = std::array::from_fn(|at| lm_hash[at]);
        let session_base_key = crypto::v1_session_base_key(nt_hash);
        Responses {
            key_exchange_key: crypto::v1_key_exchange_key(flags, &session_base_key, &lm_key, &lm, &server_challenge),
            lm: lm.to_vec(),
            nt: nt.to_vec(),
        }
    }

    /// Encodes the Authenticate message. The MIC, if there is one, is still zero.
    pub(super) fn encode(
        &self,
        responses: &Responses,
        flags: NegotiateFlags,
        encrypted_session_key: Option<&[u8; 16]>,
    ) -> Result<Vec<u8>, InitiatorError> {
        let charset = flags.charset();
        let [domain, user, workstation] = [&self.credentials.domain, &self.credentials.user, &self.profile.workstation]
            .map(|text| charset.encode(text));
        let fields = [
            ("the NT response", responses.nt.len()),
            ("the domain", domain.len()),
            ("the user", user.len()),
            ("the workstation", workstation.len()),
        ];
        if let Some((field, len)) = fields.into_iter().find(|(_, len)| *len > u16::MAX.into()) {
            return Err(InitiatorError::TooLong { field, len });
        }
        let message = Authenticate {
            lm_response: &responses.lm,
            nt_response: &responses.nt,
            domain: &domain,
            user: &user,
            workstation: &workstation,
            encrypted_session_key: encrypted_session_key.map_or(&[], |key| key),
            flags,
            version: self.profile.version,
            mic: self.profile.mic.then_some([0; 16]),
        };
        Ok(message.encode(self.profile.order))
    }
}
