//! The AUTHENTICATE_MESSAGE, type 3 (MS-NLMP 2.2.1.3).

use super::flags::NegotiateFlags;
use super::wire::{DecodeError, MessageReader, MessageWriter, Version};

/// The offsets of descriptors and fixed fields from the message's start, in bytes.
const LM_RESPONSE: usize = 12;
const NT_RESPONSE: usize = 20;
const DOMAIN: usize = 28;
const USER: usize = 36;
const WORKSTATION: usize = 44;
const SESSION_KEY: usize = 52;
const FLAGS: usize = 60;
const VERSION: usize = 64;
/// The position of the MIC, if the NTLMv2 response says that there is one.
pub(crate) const MIC: std::ops::Range<usize> = 72..88;
/// The lengths of the fixed part: without a version and a MIC, with a version, and with a version and a MIC.
const FIXED: usize = 64;
const FIXED_WITH_VERSION: usize = 72;
const FIXED_WITH_MIC: usize = 88;

/// The order of the payload of an Authenticate. Decoding accepts any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadOrder {
    /// The order domain, user, workstation, LM, NT, key (Windows).
    #[default]
    NamesFirst,
    /// The order LM, NT, domain, user, workstation, key (curl, Chromium, gss-ntlmssp).
    ResponsesFirst,
}

/// A decoded AUTHENTICATE_MESSAGE, with which the client proves its identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authenticate<'a> {
    /// The LM response: empty, 24 bytes, or one zero byte.
    pub lm_response: &'a [u8],
    /// The NT response: empty, 24 bytes, or NTLMv2 with its blob (see [`super::response`]).
    pub nt_response: &'a [u8],
    /// The domain. The domain and the following two names are in the message's character set.
    pub domain: &'a [u8],
    /// The name of the user.
    pub user: &'a [u8],
    /// The name of the client's machine.
    pub workstation: &'a [u8],
    /// RC4(key exchange key, exported session key): 16 bytes with KEY_EXCH.
    pub encrypted_session_key: &'a [u8],
    /// The flags that the client assumes to be in force.
    pub flags: NegotiateFlags,
    /// The version field, if the payload leaves room for one.
    pub version: Option<Version>,
    /// The bytes 72 to 88, if the payload leaves room for them. They are a MIC *only* if the NTLMv2 response says so;
    /// Samba leaves other bytes there.
    pub mic: Option<[u8; 16]>,
}

impl<'a> Authenticate<'a> {
    /// Decodes a type 3 message with a header of 64, 72 or 88 bytes. The start of the payload shows the length of the
    /// header.
    pub fn decode(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let message = MessageReader::open(raw, "Authenticate", 3, FIXED)?;
        let lm_response = message.field(LM_RESPONSE, "Authenticate.LmChallengeResponse")?;
        let nt_response = message.field(NT_RESPONSE, "Authenticate.NtChallengeResponse")?;
        let domain = message.field(DOMAIN, "Authenticate.DomainName")?;
        let user = message.field(USER, "Authenticate.UserName")?;
        let workstation = message.field(WORKSTATION, "Authenticate.Workstation")?;
        let session_key = message.field(SESSION_KEY, "Authenticate.EncryptedRandomSessionKey")?;
        let payload = [lm_response, nt_response, domain, user, workstation, session_key]
            .iter()
            .fold(raw.len(), |least, field| least.min(field.offset));
        Ok(Self {
            lm_response: lm_response.bytes,
            nt_response: nt_response.bytes,
            domain: domain.bytes,
            user: user.bytes,
            workstation: workstation.bytes,
            encrypted_session_key: session_key.bytes,
            flags: message.flags(FLAGS),
            version: (payload >= FIXED_WITH_VERSION).then(|| message.array(VERSION).map(Version)).flatten(),
            mic: (payload >= FIXED_WITH_MIC).then(|| message.array(MIC.start)).flatten(),
        })
    }

    /// Encodes the message. The header has 88 bytes with a MIC (the version is then zero unless it is given), 72 bytes
    /// with a version, and 64 bytes otherwise. The caller passes zeros as the MIC, and then replaces them by the
    /// [`super::crypto::mic`] of the finished message.
    pub fn encode(&self, order: PayloadOrder) -> Vec<u8> {
        let fixed = match (self.mic, self.version) {
            (Some(_), _) => FIXED_WITH_MIC,
            (None, Some(_)) => FIXED_WITH_VERSION,
            (None, None) => FIXED,
        };
        let names = [(DOMAIN, self.domain), (USER, self.user), (WORKSTATION, self.workstation)];
        let responses = [(LM_RESPONSE, self.lm_response), (NT_RESPONSE, self.nt_response)];
        let payload = names.iter().chain(&responses).map(|(_, bytes)| bytes.len()).sum::<usize>()
            + self.encrypted_session_key.len();
        let mut message = MessageWriter::new(3, fixed, payload);
        message.put(FLAGS, &self.flags.0.to_le_bytes());
        if let Some(version) = self.version {
            message.put(VERSION, &version.0);
        }
        if let Some(mic) = self.mic {
            message.put(MIC.start, &mic);
        }
        match order {
            PayloadOrder::NamesFirst => names.iter().chain(&responses).for_each(|(at, bytes)| {
                message.field(*at, bytes);
            }),
            PayloadOrder::ResponsesFirst => responses.iter().chain(&names).for_each(|(at, bytes)| {
                message.field(*at, bytes);
            }),
        }
        if !self.encrypted_session_key.is_empty() {
            message.field(SESSION_KEY, self.encrypted_session_key);
        }
        message.finish()
    }
}
