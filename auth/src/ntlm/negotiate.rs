//! The NEGOTIATE_MESSAGE, type 1 (MS-NLMP 2.2.1.1).

use super::flags::NegotiateFlags;
use super::wire::{DecodeError, MessageReader, MessageWriter, Version};

/// The offsets of descriptors and the version from the message's start, in bytes.
const FLAGS: usize = 12;
const DOMAIN: usize = 16;
const WORKSTATION: usize = 24;
const VERSION: usize = 32;
/// The length of the fixed part without a version, and below it the length with a version.
const FIXED: usize = 32;
const FIXED_WITH_VERSION: usize = 40;
/// The length of the shortest message, which ends after the flags. The oldest clients send it.
const SHORTEST: usize = 16;

/// A decoded NEGOTIATE_MESSAGE: the offer of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiate<'a> {
    /// The flags that the client offers.
    pub flags: NegotiateFlags,
    /// The domain of the client's machine in OEM characters. It is read only with
    /// [`NegotiateFlags::OEM_DOMAIN_SUPPLIED`].
    pub domain: &'a [u8],
    /// The name of the client's machine in OEM characters. It is read only with
    /// [`NegotiateFlags::OEM_WORKSTATION_SUPPLIED`].
    pub workstation: &'a [u8],
    /// The version field, if the message has room for one.
    pub version: Option<Version>,
}

impl<'a> Negotiate<'a> {
    /// Decodes a type 1 message of 16 bytes (flags only), of 32 bytes, or of 40 or more bytes.
    pub fn decode(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let message = MessageReader::open(raw, "Negotiate", 1, SHORTEST)?;
        let flags = message.flags(FLAGS);
        let field = |flag, at, name| {
            if flags.contains(flag) { message.field(at, name).map(Some) } else { Ok(None) }
        };
        let domain = field(NegotiateFlags::OEM_DOMAIN_SUPPLIED, DOMAIN, "Negotiate.DomainName")?;
        let workstation = field(NegotiateFlags::OEM_WORKSTATION_SUPPLIED, WORKSTATION, "Negotiate.Workstation")?;
        let payload = [domain, workstation].into_iter().flatten().map(|field| field.offset).min();
        let version = payload
            .is_none_or(|start| start >= FIXED_WITH_VERSION)
            .then(|| message.array(VERSION).map(Version))
            .flatten();
        Ok(Self {
            flags,
            domain: domain.map_or(&[], |field| field.bytes),
            workstation: workstation.map_or(&[], |field| field.bytes),
            version,
        })
    }

    /// Encodes the message: 32 bytes and the names, or 40 bytes and the names if there is a version. A name is sent if
    /// its flag is set.
    pub fn encode(&self) -> Vec<u8> {
        let fixed = if self.version.is_some() { FIXED_WITH_VERSION } else { FIXED };
        let mut message = MessageWriter::new(1, fixed, self.domain.len() + self.workstation.len());
        message.put(FLAGS, &self.flags.0.to_le_bytes());
        if let Some(version) = self.version {
            message.put(VERSION, &version.0);
        }
        if self.flags.contains(NegotiateFlags::OEM_DOMAIN_SUPPLIED) {
            message.field(DOMAIN, self.domain);
        }
        if self.flags.contains(NegotiateFlags::OEM_WORKSTATION_SUPPLIED) {
            message.field(WORKSTATION, self.workstation);
        }
        message.finish()
    }
}
