//! The behaviour of real NTLM clients, as data.

use super::authenticate::PayloadOrder;
use super::flags::NegotiateFlags;
use super::wire::Version;

/// The kind of response that an initiator computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// The NTLMv2 response (MS-NLMP 3.3.2).
    NtlmV2,
    /// The NTLM2 session response: NTLMv1 over the challenges of both sides (3.3.1, extended session security).
    Ntlm2Session,
    /// The NTLMv1 response (MS-NLMP 3.3.1).
    NtlmV1,
}

/// The content of the LM response field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LmRule {
    /// The response that belongs to the kind: LMv2, or the LM response of the LM hash.
    Send,
    /// 24 zero bytes beside NTLMv2 (3.1.5.1.2), or a copy of the NT response beside NTLMv1 (3.3.1).
    Withhold,
}

/// The source of the NTLMv2 blob's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The server's timestamp from its AV pairs; if there is none, the client's own clock (MS-NLMP 3.1.5.1.2).
    ServerFirst,
    /// The client's own clock, in whole seconds (curl).
    OwnWholeSeconds,
}

/// The properties in which NTLM clients differ, apart from their credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtlmProfile {
    /// The flags of the Negotiate message. The Authenticate has those flags that the server has accepted.
    pub flags: NegotiateFlags,
    /// The version field of Negotiate and Authenticate; `None` omits it if the layout allows that.
    pub version: Option<Version>,
    /// The kind of response that is computed.
    pub response: ResponseKind,
    /// The content of the LM response field.
    pub lm: LmRule,
    /// Whether the Authenticate has the 88-byte header and, with NTLMv2, a MIC.
    pub mic: bool,
    /// Whether `MsvAvChannelBindings` and `MsvAvTargetName` are added to the NTLMv2 blob.
    pub extended_protection: bool,
    /// Whether the Authenticate repeats the Challenge's flags unchanged (curl), instead of those that both sides set.
    pub echo_flags: bool,
    /// The source of the blob's timestamp.
    pub clock: Clock,
    /// The order of the Authenticate's payload.
    pub order: PayloadOrder,
    /// The workstation name in the Authenticate.
    pub workstation: String,
}

impl NtlmProfile {
    /// Returns the profile of curl: OEM strings, 32-byte Negotiate, 64-byte Authenticate header, LMv2, no MIC, no
    /// channel binding, and a fixed workstation name (lib/vauth/ntlm.c).
    pub fn curl() -> Self {
        Self {
            flags: NegotiateFlags(0x0008_8206),
            version: None,
            response: ResponseKind::NtlmV2,
            lm: LmRule::Send,
            mic: false,
            extended_protection: false,
            echo_flags: true,
            clock: Clock::OwnWholeSeconds,
            order: PayloadOrder::ResponsesFirst,
            workstation: "WORKSTATION".into(),
        }
    }

    /// Returns the profile of a browser with Chromium's own NTLM: 88-byte header, MIC, channel binding, no key
    /// exchange, zero LM response (net/ntlm).
    pub fn browser() -> Self {
        Self {
            flags: NegotiateFlags(0x0008_8207),
            lm: LmRule::Withhold,
            mic: true,
            extended_protection: true,
            echo_flags: false,
            clock: Clock::ServerFirst,
            workstation: "BROWSER".into(),
            ..Self::curl()
        }
    }

    /// Returns the profile of Firefox's own NTLM: the flags of Chromium, a 64-byte header, LMv2, neither MIC nor channel binding
    /// (`nsNTLMAuthModule.cpp`; its workstation is that of `network.generic-ntlm-auth.workstation`).
    pub fn firefox() -> Self {
        Self {
            lm: LmRule::Send,
            mic: false,
            extended_protection: false,
            clock: Clock::OwnWholeSeconds,
            order: PayloadOrder::NamesFirst,
            workstation: "WORKSTATION".into(),
            ..Self::browser()
        }
    }

    /// Returns the profile of wget, which asks only for OEM and NTLM: NTLMv1 and LM responses, no workstation
    /// (`src/http-ntlm.c`). The Authenticate of the real wget has the flags 0x8201, which do not fit its OEM strings.
    /// Here it has the flags that were negotiated.
    pub fn wget() -> Self {
        Self {
            flags: NegotiateFlags(0x0000_0202),
            response: ResponseKind::NtlmV1,
            order: PayloadOrder::NamesFirst,
            echo_flags: false,
            workstation: String::new(),
            ..Self::curl()
        }
    }

    /// Returns the profile of Mono and of Perl's `Authen::NTLM`: NTLMv1 and LM responses. Both have the flags 0xB207
    /// (`Mono.Security.Protocol.Ntlm`, `NTLM.pm`). The flags for the names of the domain and the workstation are
    /// omitted here.
    pub fn mono() -> Self {
        Self { flags: NegotiateFlags(0x0000_8207), workstation: "WORKSTATION".into(), ..Self::wget() }
    }

    /// Returns the profile of SSPI on Windows: version, MIC, channel binding, key exchange with 128 bits.
    pub fn windows() -> Self {
        Self {
            flags: NegotiateFlags(0xE208_8297),
            version: Some(Version::new(10, 0, 19041)),
            order: PayloadOrder::NamesFirst,
            workstation: "DESKTOP".into(),
            ..Self::browser()
        }
    }

    /// Returns the profile of an old version of Windows: NTLM2 session responses, no MIC.
    pub fn ntlm2_session() -> Self {
        Self {
            response: ResponseKind::Ntlm2Session,
            version: Some(Version::new(5, 1, 2600)),
            mic: false,
            extended_protection: false,
            ..Self::windows()
        }
    }

    /// Returns the profile of a very old version of Windows: NTLMv1 and LM responses, no extended session security.
    pub fn ntlm_v1() -> Self {
        Self {
            flags: NegotiateFlags(0xE208_8297) - NegotiateFlags::EXTENDED_SESSION_SECURITY,
            response: ResponseKind::NtlmV1,
            lm: LmRule::Send,
            ..Self::ntlm2_session()
        }
    }
}
