//! AV pairs: the attributes that a Challenge carries and an NTLMv2 response repeats (MS-NLMP 2.2.2.1).

use super::text::{Charset, push_utf16le};
use super::wire::DecodeError;
use crate::FileTime;

/// The id of an AV pair. Unknown ids are preserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvId(pub u16);

impl AvId {
    /// `MsvAvEOL`, which ends the list.
    pub const EOL: Self = Self(0);
    /// `MsvAvNbComputerName`, the server's NetBIOS name. It is UTF-16LE like all names here.
    pub const NB_COMPUTER_NAME: Self = Self(1);
    /// `MsvAvNbDomainName`, the NetBIOS name of the server's domain.
    pub const NB_DOMAIN_NAME: Self = Self(2);
    /// `MsvAvDnsComputerName`, the server's DNS name.
    pub const DNS_COMPUTER_NAME: Self = Self(3);
    /// `MsvAvDnsDomainName`, the DNS name of the server's domain.
    pub const DNS_DOMAIN_NAME: Self = Self(4);
    /// `MsvAvDnsTreeName`, the DNS name of the server's forest.
    pub const DNS_TREE_NAME: Self = Self(5);
    /// `MsvAvFlags`, 32 bits; see [`AvPairs::FLAG_MIC`].
    pub const FLAGS: Self = Self(6);
    /// `MsvAvTimestamp`, the server's FILETIME.
    pub const TIMESTAMP: Self = Self(7);
    /// `MsvAvSingleHost`, data about the client's machine.
    pub const SINGLE_HOST: Self = Self(8);
    /// `MsvAvTargetName`, the service that the client requests.
    pub const TARGET_NAME: Self = Self(9);
    /// `MsvAvChannelBindings`, 16 bytes that are all zero if there is no binding.
    pub const CHANNEL_BINDINGS: Self = Self(10);
}

/// A well-formed list of AV pairs, which is borrowed. The pairs keep their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AvPairs<'a> {
    /// The pairs before the EOL.
    pairs: &'a [u8],
}

impl<'a> AvPairs<'a> {
    /// The bit of [`AvPairs::flags`] that announces a MIC in the Authenticate.
    pub const FLAG_MIC: u32 = 0x0000_0002;

    /// Checks a list up to its EOL. Bytes after the EOL (as in an NTLMv2 response) are ignored.
    ///
    /// # Errors
    /// [`DecodeError::AvPairs`] if a pair is cut off or there is no EOL.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let (id, _, next) = split_pair(rest).ok_or(DecodeError::AvPairs { at })?;
            if id == AvId::EOL {
                return Ok(Self { pairs: &bytes[..at] });
            }
            at += rest.len() - next.len();
        }
    }

    /// Returns the pairs in their order, without the EOL.
    pub fn iter(self) -> impl Iterator<Item = (AvId, &'a [u8])> {
        let mut rest = self.pairs;
        std::iter::from_fn(move || {
            let (id, value, next) = split_pair(rest)?;
            rest = next;
            Some((id, value))
        })
    }

    /// Returns the value of the first pair with that id.
    pub fn get(self, id: AvId) -> Option<&'a [u8]> {
        self.iter().find(|(each, _)| *each == id).map(|(_, value)| value)
    }

    /// Returns a name, or `None` if it is absent or not UTF-16LE.
    pub fn text(self, id: AvId) -> Option<String> {
        Charset::Unicode.decode(self.get(id)?, "AV pair").ok()
    }

    /// Returns the NetBIOS name of the server.
    pub fn nb_computer_name(self) -> Option<String> {
        self.text(AvId::NB_COMPUTER_NAME)
    }

    /// Returns the NetBIOS name of the server's domain.
    pub fn nb_domain_name(self) -> Option<String> {
        self.text(AvId::NB_DOMAIN_NAME)
    }

    /// Returns the DNS name of the server.
    pub fn dns_computer_name(self) -> Option<String> {
        self.text(AvId::DNS_COMPUTER_NAME)
    }

    /// Returns the DNS name of the server's domain.
    pub fn dns_domain_name(self) -> Option<String> {
        self.text(AvId::DNS_DOMAIN_NAME)
    }

    /// Returns the DNS name of the server's forest.
    pub fn dns_tree_name(self) -> Option<String> {
        self.text(AvId::DNS_TREE_NAME)
    }

    /// Returns the service that the client requests.
    pub fn target_name(self) -> Option<String> {
        self.text(AvId::TARGET_NAME)
    }

    /// Returns `MsvAvFlags`, or zero if it is absent or not four bytes long.
    pub fn flags(self) -> u32 {
        self.array(AvId::FLAGS).map_or(0, u32::from_le_bytes)
    }

    /// Returns the time, by the server's clock, at which the Challenge was made.
    pub fn timestamp(self) -> Option<FileTime> {
        self.array(AvId::TIMESTAMP).map(|bytes| FileTime(u64::from_le_bytes(bytes)))
    }

    /// Returns the channel binding. If all bytes are zero, the client has no binding.
    pub fn channel_binding(self) -> Option<&'a [u8]> {
        self.get(AvId::CHANNEL_BINDINGS).filter(|value| value.iter().any(|byte| *byte != 0))
    }

    /// Returns the value with this id, if it has exactly `N` bytes.
    fn array<const N: usize>(self, id: AvId) -> Option<[u8; N]> {
        self.get(id)?.try_into().ok()
    }
}

/// Splits the first pair of `bytes` from the bytes after it.
fn split_pair(bytes: &[u8]) -> Option<(AvId, &[u8], &[u8])> {
    let ([i0, i1, l0, l1], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(u16::from_le_bytes([*l0, *l1]).into())?;
    Some((AvId(u16::from_le_bytes([*i0, *i1])), value, rest))
}

/// A list of AV pairs that is being written.
#[derive(Clone, Debug, Default)]
pub struct AvPairsBuf {
    buf: Vec<u8>,
}

impl AvPairsBuf {
    /// Creates a copy of `pairs` that can be extended.
    pub fn from_pairs(pairs: AvPairs<'_>) -> Self {
        Self { buf: pairs.pairs.to_vec() }
    }

    /// Appends a pair. A value is cut at 65,535 bytes, the limit of its length field.
    pub fn push(&mut self, id: AvId, value: &[u8]) -> &mut Self {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.buf.extend_from_slice(&id.0.to_le_bytes());
        self.buf.extend_from_slice(&len.to_le_bytes());
        self.buf.extend_from_slice(&value[..usize::from(len)]);
        self
    }

    /// Appends a name in UTF-16LE. The name is cut like any value.
    pub fn push_text(&mut self, id: AvId, text: &str) -> &mut Self {
        let start = self.buf.len();
        self.push(id, &[]);
        let value = self.buf.len();
        push_utf16le(text, &mut self.buf);
        let len = u16::try_from(self.buf.len() - value).unwrap_or(u16::MAX - 1);
        self.buf.truncate(value + usize::from(len));
        self.buf[start + 2..value].copy_from_slice(&len.to_le_bytes());
        self
    }

    /// Returns the list with its EOL, ready to be sent.
    pub fn finish(&mut self) -> Vec<u8> {
        self.push(AvId::EOL, &[]);
        std::mem::take(&mut self.buf)
    }
}
