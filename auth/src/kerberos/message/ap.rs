//! The client's request to a server and its answer (RFC 4120 5.5).

use super::{
    EncryptedData, KerberosTime, MessageError, Reader, Ticket, Typed, Writer, encode, message, micros, read_head,
    write, write_head,
};

/// An AP-REQ: a ticket and an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApReq<'a> {
    /// The AP options; see [`super::flags`].
    pub options: u32,
    /// The ticket in DER; see [`Ticket::decode`].
    pub ticket: &'a [u8],
    /// An [`super::Authenticator`], encrypted with the session key.
    pub authenticator: EncryptedData<'a>,
}

impl<'a> ApReq<'a> {
    const APPLICATION: u8 = 14;

    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            write_head(w, 0, Self::APPLICATION);
            w.field(2, |w| w.flags(self.options));
            w.field(3, |w| w.raw(self.ticket));
            w.field(4, |w| self.authenticator.write(w));
        })
    }

    /// Reads the message and the ticket in it. The bytes of the ticket are kept.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, Ticket<'a>), MessageError> {
        message(bytes, "AP-REQ", Self::APPLICATION, |r| {
            read_head(r, 0, Self::APPLICATION)?;
            let options = r.field(2, Reader::flags)?;
            let (raw, ticket) = r.field(3, |r| {
                let before = r.rest();
                let ticket = Ticket::read(r)?;
                Ok((&before[..before.len() - r.rest().len()], ticket))
            })?;
            let authenticator = r.field(4, EncryptedData::read)?;
            Ok((Self { options, ticket: raw, authenticator }, ticket))
        })
    }
}

/// An AP-REP: the server's proof that it could read the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApRep<'a> {
    /// An [`EncApRepPart`], encrypted with the session key.
    pub enc_part: EncryptedData<'a>,
}

impl<'a> ApRep<'a> {
    const APPLICATION: u8 = 15;

    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        Writer::encode(|w| self.write(w))
    }

    pub(in crate::kerberos) fn write(&self, w: &mut Writer) {
        write(w, Self::APPLICATION, |w| {
            write_head(w, 0, Self::APPLICATION);
            w.field(2, |w| self.enc_part.write(w));
        });
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "AP-REP", Self::APPLICATION, |r| {
            read_head(r, 0, Self::APPLICATION)?;
            Ok(Self { enc_part: r.field(2, EncryptedData::read)? })
        })
    }
}

/// The plaintext of an AP-REP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncApRepPart<'a> {
    /// The client's time from the authenticator, in whole seconds. The server sends it back to prove that it has read the
    /// authenticator.
    pub ctime: KerberosTime,
    /// The microseconds of the same time.
    pub cusec: u32,
    /// The key that the server chooses for the session.
    pub subkey: Option<Typed<'a>>,
    /// The server's first sequence number.
    pub seq_number: Option<u32>,
}

impl<'a> EncApRepPart<'a> {
    const APPLICATION: u8 = 27;

    /// Encodes the plaintext in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            w.field(0, |w| self.ctime.write(w));
            w.field(1, |w| w.integer(self.cusec.into()));
            w.field_if(2, self.subkey, |w, key| key.write(w));
            w.field_if(3, self.seq_number, |w, number| w.integer(number.into()));
        })
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "EncAPRepPart", Self::APPLICATION, |r| {
            Ok(Self {
                ctime: r.primitive_field(0)?,
                cusec: r.field(1, micros)?,
                subkey: r.field_if(2, Typed::read)?,
                seq_number: r.primitive_field_if(3)?,
            })
        })
    }
}
