//! The messages of Kerberos V5 (RFC 4120 5) that a client, a server and a KDC exchange.
//!
//! | module | holds |
//! |---|---|
//! | this module | the parts that messages share, and the reasons why bytes are refused |
//! | `ticket` | [`Ticket`], [`EncTicketPart`], [`Authenticator`] |
//! | `ap` | [`ApReq`], [`ApRep`], [`EncApRepPart`] |
//! | `kdc` | [`KdcReq`], [`KdcRep`], [`EncKdcRepPart`] |
//! | `preauth` | [`PaData`], [`EtypeInfo2Entry`], [`PaEncTsEnc`] |
//! | `error` | [`KrbError`] |
//! | `cred` | [`KrbCred`]: forwarded tickets |
//!
//! Messages borrow from their bytes. The codec is this crate's own [`der`](crate::der). It reads names in any UTF-8 (a
//! GeneralString of X.680 cannot hold `ß`), and reads an AP-REQ in much less than a microsecond.

use crate::der::{DerError, Fault, Reader, Writer, tag};

use super::crypto::{CryptoError, Key};
use super::name::PrincipalName;
use super::time::KerberosTime;

mod ap;
mod cred;
mod error;
mod kdc;
mod preauth;
mod ticket;

pub use ap::{ApRep, ApReq, EncApRepPart};
pub use cred::{EncKrbCredPart, KrbCred, KrbCredInfo};
pub use error::KrbError;
pub use kdc::{EncKdcRepPart, Exchange, KdcRep, KdcReq, KdcReqBody};
pub use preauth::{EtypeInfo2Entry, PaData, PaEncTsEnc};
pub use ticket::{Authenticator, EncTicketPart, Ticket};

/// The maximum length of a message that is decoded, in bytes. A ticket with a large PAC fits. By default, IIS accepts
/// no longer token.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The protocol version in every message (RFC 4120 5.4.1).
const PVNO: i64 = 5;

/// The maximum number of entries in a list within a message (encryption types, pre-authentication data, tickets).
const MAX_LIST: usize = 64;

/// The reason why bytes are not the expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes are not the DER of this message.
    #[error("the {what} is malformed: {error}")]
    Der {
        /// The name of the message.
        what: &'static str,
        /// The fault and its position.
        error: DerError,
    },
    /// The bytes are longer than any genuine message.
    #[error("the {what} has {got} bytes, more than the limit of {MAX_MESSAGE}")]
    TooLong {
        /// The name of the message.
        what: &'static str,
        /// The length of the bytes.
        got: usize,
    },
}

/// Flags of a ticket (RFC 4120 5.3) and of a KDC request (5.4.1), which share most of their bits.
pub mod flags {
    /// The ticket may be forwarded, or the request asks for such a ticket.
    pub const FORWARDABLE: u32 = 1 << 30;
    /// The ticket was forwarded, or the request asks for a forwarded ticket.
    pub const FORWARDED: u32 = 1 << 29;
    /// The ticket is renewable, or the request asks for a renewable ticket.
    pub const RENEWABLE: u32 = 1 << 23;
    /// The ticket must not be used before it is validated.
    pub const INVALID: u32 = 1 << 24;
    /// The ticket was issued by the AS, not from another ticket.
    pub const INITIAL: u32 = 1 << 22;
    /// The client of the ticket was pre-authenticated.
    pub const PRE_AUTHENT: u32 = 1 << 21;
    /// The service of the ticket is trusted for delegation.
    pub const OK_AS_DELEGATE: u32 = 1 << 18;
    /// The request allows the KDC to change names and refer to other realms (RFC 6806).
    pub const CANONICALIZE: u32 = 1 << 16;
    /// The request accepts a renewable ticket if a ticket with the requested lifetime cannot be issued.
    pub const RENEWABLE_OK: u32 = 1 << 4;
    /// The request asks for a ticket that is encrypted with the session key of an additional ticket (user to user).
    pub const ENC_TKT_IN_SKEY: u32 = 1 << 3;
    /// The request asks to renew the ticket that it presents.
    pub const RENEW: u32 = 1 << 1;
    /// The request asks to validate the ticket that it presents.
    pub const VALIDATE: u32 = 1;
    /// The AP-REQ requires mutual authentication (RFC 4120 5.5.1).
    pub const MUTUAL_REQUIRED: u32 = 1 << 29;
    /// The ticket in the AP-REQ is encrypted with the session key of the server's ticket.
    pub const USE_SESSION_KEY: u32 = 1 << 30;
}

/// A ciphertext with the data that identifies its key (RFC 4120 5.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedData<'a> {
    /// The number of the encryption type.
    pub etype: i32,
    /// The version of the key, if it is a long-term key.
    pub kvno: Option<u32>,
    /// The encrypted bytes.
    pub cipher: &'a [u8],
}

impl<'a> EncryptedData<'a> {
    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.field(0, |w| w.integer(self.etype.into()));
            w.field_if(1, self.kvno, |w, kvno| w.integer(kvno.into()));
            w.field(2, |w| w.octets(self.cipher));
        });
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        sequence(r, |r| {
            Ok(Self { etype: r.primitive_field(0)?, kvno: r.primitive_field_if(1)?, cipher: r.primitive_field(2)? })
        })
    }

    /// Encodes the data in DER, for a pre-authentication value.
    pub fn encode(&self) -> Vec<u8> {
        Writer::encode(|w| self.write(w))
    }

    /// Reads the bytes that [`Self::encode`] returned.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        whole(bytes, "EncryptedData", Self::read)
    }
}

/// A type number and its bytes: a key, a checksum, or authorization data (RFC 4120 5.2.6, 5.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<'a> {
    /// The number of the encryption type, checksum type or data type.
    pub kind: i32,
    /// The key, the checksum or the data.
    pub value: &'a [u8],
}

impl<'a> Typed<'a> {
    /// Returns a key in the form that messages carry.
    pub fn of_key(key: &'a Key) -> Self {
        Self { kind: key.etype().number(), value: key.as_bytes() }
    }

    /// Encodes a list of authorization data (RFC 4120 5.2.6) in DER, as a value inside other authorization data.
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        Writer::encode(|w| w.sequence(|w| list.iter().for_each(|each| each.write(w))))
    }

    /// Reads the bytes that [`Self::encode_list`] returned.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode_list(bytes: &'a [u8]) -> Result<Vec<Self>, MessageError> {
        whole(bytes, "AuthorizationData", |r| r.list(MAX_LIST, Self::read))
    }

    /// Returns the key that this value holds.
    ///
    /// # Errors
    /// The encryption type is not implemented, or the length is not the key length of the type.
    pub fn key(&self) -> Result<Key, CryptoError> {
        Key::from_wire(self.kind, self.value)
    }

    fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.field(0, |w| w.integer(self.kind.into()));
            w.field(1, |w| w.octets(self.value));
        });
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        sequence(r, |r| Ok(Self { kind: r.primitive_field(0)?, value: r.primitive_field(1)? }))
    }
}

/// Reads a SEQUENCE. `read` must read all its fields.
fn sequence<'a, T>(
    r: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DerError>,
) -> Result<T, DerError> {
    let mut inner = r.nested(tag::SEQUENCE)?;
    let value = read(&mut inner)?;
    inner.finish()?;
    Ok(value)
}

/// Reads `bytes` with `read`, which must read all of them.
fn whole<'a, T>(
    bytes: &'a [u8],
    what: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DerError>,
) -> Result<T, MessageError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(MessageError::TooLong { what, got: bytes.len() });
    }
    let mut r = Reader::new(bytes);
    read(&mut r).and_then(|value| r.finish().map(|()| value)).map_err(|error| MessageError::Der { what, error })
}

/// Reads all of `bytes`: the application tag `number` around a SEQUENCE that `read` reads.
fn message<'a, T>(
    bytes: &'a [u8],
    what: &'static str,
    number: u8,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DerError>,
) -> Result<T, MessageError> {
    whole(bytes, what, |r| application(r, number, read))
}

/// Reads the application tag `number` around a SEQUENCE that `read` reads.
fn application<'a, T>(
    r: &mut Reader<'a>,
    number: u8,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DerError>,
) -> Result<T, DerError> {
    let mut inner = r.nested(tag::application(number))?;
    let value = sequence(&mut inner, read)?;
    inner.finish()?;
    Ok(value)
}

/// Returns a message: the application tag `number` around a SEQUENCE that `fields` writes.
fn encode(number: u8, fields: impl FnOnce(&mut Writer)) -> Vec<u8> {
    Writer::encode(|w| write(w, number, fields))
}

/// Writes the bytes that [`encode`] returns.
fn write(w: &mut Writer, number: u8, fields: impl FnOnce(&mut Writer)) {
    w.nested(tag::application(number), |w| w.sequence(fields));
}

/// Writes the version and the type, with which most messages begin, as the fields from `first` on.
fn write_head(w: &mut Writer, first: u8, kind: u8) {
    w.field(first, |w| w.integer(PVNO));
    w.field(first + 1, |w| w.integer(kind.into()));
}

/// Reads the two fields that [`write_head`] writes.
fn read_head(r: &mut Reader<'_>, first: u8, kind: u8) -> Result<(), DerError> {
    expect(r, first, PVNO, "a protocol version other than 5")?;
    expect(r, first + 1, kind.into(), "a message type that contradicts the tag")
}

/// Reads the field `[number]`, whose integer must have this value.
fn expect(r: &mut Reader<'_>, number: u8, value: i64, else_what: &'static str) -> Result<(), DerError> {
    let before = *r;
    if r.primitive_field::<i64>(number)? == value { Ok(()) } else { Err(before.error(Fault::Value(else_what))) }
}

/// Reads microseconds, 0 to 999,999 (RFC 4120 5.2.4).
fn micros(r: &mut Reader<'_>) -> Result<u32, DerError> {
    let before = *r;
    u32::try_from(r.integer()?)
        .ok()
        .filter(|micros| *micros < 1_000_000)
        .ok_or(before.error(Fault::Value("microseconds beyond a second")))
}
