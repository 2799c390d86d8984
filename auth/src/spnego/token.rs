//! The two messages of SPNEGO (RFC 4178 4.2).

use super::Mechanism;
use crate::der::{DerError, Fault, Reader, Writer, tag};

/// The OID of SPNEGO, 1.3.6.1.5.5.2, contents only.
pub const SPNEGO_OID: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x02];

/// Most mechanisms that are read from a list; Windows lists four.
const MAX_MECHANISMS: usize = 32;

/// Longest token that is decoded, in bytes.
pub const MAX_TOKEN: usize = 64 * 1024;

/// How a negotiation stands (RFC 4178 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegState {
    /// Done.
    AcceptCompleted = 0,
    /// A further token is due.
    AcceptIncomplete = 1,
    /// No.
    Reject = 2,
    /// The mechanism is chosen, and both sides must send a MIC.
    RequestMic = 3,
}

/// Either message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The client's first.
    Init(NegTokenInit<'a>),
    /// Any later one.
    Resp(NegTokenResp<'a>),
}

/// The client's first message: mechanisms, and a token of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegTokenInit<'a> {
    /// OIDs of mechanisms, contents only, the preferred first. Unknown ones are kept.
    pub mech_types: Vec<&'a [u8]>,
    /// The DER of the list: what a mechListMIC is over.
    pub mech_types_der: &'a [u8],
    /// The optimistic token.
    pub mech_token: Option<&'a [u8]>,
    /// A MIC; nobody has a key this early, but the field exists.
    pub mech_list_mic: Option<&'a [u8]>,
}

/// Any message but the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NegTokenResp<'a> {
    /// How the negotiation stands.
    pub state: Option<NegState>,
    /// The mechanism chosen: OID contents, in the acceptor's first message.
    pub supported_mech: Option<&'a [u8]>,
    /// A token of the mechanism.
    pub response_token: Option<&'a [u8]>,
    /// The MIC over the list of mechanisms.
    pub mech_list_mic: Option<&'a [u8]>,
}

impl<'a> Token<'a> {
    /// Reads either message: NegTokenInit under the OID of SPNEGO or bare, NegTokenInit2 with its hints
    /// (MS-SPNG 2.2.1), NegTokenResp.
    ///
    /// # Errors
    /// Anything else; more than [`MAX_TOKEN`] bytes.
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
        // [3] is the MIC in RFC 4178, and the hints in MS-SPNG, where the MIC is [4].
        let third = r.field_if(3, |r| match r.peek() {
            Some(tag::SEQUENCE) => r.raw().map(|_| None),
            _ => r.octets().map(Some),
        })?;
        let fourth = r.primitive_field_if(4)?;
        r.finish()?;
        Ok(Self { mech_types, mech_types_der, mech_token, mech_list_mic: third.flatten().or(fourth) })
    }
}

/// The DER of a list of mechanisms.
pub fn mech_types_der(mechanisms: &[Mechanism]) -> Vec<u8> {
    Writer::encode(|w| {
        w.sequence(|w| mechanisms.iter().for_each(|mechanism| w.value(tag::OBJECT_IDENTIFIER, mechanism.oid())));
    })
}

/// A NegTokenInit under the OID of SPNEGO; `mech_types` is DER, as of [`mech_types_der`].
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
    /// The message's DER.
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
