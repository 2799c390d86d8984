//! Pre-authentication data (RFC 4120 5.2.7), and what it holds.

use super::{DerError, KerberosTime, MAX_LIST, MessageError, Reader, Writer, micros, sequence, whole};

/// Pre-authentication data (RFC 4120 5.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaData<'a> {
    /// Its type, such as [`PaData::ENC_TIMESTAMP`].
    pub kind: i32,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> PaData<'a> {
    /// An AP-REQ with the ticket that a TGS request presents.
    pub const TGS_REQ: i32 = 1;
    /// The time, encrypted in the client's key: [`PaEncTsEnc`].
    pub const ENC_TIMESTAMP: i32 = 2;
    /// In an error's e-data: a KERB-EXT-ERROR with an NTSTATUS (MS-KILE 2.2.1).
    pub const PW_SALT: i32 = 3;
    /// Encryption types with salts: a list of [`EtypeInfo2Entry`].
    pub const ETYPE_INFO2: i32 = 19;
    /// A service's request on behalf of a user (MS-SFU), which is not supported here.
    pub const FOR_USER: i32 = 129;
    /// Whether a PAC is wanted (MS-KILE 2.2.3).
    pub const PAC_REQUEST: i32 = 128;

    pub(super) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            w.field(1, |w| w.integer(self.kind.into()));
            w.field(2, |w| w.octets(self.value));
        });
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        sequence(r, |r| Ok(Self { kind: r.primitive_field(1)?, value: r.primitive_field(2)? }))
    }

    /// METHOD-DATA: a list of these, as the e-data of an error.
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        Writer::encode(|w| write_list(w, list, Self::write))
    }

    /// Reads what [`Self::encode_list`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode_list(bytes: &'a [u8]) -> Result<Vec<Self>, MessageError> {
        whole(bytes, "METHOD-DATA", |r| r.list(MAX_LIST, Self::read))
    }

    pub(super) fn read_list(r: &mut Reader<'a>, number: u8) -> Result<Vec<Self>, DerError> {
        Ok(r.field_if(number, |r| r.list(MAX_LIST, Self::read))?.unwrap_or_default())
    }
}

/// An encryption type that a KDC has a key of, and how to make that key from the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtypeInfo2Entry<'a> {
    /// Number of the type.
    pub etype: i32,
    /// The salt; absent, the default of the principal.
    pub salt: Option<&'a str>,
    /// Parameters: the number of iterations in 4 bytes, big endian (RFC 3962 4).
    pub s2kparams: Option<&'a [u8]>,
}

impl<'a> EtypeInfo2Entry<'a> {
    /// ETYPE-INFO2: a list of these.
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        Writer::encode(|w| {
            write_list(w, list, |entry, w| {
                w.sequence(|w| {
                    w.field(0, |w| w.integer(entry.etype.into()));
                    w.field_if(1, entry.salt, Writer::string);
                    w.field_if(2, entry.s2kparams, Writer::octets);
                });
            });
        })
    }

    /// Reads what [`Self::encode_list`] wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode_list(bytes: &'a [u8]) -> Result<Vec<Self>, MessageError> {
        whole(bytes, "ETYPE-INFO2", |r| {
            r.list(MAX_LIST, |r| {
                sequence(r, |r| {
                    Ok(Self {
                        etype: r.primitive_field(0)?,
                        salt: r.primitive_field_if(1)?,
                        s2kparams: r.primitive_field_if(2)?,
                    })
                })
            })
        })
    }
}

/// The plaintext of an encrypted timestamp (RFC 4120 5.2.7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaEncTsEnc {
    /// The client's clock: second.
    pub time: KerberosTime,
    /// The client's clock: microseconds.
    pub micros: u32,
}

impl PaEncTsEnc {
    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        Writer::encode(|w| {
            w.sequence(|w| {
                w.field(0, |w| self.time.write(w));
                w.field(1, |w| w.integer(self.micros.into()));
            });
        })
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        whole(bytes, "PA-ENC-TS-ENC", |r| {
            sequence(r, |r| {
                let time = r.primitive_field(0)?;
                Ok(Self { time, micros: r.field_if(1, micros)?.unwrap_or(0) })
            })
        })
    }
}

pub(super) fn write_list<T>(w: &mut Writer, list: &[T], each: impl Fn(&T, &mut Writer)) {
    w.sequence(|w| list.iter().for_each(|entry| each(entry, w)));
}
