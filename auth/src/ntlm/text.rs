//! Strings on the wire, in UTF-16LE or OEM.
//!
//! OEM means the server's code page, which no message names. Here it is Latin-1, which agrees with every code page on
//! ASCII. A character beyond Latin-1 is sent as `?`, as Windows does.

use std::fmt;

use super::flags::NegotiateFlags;
use super::wire::DecodeError;

/// The character set of a message's strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// The characters are UTF-16LE.
    Unicode,
    /// The characters are Latin-1, one byte each.
    Oem,
}

impl NegotiateFlags {
    /// Returns the character set in force. Unicode takes precedence if both are set (MS-NLMP 2.2.2.5, A and B).
    pub const fn charset(self) -> Charset {
        if self.contains(Self::UNICODE) { Charset::Unicode } else { Charset::Oem }
    }
}

impl Charset {
    /// Encodes `text` for a message, without a terminator.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Unicode => utf16le(text),
            Self::Oem => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
        }
    }

    /// Decodes a string of a message. `field` names it in errors.
    ///
    /// # Errors
    /// [`DecodeError::Text`] for an odd length or a lone surrogate in UTF-16.
    pub fn decode(self, bytes: &[u8], field: &'static str) -> Result<String, DecodeError> {
        match self {
            Self::Unicode => {
                let (units, rest) = bytes.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(DecodeError::Text { field });
                }
                // Names are nearly always ASCII, for which surrogates need not be checked.
                if units.iter().all(|[low, high]| low.is_ascii() && *high == 0) {
                    return Ok(units.iter().map(|[low, _]| char::from(*low)).collect());
                }
                let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
                let mut text = String::with_capacity(bytes.len() / 2);
                for c in char::decode_utf16(units) {
                    text.push(c.map_err(|_| DecodeError::Text { field })?);
                }
                Ok(text)
            }
            Self::Oem => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        }
    }
}

/// Encodes `text` in UTF-16LE.
pub fn utf16le(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    push_utf16le(text, &mut out);
    out
}

/// Appends `text` in UTF-16LE.
pub(crate) fn push_utf16le(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() * 2);
    for unit in text.encode_utf16() {
        out.extend_from_slice(&unit.to_le_bytes());
    }
}

/// Returns `c` in upper case according to `RtlUpcaseUnicodeString`: one character becomes one character, so `ß` does
/// not change.
pub(crate) fn upcase(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// Returns whether two names are the same to Windows, which ignores case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.chars().map(upcase).eq(b.chars().map(upcase))
}

/// A placeholder for a secret in `Debug` output.
pub(crate) struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}
