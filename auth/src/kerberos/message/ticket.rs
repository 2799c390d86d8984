//! Tickets and authenticators (RFC 4120 5.3, 5.5.1).

use super::{
    DerError, EncryptedData, KerberosTime, MAX_LIST, MessageError, PVNO, PrincipalName, Reader, Typed, Writer,
    application, encode, expect, message, micros, whole,
};

/// A ticket: what a client carries from the KDC to a service without seeing inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// The realm that issued it.
    pub realm: &'a str,
    /// The service.
    pub sname: PrincipalName,
    /// An [`EncTicketPart`] in the service's key.
    pub enc_part: EncryptedData<'a>,
}

impl<'a> Ticket<'a> {
    const APPLICATION: u8 = 1;

    /// The ticket's DER.
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
    /// Anything else.
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

/// The part of a ticket that only the KDC and the service read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncTicketPart<'a> {
    /// Ticket flags, see [`super::flags`].
    pub flags: u32,
    /// The session key.
    pub key: Typed<'a>,
    /// The client's realm.
    pub crealm: &'a str,
    /// The client.
    pub cname: PrincipalName,
    /// Realms on the way (RFC 4120 3.3.3.2): the encoding's type, 1, and its contents.
    pub transited: Typed<'a>,
    /// When the client authenticated to a KDC.
    pub auth_time: KerberosTime,
    /// From when the ticket holds; absent, from `auth_time`.
    pub start_time: Option<KerberosTime>,
    /// Until when it holds.
    pub end_time: KerberosTime,
    /// Until when it can be renewed.
    pub renew_till: Option<KerberosTime>,
    /// Authorization data, such as a PAC.
    pub authorization_data: Vec<Typed<'a>>,
}

impl<'a> EncTicketPart<'a> {
    const APPLICATION: u8 = 3;

    /// The plaintext of a ticket.
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
    /// Anything else.
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

/// Proof that the sender knows a ticket's session key now (RFC 4120 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// The client's realm.
    pub crealm: &'a str,
    /// The client.
    pub cname: PrincipalName,
    /// A checksum of what goes with it: of type 0x8003 for GSS-API (RFC 4121 4.1.1).
    pub checksum: Option<Typed<'a>>,
    /// The client's clock: second.
    pub ctime: KerberosTime,
    /// The client's clock: microseconds.
    pub cusec: u32,
    /// A key that the client proposes for the session.
    pub subkey: Option<Typed<'a>>,
    /// The client's first sequence number.
    pub seq_number: Option<u32>,
}

impl<'a> Authenticator<'a> {
    const APPLICATION: u8 = 2;

    /// The plaintext of an authenticator.
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

    /// Reads the plaintext of an authenticator; its authorization data is skipped.
    ///
    /// # Errors
    /// Anything else.
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
