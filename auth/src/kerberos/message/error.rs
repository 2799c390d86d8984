//! The KRB-ERROR message (RFC 4120 5.9.1).

use super::{KerberosTime, MessageError, PrincipalName, Writer, encode, message, micros, read_head, write_head};
use crate::kerberos::status::KrbErrorCode;

/// An error, from a KDC or a server. It is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrbError<'a> {
    /// The second of the sender's clock.
    pub stime: KerberosTime,
    /// The microseconds of the sender's clock.
    pub susec: u32,
    /// The error code.
    pub code: KrbErrorCode,
    /// The realm of the client or, with [`KrbErrorCode::WRONG_REALM`], the realm to ask instead.
    pub crealm: Option<&'a str>,
    /// The name of the client.
    pub cname: Option<PrincipalName>,
    /// The realm of the service.
    pub realm: &'a str,
    /// The name of the service.
    pub sname: PrincipalName,
    /// Further data for the client: the required pre-authentication, or an NTSTATUS (MS-KILE 2.2.2).
    pub e_data: Option<&'a [u8]>,
}

impl<'a> KrbError<'a> {
    const APPLICATION: u8 = 30;

    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        encode(Self::APPLICATION, |w| {
            write_head(w, 0, Self::APPLICATION);
            w.field(4, |w| self.stime.write(w));
            w.field(5, |w| w.integer(self.susec.into()));
            w.field(6, |w| w.integer(self.code.0.into()));
            w.field_if(7, self.crealm, Writer::string);
            w.field_if(8, self.cname.as_ref(), |w, name| name.write(w));
            w.field(9, |w| w.string(self.realm));
            w.field(10, |w| self.sname.write(w));
            w.field_if(12, self.e_data, Writer::octets);
        })
    }

    /// Reads the message. The client's clock and the text are skipped, because nothing depends on them.
    ///
    /// # Errors
    /// The bytes are not a valid encoding of it, or are too long.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        message(bytes, "KRB-ERROR", Self::APPLICATION, |r| {
            read_head(r, 0, Self::APPLICATION)?;
            r.skip_field(2)?;
            r.skip_field(3)?;
            let error = Self {
                stime: r.primitive_field(4)?,
                susec: r.field(5, micros)?,
                code: KrbErrorCode(r.primitive_field(6)?),
                crealm: r.primitive_field_if(7)?,
                cname: r.field_if(8, PrincipalName::read)?,
                realm: r.primitive_field(9)?,
                sname: r.field(10, PrincipalName::read)?,
                e_data: None,
            };
            r.skip_field(11)?;
            Ok(Self { e_data: r.primitive_field_if(12)?, ..error })
        })
    }
}
