//! Bounded reading and writing of the fields that NTLM messages share (MS-NLMP 2.2).

use std::fmt;

use super::flags::NegotiateFlags;

/// The eight bytes `NTLMSSP\0` with which every message begins (MS-NLMP 2.2).
pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// The reason why bytes cannot be decoded as NTLM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are too short for the fixed part.
    #[error("{what} has {got} bytes, but needs at least {need}")]
    Truncated {
        /// The name of the message or structure.
        what: &'static str,
        /// The length of the bytes.
        got: usize,
        /// The shortest permitted length in bytes.
        need: usize,
    },
    /// The bytes are longer than any genuine message.
    #[error("{what} has {got} bytes, more than the limit of {limit}")]
    TooLong {
        /// The name of the message.
        what: &'static str,
        /// The length of the bytes.
        got: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The bytes do not begin with the `NTLMSSP` signature.
    #[error("this is not an NTLM message: the signature NTLMSSP is missing")]
    Signature,
    /// The type of the message is not the expected one.
    #[error("the NTLM message has type {got}, but type {expected} was expected")]
    MessageType {
        /// The type of the message.
        got: u32,
        /// The expected type.
        expected: u32,
    },
    /// A field points outside the message.
    #[error("{field} at offset {offset} with {len} bytes lies outside the message of {total} bytes")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The offset of the field from the message's start, in bytes.
        offset: usize,
        /// The length of the field in bytes.
        len: usize,
        /// The length of the message in bytes.
        total: usize,
    },
    /// A field has a length that it cannot have.
    #[error("{field} has {got} bytes, which is not a valid length for it")]
    Length {
        /// The name of the field.
        field: &'static str,
        /// The length of the field in bytes.
        got: usize,
    },
    /// A string is not valid UTF-16LE.
    #[error("{field} is not valid UTF-16LE")]
    Text {
        /// The name of the field.
        field: &'static str,
    },
    /// The flags ask for neither OEM nor Unicode.
    #[error("the peer offers neither OEM nor Unicode strings")]
    NoCharset,
    /// The AV pairs have no end.
    #[error("the AV pairs are malformed at byte {at}")]
    AvPairs {
        /// The position in the list, in bytes.
        at: usize,
    },
}

/// The 8-byte VERSION structure (MS-NLMP 2.2.2.10), kept as it was sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Version(pub [u8; 8]);

impl Version {
    /// Creates the version `major.minor.build` with NTLM revision 15.
    pub const fn new(major: u8, minor: u8, build: u16) -> Self {
        let build = build.to_le_bytes();
        Self([major, minor, build[0], build[1], 0, 0, 0, 15])
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, low, high, .., revision] = self.0;
        write!(f, "{major}.{minor}.{} r{revision}", u16::from_le_bytes([low, high]))
    }
}

/// The maximum length of a message that is decoded, in bytes. The limit is much longer than any genuine message
/// (Windows refuses an AV list of more than a few KiB), and small enough for one message to be kept for each
/// connection.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The number of bytes of the signature and the message type.
const PREAMBLE: usize = 12;

/// A received message with the right signature, the right type and a complete fixed part.
#[derive(Clone, Copy)]
pub(crate) struct MessageReader<'a> {
    raw: &'a [u8],
}

impl<'a> MessageReader<'a> {
    /// Opens `raw` as a message of type `expected` with at least `fixed` bytes.
    pub(crate) fn open(raw: &'a [u8], what: &'static str, expected: u32, fixed: usize) -> Result<Self, DecodeError> {
        if raw.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLong { what, got: raw.len(), limit: MAX_MESSAGE });
        }
        let got = message_type(raw).ok_or(DecodeError::Signature)?;
        if got != expected {
            return Err(DecodeError::MessageType { got, expected });
        }
        if raw.len() < fixed {
            return Err(DecodeError::Truncated { what, got: raw.len(), need: fixed });
        }
        Ok(Self { raw })
    }

    /// Returns `N` bytes at `at`, if the message is long enough.
    pub(crate) fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.raw.get(at..)?.first_chunk().copied()
    }

    /// Returns the flags at `at`, or zero if the message ends before them.
    pub(crate) fn flags(self, at: usize) -> NegotiateFlags {
        NegotiateFlags(self.array(at).map_or(0, u32::from_le_bytes))
    }

    /// Returns the payload field whose descriptor (length, allocated, offset) is at `at`, with its offset.
    ///
    /// The offset of an empty field has no meaning (2.2.1.3), and neither has the allocated length.
    pub(crate) fn field(self, at: usize, field: &'static str) -> Result<Field<'a>, DecodeError> {
        let [l0, l1, _, _, o0, o1, o2, o3] = self.array(at).unwrap_or_default();
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        let offset = u32::from_le_bytes([o0, o1, o2, o3]) as usize;
        if len == 0 {
            return Ok(Field { bytes: &[], offset: self.raw.len() });
        }
        let bytes = offset
            .checked_add(len)
            .and_then(|end| self.raw.get(offset..end))
            .ok_or(DecodeError::OutOfBounds { field, offset, len, total: self.raw.len() })?;
        Ok(Field { bytes, offset })
    }
}

/// A payload field: its bytes and their start. For an empty field, the start is the message's end.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: usize,
}

/// Returns the type of an NTLM message, if `raw` begins like one.
pub(crate) fn message_type(raw: &[u8]) -> Option<u32> {
    let (signature, rest) = raw.split_first_chunk()?;
    let kind = rest.first_chunk()?;
    (signature == SIGNATURE).then(|| u32::from_le_bytes(*kind))
}

/// A message that is being written: a fixed part of zeros, which is filled in, and then the payload.
pub(crate) struct MessageWriter {
    buf: Vec<u8>,
}

impl MessageWriter {
    /// Creates a message of type `kind` with a fixed part of `fixed` bytes and room for `payload` more.
    pub(crate) fn new(kind: u32, fixed: usize, payload: usize) -> Self {
        let mut buf = Vec::with_capacity(fixed + payload);
        buf.extend_from_slice(SIGNATURE);
        buf.extend_from_slice(&kind.to_le_bytes());
        debug_assert!(fixed >= PREAMBLE, "the fixed part holds the signature and the type");
        buf.resize(fixed, 0);
        Self { buf }
    }

    /// Writes `bytes` into the fixed part at `at`.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.buf[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Appends `bytes` to the payload and writes their descriptor at `at`. Bytes beyond the 16-bit length of a
    /// descriptor are cut off.
    pub(crate) fn field(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let offset = self.buf.len() as u32;
        self.put(at, &len.to_le_bytes());
        self.put(at + 2, &len.to_le_bytes());
        self.put(at + 4, &offset.to_le_bytes());
        self.buf.extend_from_slice(&bytes[..usize::from(len)]);
        self
    }

    /// Returns the finished message.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }
}
