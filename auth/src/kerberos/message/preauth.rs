//! Pre-authentication data (RFC 4120 5.2.7) and its contents.

use super::{DerError, KerberosTime, MAX_LIST, MessageError, Reader, Writer, micros, sequence, whole};

/// An element of pre-authentication data (RFC 4120 5.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaData<'a> {
    /// The type of the data, such as [`PaData::ENC_TIMESTAMP`].
    pub kind: i32,
    /// The contents of the data.
    pub value: &'a [u8],
}

impl<'a> PaData<'a> {
    /// The type of an AP-REQ with the ticket that a TGS request presents.
    pub const TGS_REQ: i32 = 1;
    /// The type of the time that is encrypted with the client's key: [`PaEncTsEnc`].
    pub const ENC_TIMESTAMP: i32 = 2;
    /// The type of a KERB-EXT-ERROR with an NTSTATUS, in the e-data of an error (MS-KILE 2.2.1).
    pub const PW_SALT: i32 = 3;
    /// The type of a list of encryption types with their salts: [`EtypeInfo2Entry`].
    pub const ETYPE_INFO2: i32 = 19;
    /// The type of a service's request on behalf of a user (MS-SFU), which is not supported here.
    pub const FOR_USER: i32 = 129;
    /// The type of the data that says whether the client wants a PAC (MS-KILE 2.2.3).
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

    /// Encodes METHOD-DATA, a list of elements, as the e-data of an error.
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        Writer::encode(|w| write_list(w, list, Self::write))
    }

    /// Reads the bytes that [`Self::encode_list`] returned.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode_list(bytes: &'a [u8]) -> Result<Vec<Self>, MessageError> {
        whole(bytes, "METHOD-DATA", |r| r.list(MAX_LIST, Self::read))
    }

    pub(super) fn read_list(r: &mut Reader<'a>, number: u8) -> Result<Vec<Self>, DerError> {
        Ok(r.field_if(number, |r| r.list(MAX_LIST, Self::read))?.unwrap_or_default())
    }
}

/// An encryption type for which a KDC has a key, and the parameters that derive this key from the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtypeInfo2Entry<'a> {
    /// The number of the encryption type.
    pub etype: i32,
    /// The salt; `None` stands for the default salt of the principal.
    pub salt: Option<&'a str>,
    /// The parameters: the number of iterations in 4 bytes, big-endian (RFC 3962 4).
    pub s2kparams: Option<&'a [u8]>,
}

impl<'a> EtypeInfo2Entry<'a> {
    /// Encodes ETYPE-INFO2, a list of entries.
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

    /// Reads the bytes that [`Self::encode_list`] returned.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
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
    /// The second of the client's clock.
    pub time: KerberosTime,
    /// The microseconds of the client's clock.
    pub micros: u32,
}

impl PaEncTsEnc {
    /// Encodes the plaintext in DER.
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
    /// The bytes are not a valid encoding of it, or are too long.
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
