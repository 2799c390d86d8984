//! The CHALLENGE_MESSAGE, type 2 (MS-NLMP 2.2.1.2).

use super::av::AvPairs;
use super::flags::NegotiateFlags;
use super::wire::{DecodeError, MessageReader, MessageWriter, Version};

/// The offsets of descriptors and fixed fields from the message's start, in bytes.
const TARGET_NAME: usize = 12;
const FLAGS: usize = 20;
const SERVER_CHALLENGE: usize = 24;
const TARGET_INFO: usize = 40;
const VERSION: usize = 48;
/// The lengths of the fixed part without and with a version.
const FIXED: usize = 48;
const FIXED_WITH_VERSION: usize = 56;
/// The length of the shortest message, which ends after the challenge. The oldest servers send it.
const SHORTEST: usize = 32;

/// A decoded CHALLENGE_MESSAGE: the choices of the server, and its challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The flags in force.
    pub flags: NegotiateFlags,
    /// The eight random bytes that the responses answer.
    pub server_challenge: [u8; 8],
    /// The domain or the server that will authenticate, in the message's character set.
    pub target_name: &'a [u8],
    /// The AV pairs with their EOL, as they were sent. They are empty without [`NegotiateFlags::TARGET_INFO`].
    pub target_info: &'a [u8],
    /// The version field, if the message has room for one.
    pub version: Option<Version>,
}

impl<'a> Challenge<'a> {
    /// Decodes a type 2 message of at least 32 bytes. The AV pairs are not decoded yet.
    pub fn decode(raw: &'a [u8]) -> Result<Self, DecodeError> {
        let message = MessageReader::open(raw, "Challenge", 2, SHORTEST)?;
        let flags = message.flags(FLAGS);
        let target_name = message.field(TARGET_NAME, "Challenge.TargetName")?;
        let target_info = if flags.contains(NegotiateFlags::TARGET_INFO) && raw.len() >= FIXED {
            Some(message.field(TARGET_INFO, "Challenge.TargetInfo")?)
        } else {
            None
        };
        let payload = target_name.offset.min(target_info.map_or(raw.len(), |field| field.offset));
        Ok(Self {
            flags,
            server_challenge: message.array(SERVER_CHALLENGE).unwrap_or_default(),
            target_name: target_name.bytes,
            target_info: target_info.map_or(&[], |field| field.bytes),
            version: (payload >= FIXED_WITH_VERSION).then(|| message.array(VERSION).map(Version)).flatten(),
        })
    }

    /// Returns the AV pairs, which are empty if the server sent none.
    pub fn av_pairs(&self) -> Result<AvPairs<'a>, DecodeError> {
        if self.target_info.is_empty() {
            return Ok(AvPairs::default());
        }
        AvPairs::decode(self.target_info)
    }

    /// Encodes the message. The target info is sent if its flag is set.
    pub fn encode(&self) -> Vec<u8> {
        let fixed = if self.version.is_some() { FIXED_WITH_VERSION } else { FIXED };
        let payload = self.target_name.len() + self.target_info.len();
        let mut message = MessageWriter::new(2, fixed, payload);
        message.put(FLAGS, &self.flags.0.to_le_bytes());
        message.put(SERVER_CHALLENGE, &self.server_challenge);
        if let Some(version) = self.version {
            message.put(VERSION, &version.0);
        }
        message.field(TARGET_NAME, self.target_name);
        if self.flags.contains(NegotiateFlags::TARGET_INFO) {
            message.field(TARGET_INFO, self.target_info);
        }
        message.finish()
    }
}
