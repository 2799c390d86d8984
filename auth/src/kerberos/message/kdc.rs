//! Requests to a KDC and its answers (RFC 4120 5.4).

use super::preauth::{PaData, write_list};
use super::{
    DerError, EncryptedData, KerberosTime, MAX_LIST, MessageError, PrincipalName, Reader, Ticket, Typed, Writer,
    application, encode, message, read_head, sequence, tag, whole, write_head,
};

/// The exchange that a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The exchange with the authentication service, which turns a password into a ticket-granting ticket.
    As,
    /// The exchange with the ticket-granting service, which turns a ticket into another one.
    Tgs,
}

impl Exchange {
    const fn request(self) -> u8 {
        match self {
            Self::As => 10,
            Self::Tgs => 12,
        }
    }

    const fn reply(self) -> u8 {
        self.request() + 1
    }

    const fn encrypted_reply(self) -> u8 {
        match self {
            Self::As => 25,
            Self::Tgs => 26,
        }
    }
}

/// An AS-REQ or TGS-REQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdcReq<'a> {
    /// The exchange that the request belongs to.
    pub exchange: Exchange,
    /// The pre-authentication data. A request to the TGS has its AP-REQ here.
    pub padata: Vec<PaData<'a>>,
    /// The body in DER, over which the checksum of a TGS request is computed.
    pub raw_body: &'a [u8],
}

impl<'a> KdcReq<'a> {
    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.exchange.request(), |w| {
            write_head(w, 1, self.exchange.request());
            if !self.padata.is_empty() {
                w.field(3, |w| write_list(w, &self.padata, PaData::write));
            }
            w.field(4, |w| w.raw(self.raw_body));
        })
    }

    /// Reads an AS-REQ or a TGS-REQ together with its body.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, KdcReqBody<'a>), MessageError> {
        let first = bytes.first().copied();
        let exchange =
            if first == Some(tag::application(Exchange::Tgs.request())) { Exchange::Tgs } else { Exchange::As };
        message(bytes, "KDC request", exchange.request(), |r| {
            read_head(r, 1, exchange.request())?;
            let padata = PaData::read_list(r, 3)?;
            let (raw_body, body) = r.field(4, |r| {
                let mut again = *r;
                let body = KdcReqBody::read(r)?;
                Ok((again.raw()?, body))
            })?;
            Ok((Self { exchange, padata, raw_body }, body))
        })
    }
}

/// The body of a request to a KDC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdcReqBody<'a> {
    /// The KDC options; see [`super::flags`].
    pub options: u32,
    /// The client. A TGS takes the client from the ticket instead.
    pub cname: Option<PrincipalName>,
    /// The realm of the service, and of the client in an AS request.
    pub realm: &'a str,
    /// The name of the service.
    pub sname: Option<PrincipalName>,
    /// The requested end of the ticket's validity; 0 asks for the longest possible.
    pub till: KerberosTime,
    /// The requested time until which the ticket is renewable.
    pub rtime: Option<KerberosTime>,
    /// A number that the answer repeats.
    pub nonce: u32,
    /// The numbers of the client's encryption types, the preferred one first.
    pub etypes: Vec<i32>,
}

impl<'a> KdcReqBody<'a> {
    /// Encodes the body in DER.
    pub fn encode(&self) -> Vec<u8> {
        Writer::encode(|w| {
            w.sequence(|w| {
                w.field(0, |w| w.flags(self.options));
                w.field_if(1, self.cname.as_ref(), |w, name| name.write(w));
                w.field(2, |w| w.string(self.realm));
                w.field_if(3, self.sname.as_ref(), |w, name| name.write(w));
                w.field(5, |w| self.till.write(w));
                w.field_if(6, self.rtime, |w, time| time.write(w));
                w.field(7, |w| w.integer(self.nonce.into()));
                w.field(8, |w| w.sequence(|w| self.etypes.iter().for_each(|etype| w.integer((*etype).into()))));
            });
        })
    }

    /// Reads the body. Addresses, authorization data and additional tickets are skipped, because this KDC does not
    /// support them.
    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        sequence(r, |r| {
            let options = r.field(0, Reader::flags)?;
            let cname = r.field_if(1, PrincipalName::read)?;
            let realm = r.primitive_field(2)?;
            let sname = r.field_if(3, PrincipalName::read)?;
            r.skip_field(4)?;
            let body = Self {
                options,
                cname,
                realm,
                sname,
                till: r.primitive_field(5)?,
                rtime: r.primitive_field_if(6)?,
                nonce: r.primitive_field(7)?,
                etypes: r.field(8, |r| r.list(MAX_LIST, Reader::int32))?,
            };
            for number in 9..=11 {
                r.skip_field(number)?;
            }
            Ok(body)
        })
    }
}

/// An AS-REP or TGS-REP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdcRep<'a> {
    /// The exchange that the reply belongs to.
    pub exchange: Exchange,
    /// The pre-authentication data of the reply.
    pub padata: Vec<PaData<'a>>,
    /// The realm of the client.
    pub crealm: &'a str,
    /// The client, as the KDC spells it.
    pub cname: PrincipalName,
    /// The ticket in DER; see [`Ticket::decode`].
    pub ticket: &'a [u8],
    /// An [`EncKdcRepPart`], encrypted with the client's key or with the key that the TGS request names.
    pub enc_part: EncryptedData<'a>,
}

impl<'a> KdcRep<'a> {
    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.exchange.reply(), |w| {
            write_head(w, 0, self.exchange.reply());
            if !self.padata.is_empty() {
                w.field(2, |w| write_list(w, &self.padata, PaData::write));
            }
            w.field(3, |w| w.string(self.crealm));
            w.field(4, |w| self.cname.write(w));
            w.field(5, |w| w.raw(self.ticket));
            w.field(6, |w| self.enc_part.write(w));
        })
    }

    /// Reads the answer of `exchange`.
    ///
    /// # Errors
    /// The bytes are not this answer, for example because they are a KRB-ERROR.
    pub fn decode(bytes: &'a [u8], exchange: Exchange) -> Result<(Self, Ticket<'a>), MessageError> {
        message(bytes, "KDC reply", exchange.reply(), |r| {
            read_head(r, 0, exchange.reply())?;
            let padata = PaData::read_list(r, 2)?;
            let crealm = r.primitive_field(3)?;
            let cname = r.field(4, PrincipalName::read)?;
            let (raw, ticket) = r.field(5, |r| {
                let mut again = *r;
                let ticket = Ticket::read(r)?;
                Ok((again.raw()?, ticket))
            })?;
            let enc_part = r.field(6, EncryptedData::read)?;
            Ok((Self { exchange, padata, crealm, cname, ticket: raw, enc_part }, ticket))
        })
    }
}

/// The part of a reply that only the client can read: the data of its ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncKdcRepPart<'a> {
    /// The session key of the ticket.
    pub key: Typed<'a>,
    /// The nonce of the request.
    pub nonce: u32,
    /// The flags of the ticket; see [`super::flags`].
    pub flags: u32,
    /// The time at which the client authenticated.
    pub auth_time: KerberosTime,
    /// The start of the ticket's validity.
    pub start_time: Option<KerberosTime>,
    /// The end of the ticket's validity.
    pub end_time: KerberosTime,
    /// The time until which the ticket can be renewed.
    pub renew_till: Option<KerberosTime>,
    /// The realm of the service.
    pub srealm: &'a str,
    /// The name of the service. In a referral, it differs from the name that was asked for.
    pub sname: PrincipalName,
}

impl<'a> EncKdcRepPart<'a> {
    /// Encodes the plaintext for a reply of `exchange`. The mandatory field `last-req` carries no information.
    pub fn encode(&self, exchange: Exchange) -> Vec<u8> {
        encode(exchange.encrypted_reply(), |w| {
            w.field(0, |w| self.key.write(w));
            w.field(1, |w| {
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.field(0, |w| w.integer(0));
                        w.field(1, |w| self.auth_time.write(w));
                    });
                });
            });
            w.field(2, |w| w.integer(self.nonce.into()));
            w.field(4, |w| w.flags(self.flags));
            w.field(5, |w| self.auth_time.write(w));
            w.field_if(6, self.start_time, |w, time| time.write(w));
            w.field(7, |w| self.end_time.write(w));
            w.field_if(8, self.renew_till, |w, time| time.write(w));
            w.field(9, |w| w.string(self.srealm));
            w.field(10, |w| self.sname.write(w));
        })
    }

    /// Reads the plaintext of a reply with either tag, because some KDCs give an AS reply the tag of a TGS reply (RFC
    /// 4120 5.4.2).
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let first = bytes.first().copied();
        let as_tag = tag::application(Exchange::As.encrypted_reply());
        let exchange = if first == Some(as_tag) { Exchange::As } else { Exchange::Tgs };
        whole(bytes, "EncKDCRepPart", |r| application(r, exchange.encrypted_reply(), Self::read))
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        let key = r.field(0, Typed::read)?;
        r.skip_field(1)?;
        let nonce = r.primitive_field(2)?;
        r.skip_field(3)?;
        let part = Self {
            key,
            nonce,
            flags: r.field(4, Reader::flags)?,
            auth_time: r.primitive_field(5)?,
            start_time: r.primitive_field_if(6)?,
            end_time: r.primitive_field(7)?,
            renew_till: r.primitive_field_if(8)?,
            srealm: r.primitive_field(9)?,
            sname: r.field(10, PrincipalName::read)?,
        };
        r.skip_field(11)?;
        r.skip_field(12)?;
        Ok(part)
    }
}
