//! The two messages of SPNEGO (RFC 4178 4.2).

use super::Mechanism;
use crate::der::{DerError, Fault, Reader, Writer, tag};

/// The contents of the OID of SPNEGO, 1.3.6.1.5.5.2, without tag and length.
pub const SPNEGO_OID: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x02];

/// The maximum number of mechanisms that are read from a list. Windows lists four.
const MAX_MECHANISMS: usize = 32;

/// The maximum length of a token that is decoded, in bytes.
pub const MAX_TOKEN: usize = 64 * 1024;

/// The state of a negotiation (RFC 4178 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegState {
    /// The negotiation has succeeded.
    AcceptCompleted = 0,
    /// A further token is expected.
    AcceptIncomplete = 1,
    /// The negotiation has failed.
    Reject = 2,
    /// The mechanism is chosen, and both sides must send a MIC.
    RequestMic = 3,
}

/// A message of SPNEGO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The first message of the client.
    Init(NegTokenInit<'a>),
    /// A later message of either side.
    Resp(NegTokenResp<'a>),
}

/// The client's first message: the mechanisms, and a token of the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegTokenInit<'a> {
    /// The OIDs of the mechanisms without tag and length, the preferred one first. Unknown OIDs are kept.
    pub mech_types: Vec<&'a [u8]>,
    /// The list in DER, which a mechListMIC covers.
    pub mech_types_der: &'a [u8],
    /// The token of the first mechanism, sent before the server has chosen it.
    pub mech_token: Option<&'a [u8]>,
    /// The field for a MIC, which exists although neither side has a key at this time.
    pub mech_list_mic: Option<&'a [u8]>,
}

/// Any message after the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NegTokenResp<'a> {
    /// The state of the negotiation.
    pub state: Option<NegState>,
    /// The OID of the chosen mechanism without tag and length, in the acceptor's first message.
    pub supported_mech: Option<&'a [u8]>,
    /// A token of the chosen mechanism.
    pub response_token: Option<&'a [u8]>,
    /// The MIC over the list of mechanisms.
    pub mech_list_mic: Option<&'a [u8]>,
}

impl<'a> Token<'a> {
    /// Reads a NegTokenInit with or without the OID of SPNEGO, a NegTokenInit2 with its hints (MS-SPNG 2.2.1), or a
    /// NegTokenResp.
    ///
    /// # Errors
    /// The bytes are not one of these messages, or are more than [`MAX_TOKEN`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DerError> {
        let mut r = Reader::new(bytes);
        if bytes.len() > MAX_TOKEN {
            return Err(r.error(Fault::Value("a token longer than any genuine one")));
        }
        let token = match r.nested_if(tag::application(0))? {
            Some(mut inner) => {
                let at = inner;
                if inner.value(tag::OBJECT_IDENTIFIER)? != SPNEGO_OID {
                    return Err(at.error(Fault::Value("an OID that is not SPNEGO's")));
                }
                let token = Self::Init(inner.field(0, NegTokenInit::read)?);
                inner.finish()?;
                token
            }
            None if r.peek() == Some(tag::context(0)) => Self::Init(r.field(0, NegTokenInit::read)?),
            None => Self::Resp(r.field(1, NegTokenResp::read)?),
        };
        r.finish()?;
        Ok(token)
    }
}

impl<'a> NegTokenInit<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        let mut r = r.nested(tag::SEQUENCE)?;
        let (mech_types_der, mech_types) = r.field(0, |r| {
            let mut again = *r;
            let list = r.list(MAX_MECHANISMS, |r| r.value(tag::OBJECT_IDENTIFIER))?;
            Ok((again.raw()?, list))
        })?;
        r.skip_field(1)?;
        let mech_token = r.primitive_field_if(2)?;
        // Field [3] is the MIC in RFC 4178, and the hints in MS-SPNG, in which the MIC is [4].
        let third = r.field_if(3, |r| match r.peek() {
            Some(tag::SEQUENCE) => r.raw().map(|_| None),
            _ => r.octets().map(Some),
        })?;
        let fourth = r.primitive_field_if(4)?;
        r.finish()?;
        Ok(Self { mech_types, mech_types_der, mech_token, mech_list_mic: third.flatten().or(fourth) })
    }
}

/// Returns a list of mechanisms in DER.
pub fn mech_types_der(mechanisms: &[Mechanism]) -> Vec<u8> {
    Writer::encode(|w| {
        w.sequence(|w| mechanisms.iter().for_each(|mechanism| w.value(tag::OBJECT_IDENTIFIER, mechanism.oid())));
    })
}

/// Encodes a NegTokenInit under the OID of SPNEGO. `mech_types` is the DER that [`mech_types_der`] returns.
pub fn encode_init(mech_types: &[u8], mech_token: Option<&[u8]>) -> Vec<u8> {
    Writer::encode(|w| {
        w.nested(tag::application(0), |w| {
            w.value(tag::OBJECT_IDENTIFIER, SPNEGO_OID);
            w.field(0, |w| {
                w.sequence(|w| {
                    w.field(0, |w| w.raw(mech_types));
                    w.field_if(2, mech_token, Writer::octets);
                });
            });
        });
    })
}

impl<'a> NegTokenResp<'a> {
    /// Encodes the message in DER.
    pub fn encode(&self) -> Vec<u8> {
        Writer::encode(|w| {
            w.field(1, |w| {
                w.sequence(|w| {
                    w.field_if(0, self.state, |w, state| w.value(tag::ENUMERATED, &[state as u8]));
                    w.field_if(1, self.supported_mech, |w, oid| w.value(tag::OBJECT_IDENTIFIER, oid));
                    w.field_if(2, self.response_token, Writer::octets);
                    w.field_if(3, self.mech_list_mic, Writer::octets);
                });
            });
        })
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, DerError> {
        let mut r = r.nested(tag::SEQUENCE)?;
        let token = Self {
            state: r.field_if(0, NegState::read)?,
            supported_mech: r.field_if(1, |r| r.value(tag::OBJECT_IDENTIFIER))?,
            response_token: r.primitive_field_if(2)?,
            mech_list_mic: r.primitive_field_if(3)?,
        };
        r.finish()?;
        Ok(token)
    }
}

impl NegState {
    fn read(r: &mut Reader<'_>) -> Result<Self, DerError> {
        let before = *r;
        match r.value(tag::ENUMERATED)? {
            [0] => Ok(Self::AcceptCompleted),
            [1] => Ok(Self::AcceptIncomplete),
            [2] => Ok(Self::Reject),
            [3] => Ok(Self::RequestMic),
            _ => Err(before.error(Fault::Value("not a state of a negotiation"))),
        }
    }
}
