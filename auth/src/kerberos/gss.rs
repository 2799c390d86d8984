//! GSS-API around Kerberos (RFC 4121): framing, the 0x8003 checksum, MIC tokens.

use subtle::ConstantTimeEq;

use super::crypto::{Etype, Key, gss_signature};
use super::usage;
use crate::channel_binding::ChannelBinding;
use crate::der::{Reader, Writer, tag};

/// The contents of the OID of Kerberos V5, 1.2.840.113554.1.2.2, without tag and length.
pub const KRB5_OID: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02];

/// The type of an authenticator's checksum under GSS-API (RFC 4121 4.1.1).
pub const CHECKSUM_TYPE: i32 = 0x8003;

/// The kind of Kerberos message that a token holds (RFC 4121 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenId {
    /// The token holds an AP-REQ (01 00).
    ApReq,
    /// The token holds an AP-REP (02 00).
    ApRep,
    /// The token holds a KRB-ERROR (03 00).
    Error,
}

impl TokenId {
    const ALL: [Self; 3] = [Self::ApReq, Self::ApRep, Self::Error];

    const fn bytes(self) -> [u8; 2] {
        match self {
            Self::ApReq => [1, 0],
            Self::ApRep => [2, 0],
            Self::Error => [3, 0],
        }
    }
}

/// Returns a token: the OID, the token id, and the message (RFC 2743 3.1, RFC 4121 4.1).
pub fn frame(id: TokenId, message: &[u8]) -> Vec<u8> {
    frame_with(id, |w| w.raw(message))
}

/// Does the same as [`frame`], for a message that `write` writes.
pub(super) fn frame_with(id: TokenId, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    Writer::encode(|w| {
        w.nested(tag::application(0), |w| {
            w.value(tag::OBJECT_IDENTIFIER, KRB5_OID);
            w.raw(&id.bytes());
            write(w);
        });
    })
}

/// Returns the message within a token, or `None` if it is not a token of Kerberos.
pub fn unframe(token: &[u8]) -> Option<(TokenId, &[u8])> {
    let mut outer = Reader::new(token);
    let mut inner = outer.nested(tag::application(0)).ok()?;
    outer.finish().ok()?;
    if inner.value(tag::OBJECT_IDENTIFIER).ok()? != KRB5_OID {
        return None;
    }
    let (id, message) = inner.rest().split_first_chunk()?;
    TokenId::ALL.into_iter().find(|each| each.bytes() == *id).map(|id| (id, message))
}

/// Context flags in the 0x8003 checksum (RFC 4121 4.1.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GssFlags(pub u32);

impl GssFlags {
    /// The client forwards a ticket.
    pub const DELEGATE: Self = Self(1);
    /// The server must prove its identity.
    pub const MUTUAL: Self = Self(2);
    /// Replays of messages are detected.
    pub const REPLAY: Self = Self(4);
    /// The order of messages is checked.
    pub const SEQUENCE: Self = Self(8);
    /// Confidentiality is available.
    pub const CONFIDENTIALITY: Self = Self(16);
    /// Integrity is available.
    pub const INTEGRITY: Self = Self(32);

    /// Returns the flags that are set in either of the two.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The contents of a 0x8003 checksum (RFC 4121 4.1.1): length 16, `Bnd`, flags, a forwarded ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GssChecksum<'a> {
    /// The channel binding. Zeros on the wire mean that there is none.
    pub binding: Option<ChannelBinding>,
    /// The context flags of the initiator.
    pub flags: GssFlags,
    /// A KRB-CRED, if [`GssFlags::DELEGATE`] is set.
    pub delegation: Option<&'a [u8]>,
}

impl<'a> GssChecksum<'a> {
    /// Returns the 24 bytes, and the KRB-CRED with its length. A KRB-CRED of more than 65,535 bytes does not fit the
    /// length field and is left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.extend_from_slice(&16_u32.to_le_bytes());
        out.extend_from_slice(&self.binding.map_or([0; 16], |binding| binding.0));
        let delegation = self.delegation.and_then(|cred| Some((cred, u16::try_from(cred.len()).ok()?)));
        let without = GssFlags(self.flags.0 & !GssFlags::DELEGATE.0);
        let flags = if delegation.is_some() { without.union(GssFlags::DELEGATE) } else { without };
        out.extend_from_slice(&flags.0.to_le_bytes());
        if let Some((cred, len)) = delegation {
            out.extend_from_slice(&1_u16.to_le_bytes());
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(cred);
        }
        out
    }

    /// Reads the contents. Returns `None` if they are malformed. Extensions after them are skipped.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (binding, rest) = rest.split_first_chunk::<16>()?;
        let (flags, rest) = rest.split_first_chunk()?;
        let flags = GssFlags(u32::from_le_bytes(*flags));
        if u32::from_le_bytes(*length) != 16 {
            return None;
        }
        let delegation = if flags.contains(GssFlags::DELEGATE) {
            let (option, rest) = rest.split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            let cred = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
            (u16::from_le_bytes(*option) == 1).then_some(cred)
        } else {
            None
        };
        let binding = (*binding != [0; 16]).then_some(ChannelBinding(*binding));
        Some(Self { binding, flags, delegation })
    }
}

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client sends.
    Initiator,
    /// The server sends.
    Acceptor,
}

/// The state that both sides share after an AP exchange. It is sufficient to make and check MIC tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GssContext {
    /// The key in force: the acceptor's subkey; without one, the initiator's subkey; without either, the session key.
    pub key: Key,
    /// Whether `key` is the acceptor's subkey.
    pub acceptor_subkey: bool,
    /// The first sequence number of the initiator.
    pub initiator_seq: u32,
    /// The first sequence number of the acceptor.
    pub acceptor_seq: u32,
}

impl GssContext {
    /// Returns the MIC token of `sender`'s first message (RFC 4121 4.2.6.1; RFC 4757 7.2 with an RC4 key).
    pub fn mic(&self, sender: Sender, message: &[u8]) -> Vec<u8> {
        let sequence = match sender {
            Sender::Initiator => self.initiator_seq,
            Sender::Acceptor => self.acceptor_seq,
        };
        match self.key.etype() {
            Etype::Rc4Hmac => self.rc4_mic(sender, sequence, message),
            _ => self.cfx_mic(sender, sequence.into(), message),
        }
    }

    /// Returns whether `token` is a MIC token of `sender` over `message`. The comparison takes constant time. Any
    /// sequence number is accepted, because each exchange has fresh keys.
    pub fn verify_mic(&self, sender: Sender, message: &[u8], token: &[u8]) -> bool {
        let expected = match self.key.etype() {
            // The sequence number is encrypted, and is known only for the first message.
            Etype::Rc4Hmac => return bool::from(self.mic(sender, message).ct_eq(token)),
            _ => token.get(8..16).and_then(<[u8]>::first_chunk).map(|sent| u64::from_be_bytes(*sent)),
        };
        expected.is_some_and(|sequence| self.cfx_mic(sender, sequence, message).ct_eq(token).into())
    }

    fn cfx_mic(&self, sender: Sender, sequence: u64, message: &[u8]) -> Vec<u8> {
        let (sent_by, usage) = match sender {
            Sender::Initiator => (0, usage::INITIATOR_SIGN),
            Sender::Acceptor => (1, usage::ACCEPTOR_SIGN),
        };
        let subkey = if self.acceptor_subkey { 4 } else { 0 };
        let mut token = vec![4, 4, sent_by | subkey, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        token.extend_from_slice(&sequence.to_be_bytes());
        let checksum = self.key.checksum(usage, &[message, &token]);
        token.extend_from_slice(&checksum);
        token
    }

    fn rc4_mic(&self, sender: Sender, sequence: u32, message: &[u8]) -> Vec<u8> {
        let direction = match sender {
            Sender::Initiator => 0,
            Sender::Acceptor => 0xFF,
        };
        let header = [1, 1, 0x11, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        let (sequence, checksum) =
            gss_signature(self.key.as_bytes(), RC4_SIGN, &[&header, message], sequence, direction);
        Writer::encode(|w| {
            w.nested(tag::application(0), |w| {
                w.value(tag::OBJECT_IDENTIFIER, KRB5_OID);
                w.raw(&header);
                w.raw(&sequence);
                w.raw(&checksum);
            });
        })
    }
}

/// The usage number of a signature within the RC4 construction (RFC 4757 7.2).
const RC4_SIGN: u32 = 15;
