//! The configuration of a server that accepts NTLM, and the decisions that depend only on it.

use super::{Refusal, WORKSTATION};
use crate::FileTime;
use crate::logon::LogonRequest;
use crate::ntlm::authenticate::Authenticate;
use crate::ntlm::av::{AvId, AvPairs, AvPairsBuf};
use crate::ntlm::challenge::Challenge;
use crate::ntlm::crypto::ntlm2_session_challenge;
use crate::ntlm::flags::NegotiateFlags;
use crate::ntlm::response::NtResponse;
use crate::ntlm::text::same_name;
use crate::ntlm::wire::{DecodeError, Version};

/// The names that a Challenge advertises in its AV pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetNames {
    /// The NetBIOS name of the machine (AV 1).
    pub netbios_computer: String,
    /// The NetBIOS name of its domain (AV 2), or of the machine itself if it is not joined to a domain.
    pub netbios_domain: String,
    /// The DNS name of the machine (AV 3).
    pub dns_computer: String,
    /// The DNS name of its domain (AV 4), which is left out if it is empty.
    pub dns_domain: String,
    /// The DNS name of its forest (AV 5), which is left out if it is empty.
    pub dns_tree: String,
}

/// The setting `tokenChecking` of IIS: whether a property of extended protection is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenChecking {
    /// The property is never checked.
    #[default]
    None,
    /// The property is checked if the client sent it.
    Allow,
    /// The property is always checked. A client that did not send it is refused.
    Require,
}

/// The configuration of a server that accepts NTLM.
#[derive(Clone, Debug, Default)]
pub struct AcceptorConfig {
    /// The names in the Challenge.
    pub names: TargetNames,
    /// Whether the machine is joined to a domain. Then the target is the domain; otherwise it is the machine.
    pub joined: bool,
    /// The version field of the Challenge. Every Challenge has this field, even if the client did not ask for it.
    /// Recorded exchanges of IIS 8.5 with curl show the field, although curl does not ask for it, and the Authenticate
    /// of curl repeats the flag. According to MS-NLMP 2.2.2.10, the field is only for debugging.
    pub version: Version,
    /// Whether clients that do not offer 128-bit keys are refused. This is off by default, because curl and Chromium
    /// never offer them.
    pub require_128bit: bool,
    /// The maximum difference between an NTLMv2 timestamp and the server's clock, in ticks; `None` turns the check off
    /// (Windows after 2008 R2). [`AcceptorConfig::SKEW_36_HOURS`] is the older rule.
    pub max_skew: Option<u64>,
    /// Whether a null session counts as a logon. IIS does not accept it as one.
    pub allow_anonymous: bool,
    /// Whether the channel binding is checked, on connections that have one.
    pub channel_binding: TokenChecking,
    /// Whether the service name is checked against [`AcceptorConfig::service_names`].
    pub service_name: TokenChecking,
    /// The service names of this server, such as `HTTP/app.corp.example`. Case does not matter.
    pub service_names: Vec<String>,
}

impl AcceptorConfig {
    /// The number of ticks in 36 hours, which Windows up to 2008 R2 allowed.
    pub const SKEW_36_HOURS: u64 = 36 * 3600 * FileTime::TICKS_PER_SECOND;

    /// The flags that this acceptor supports if the client asks for them.
    const SUPPORTED: NegotiateFlags = NegotiateFlags::UNICODE
        .union(NegotiateFlags::OEM)
        .union(NegotiateFlags::SIGN)
        .union(NegotiateFlags::SEAL)
        .union(NegotiateFlags::LM_KEY)
        .union(NegotiateFlags::EXTENDED_SESSION_SECURITY)
        .union(NegotiateFlags::IDENTIFY)
        .union(NegotiateFlags::REQUEST_NON_NT_SESSION_KEY)
        .union(NegotiateFlags::KEY_128)
        .union(NegotiateFlags::KEY_EXCH)
        .union(NegotiateFlags::KEY_56);

    /// The flags of every Challenge.
    const ALWAYS: NegotiateFlags = NegotiateFlags::REQUEST_TARGET
        .union(NegotiateFlags::NTLM)
        .union(NegotiateFlags::ALWAYS_SIGN)
        .union(NegotiateFlags::TARGET_INFO)
        .union(NegotiateFlags::VERSION);

    /// Returns the flags of the Challenge that answers a client with these flags (3.2.5.1.1).
    pub(super) fn challenge_flags(&self, client: NegotiateFlags) -> Result<NegotiateFlags, Refusal> {
        if self.require_128bit && !client.contains(NegotiateFlags::KEY_128) {
            return Err(Refusal::Weak);
        }
        let mut flags = (client & Self::SUPPORTED) | Self::ALWAYS;
        if flags.contains(NegotiateFlags::UNICODE) {
            flags = flags - NegotiateFlags::OEM;
        } else if !flags.contains(NegotiateFlags::OEM) {
            return Err(DecodeError::NoCharset.into());
        }
        if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) {
            flags = flags - NegotiateFlags::LM_KEY;
        }
        let target = if self.joined { NegotiateFlags::TARGET_TYPE_DOMAIN } else { NegotiateFlags::TARGET_TYPE_SERVER };
        Ok(flags | target)
    }

    /// Encodes the Challenge message.
    pub(super) fn encode_challenge(&self, flags: NegotiateFlags, server_challenge: [u8; 8], now: FileTime) -> Vec<u8> {
        let names = &self.names;
        let target = if self.joined { &names.netbios_domain } else { &names.netbios_computer };
        Challenge {
            flags,
            server_challenge,
            target_name: &flags.charset().encode(target),
            target_info: &names.encode(now),
            version: Some(self.version),
        }
        .encode()
    }

    /// Returns the question to the DC about `message`.
    pub(super) fn logon_request(
        &self,
        message: &Authenticate<'_>,
        flags: NegotiateFlags,
        server_challenge: [u8; 8],
    ) -> Result<LogonRequest, DecodeError> {
        let charset = flags.charset();
        let response = NtResponse::decode(message.nt_response)?;
        let extended = flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY);
        let challenge = match response {
            NtResponse::V1(_) if extended => {
                let lm = message.lm_response;
                let client = lm
                    .first_chunk()
                    .ok_or(DecodeError::Length { field: "Authenticate.LmChallengeResponse", got: lm.len() })?;
                ntlm2_session_challenge(&server_challenge, client)
            }
            _ => server_challenge,
        };
        Ok(LogonRequest {
            channel_machine: self.names.netbios_computer.clone(),
            logon_domain: charset.decode(message.domain, "Authenticate.DomainName")?,
            user: charset.decode(message.user, "Authenticate.UserName")?,
            workstation: charset.decode(message.workstation, WORKSTATION)?,
            challenge,
            nt_response: message.nt_response.to_vec(),
            lm_response: message.lm_response.to_vec(),
            parameter_control: 0,
            hops: 0,
        })
    }

    /// Returns the service name that the client sent. If names are checked, it must be a name of this server.
    pub(super) fn check_service_name(&self, pairs: AvPairs<'_>) -> Result<Option<String>, Refusal> {
        let sent = pairs.target_name().filter(|name| !name.is_empty());
        let ours = |name: &str| self.service_names.iter().any(|each| same_name(each, name));
        match (self.service_name, sent) {
            (TokenChecking::Require, None) => Err(Refusal::TargetName(String::new())),
            (TokenChecking::Allow | TokenChecking::Require, Some(name)) if !ours(&name) => {
                Err(Refusal::TargetName(name))
            }
            (_, sent) => Ok(sent),
        }
    }

    /// Checks, if that is configured, that the time in an NTLMv2 response is close enough to the server's clock.
    pub(super) fn check_clock(&self, response: NtResponse<'_>, now: FileTime) -> Result<(), Refusal> {
        let (Some(limit), NtResponse::V2(v2)) = (self.max_skew, response) else { return Ok(()) };
        let skew = v2.timestamp.0.abs_diff(now.0);
        if skew > limit { Err(Refusal::Skew(skew)) } else { Ok(()) }
    }
}

impl TargetNames {
    /// Encodes the AV pairs of a Challenge in the order of Windows: 2, 1, 4, 3, 5, 7.
    fn encode(&self, now: FileTime) -> Vec<u8> {
        let mut pairs = AvPairsBuf::default();
        pairs.push_text(AvId::NB_DOMAIN_NAME, &self.netbios_domain);
        pairs.push_text(AvId::NB_COMPUTER_NAME, &self.netbios_computer);
        for (id, name) in [
            (AvId::DNS_DOMAIN_NAME, &self.dns_domain),
            (AvId::DNS_COMPUTER_NAME, &self.dns_computer),
            (AvId::DNS_TREE_NAME, &self.dns_tree),
        ] {
            if !name.is_empty() {
                pairs.push_text(id, name);
            }
        }
        pairs.push(AvId::TIMESTAMP, &now.0.to_le_bytes());
        pairs.finish()
    }
}
