//! KRB-CRED: tickets that are forwarded to a server (RFC 4120 5.8).

use super::{
    EncryptedData, KerberosTime, MAX_LIST, MessageError, PrincipalName, Reader, Ticket, Typed, encode, message,
    read_head, sequence, write_head,
};

/// A KRB-CRED: tickets, and the information that their new holder needs to use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrbCred<'a> {
    /// The DER of each ticket, see [`Ticket::decode`].
    pub tickets: Vec<&'a [u8]>,
    /// An [`EncKrbCredPart`], encrypted with the session key. A part that is not encrypted has type 0.
    pub enc_part: EncryptedData<'a>,
}

impl<'a> KrbCred<'a> {
    const APPLICATION: u8 = 22;

    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            write_head(w, 0, Self::APPLICATION);
            w.field(2, |w| w.sequence(|w| self.tickets.iter().for_each(|ticket| w.raw(ticket))));
            w.field(3, |w| self.enc_part.write(w));
        })
    }

    /// Reads the message.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "KRB-CRED", Self::APPLICATION, |r| {
            read_head(r, 0, Self::APPLICATION)?;
            let tickets = r.field(2, |r| {
                r.list(MAX_LIST, |r| {
                    let mut again = *r;
                    Ticket::read(r)?;
                    again.raw()
                })
            })?;
            Ok(Self { tickets, enc_part: r.field(3, EncryptedData::read)? })
        })
    }
}

/// The plaintext of a KRB-CRED: one entry for each ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncKrbCredPart<'a> {
    /// The information about each ticket, in the same order.
    pub tickets: Vec<KrbCredInfo<'a>>,
}

/// The information about one forwarded ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrbCredInfo<'a> {
    /// The session key of the ticket.
    pub key: Typed<'a>,
    /// The realm of the client.
    pub crealm: &'a str,
    /// The name of the client.
    pub cname: PrincipalName,
    /// The flags of the ticket.
    pub flags: u32,
    /// The end of the ticket's validity.
    pub end_time: KerberosTime,
    /// The realm of the service.
    pub srealm: &'a str,
    /// The name of the service.
    pub sname: PrincipalName,
}

impl<'a> EncKrbCredPart<'a> {
    const APPLICATION: u8 = 29;

    /// Encodes the plaintext in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            w.field(0, |w| {
                w.sequence(|w| {
                    for info in &self.tickets {
                        w.sequence(|w| {
                            w.field(0, |w| info.key.write(w));
                            w.field(1, |w| w.string(info.crealm));
                            w.field(2, |w| info.cname.write(w));
                            w.field(3, |w| w.flags(info.flags));
                            w.field(6, |w| info.end_time.write(w));
                            w.field(8, |w| w.string(info.srealm));
                            w.field(9, |w| info.sname.write(w));
                        });
                    }
                });
            });
        })
    }

    /// Reads the plaintext. Every field except the key is optional in RFC 4120. A ticket without the fields that are
    /// needed here is refused.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "EncKrbCredPart", Self::APPLICATION, |r| {
            let tickets = r.field(0, |r| r.list(MAX_LIST, KrbCredInfo::read))?;
            for number in 1..=5 {
                r.skip_field(number)?;
            }
            Ok(Self { tickets })
        })
    }
}

impl<'a> KrbCredInfo<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, crate::der::DerError> {
        sequence(r, |r| {
            let key = r.field(0, Typed::read)?;
            let crealm = r.primitive_field(1)?;
            let cname = r.field(2, PrincipalName::read)?;
            let flags = r.field_if(3, Reader::flags)?.unwrap_or(0);
            r.skip_field(4)?;
            r.skip_field(5)?;
            let end_time = r.primitive_field(6)?;
            r.skip_field(7)?;
            let srealm = r.primitive_field(8)?;
            let sname = r.field(9, PrincipalName::read)?;
            r.skip_field(10)?;
            Ok(Self { key, crealm, cname, flags, end_time, srealm, sname })
        })
    }
}
