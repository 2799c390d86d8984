//! Tickets and authenticators (RFC 4120 5.3, 5.5.1).

use super::{
    DerError, EncryptedData, KerberosTime, MAX_LIST, MessageError, PVNO, PrincipalName, Reader, Typed, Writer,
    application, encode, expect, message, micros, whole,
};

/// A ticket, which a client carries from the KDC to a service and cannot read itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// The realm that issued the ticket.
    pub realm: &'a str,
    /// The name of the service.
    pub sname: PrincipalName,
    /// An [`EncTicketPart`], encrypted with the service's key.
    pub enc_part: EncryptedData<'a>,
}

impl<'a> Ticket<'a> {
    const APPLICATION: u8 = 1;

    /// Encodes the ticket in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            w.field(0, |w| w.integer(PVNO));
            w.field(1, |w| w.string(self.realm));
            w.field(2, |w| self.sname.write(w));
            w.field(3, |w| self.enc_part.write(w));
        })
    }

    /// Reads a ticket.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        whole(bytes, "Ticket", Self::read)
    }

    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        application(r, Self::APPLICATION, |r| {
            expect(r, 0, PVNO, "a ticket's version other than 5")?;
            Ok(Self {
                realm: r.primitive_field(1)?,
                sname: r.field(2, PrincipalName::read)?,
                enc_part: r.field(3, EncryptedData::read)?,
            })
        })
    }
}

/// The part of a ticket that only the KDC and the service can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncTicketPart<'a> {
    /// The flags of the ticket; see [`super::flags`].
    pub flags: u32,
    /// The session key of the ticket.
    pub key: Typed<'a>,
    /// The realm of the client.
    pub crealm: &'a str,
    /// The name of the client.
    pub cname: PrincipalName,
    /// The transited realms (RFC 4120 3.3.3.2): the type of the encoding, which is 1, and its contents.
    pub transited: Typed<'a>,
    /// The time at which the client authenticated to a KDC.
    pub auth_time: KerberosTime,
    /// The start of the ticket's validity; `None` stands for `auth_time`.
    pub start_time: Option<KerberosTime>,
    /// The end of the ticket's validity.
    pub end_time: KerberosTime,
    /// The time until which the ticket can be renewed.
    pub renew_till: Option<KerberosTime>,
    /// The authorization data, such as a PAC.
    pub authorization_data: Vec<Typed<'a>>,
}

impl<'a> EncTicketPart<'a> {
    const APPLICATION: u8 = 3;

    /// Encodes the plaintext of the ticket in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            w.field(0, |w| w.flags(self.flags));
            w.field(1, |w| self.key.write(w));
            w.field(2, |w| w.string(self.crealm));
            w.field(3, |w| self.cname.write(w));
            w.field(4, |w| self.transited.write(w));
            w.field(5, |w| self.auth_time.write(w));
            w.field_if(6, self.start_time, |w, time| time.write(w));
            w.field(7, |w| self.end_time.write(w));
            w.field_if(8, self.renew_till, |w, time| time.write(w));
            write_authorization(w, 10, &self.authorization_data);
        })
    }

    /// Reads the plaintext of a ticket. Client addresses, which Windows does not set, are skipped.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "EncTicketPart", Self::APPLICATION, |r| {
            let part = Self {
                flags: r.field(0, Reader::flags)?,
                key: r.field(1, Typed::read)?,
                crealm: r.primitive_field(2)?,
                cname: r.field(3, PrincipalName::read)?,
                transited: r.field(4, Typed::read)?,
                auth_time: r.primitive_field(5)?,
                start_time: r.primitive_field_if(6)?,
                end_time: r.primitive_field(7)?,
                renew_till: r.primitive_field_if(8)?,
                authorization_data: Vec::new(),
            };
            r.skip_field(9)?;
            Ok(Self { authorization_data: read_authorization(r, 10)?, ..part })
        })
    }
}

/// The proof that the sender knows a ticket's session key at this time (RFC 4120 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// The realm of the client.
    pub crealm: &'a str,
    /// The name of the client.
    pub cname: PrincipalName,
    /// A checksum of the accompanying data. With GSS-API it has type 0x8003 (RFC 4121 4.1.1).
    pub checksum: Option<Typed<'a>>,
    /// The second of the client's clock.
    pub ctime: KerberosTime,
    /// The microseconds of the client's clock.
    pub cusec: u32,
    /// A key that the client proposes for the session.
    pub subkey: Option<Typed<'a>>,
    /// The first sequence number of the client.
    pub seq_number: Option<u32>,
}

impl<'a> Authenticator<'a> {
    const APPLICATION: u8 = 2;

    /// Encodes the plaintext of the authenticator in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            w.field(0, |w| w.integer(PVNO));
            w.field(1, |w| w.string(self.crealm));
            w.field(2, |w| self.cname.write(w));
            w.field_if(3, self.checksum, |w, checksum| checksum.write(w));
            w.field(4, |w| w.integer(self.cusec.into()));
            w.field(5, |w| self.ctime.write(w));
            w.field_if(6, self.subkey, |w, key| key.write(w));
            w.field_if(7, self.seq_number, |w, number| w.integer(number.into()));
        })
    }

    /// Reads the plaintext of an authenticator. Authorization data in it is skipped.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "Authenticator", Self::APPLICATION, |r| {
            expect(r, 0, PVNO, "an authenticator's version other than 5")?;
            let authenticator = Self {
                crealm: r.primitive_field(1)?,
                cname: r.field(2, PrincipalName::read)?,
                checksum: r.field_if(3, Typed::read)?,
                cusec: r.field(4, micros)?,
                ctime: r.primitive_field(5)?,
                subkey: r.field_if(6, Typed::read)?,
                seq_number: r.primitive_field_if(7)?,
            };
            r.skip_field(8)?;
            Ok(authenticator)
        })
    }
}

fn write_authorization(w: &mut Writer, number: u8, data: &[Typed<'_>]) {
    if !data.is_empty() {
        w.field(number, |w| w.sequence(|w| data.iter().for_each(|each| each.write(w))));
    }
}

fn read_authorization<'a>(r: &mut Reader<'a>, number: u8) -> Result<Vec<Typed<'a>>, DerError> {
    Ok(r.field_if(number, |r| r.list(MAX_LIST, Typed::read))?.unwrap_or_default())
}
