//! The bodies of requests and replies. Fields are in the order of their structures, strings and byte strings follow a
//! 16-bit length, and numbers are big-endian.

use super::{LogonError, LogonReply, LogonRequest};
use crate::status::NtStatus;

/// The maximum number of SIDs in one reply. Windows itself allows at most 1,024 groups in a token.
const MAX_SIDS: usize = 1_024;

/// Appends the body of `request`.
pub(super) fn encode_request(request: &LogonRequest, out: &mut Vec<u8>) -> Result<(), LogonError> {
    // The machine comes first: the other side reads it before it knows which secret to use.
    put(out, request.channel_machine.as_bytes())?;
    put(out, request.logon_domain.as_bytes())?;
    put(out, request.user.as_bytes())?;
    put(out, request.workstation.as_bytes())?;
    out.extend_from_slice(&request.challenge);
    put(out, &request.nt_response)?;
    put(out, &request.lm_response)?;
    out.extend_from_slice(&request.parameter_control.to_be_bytes());
    out.push(request.hops);
    Ok(())
}

/// Reads a request's body.
pub(super) fn decode_request(body: &[u8]) -> Result<LogonRequest, LogonError> {
    let mut fields = Fields::new(body);
    let request = LogonRequest {
        channel_machine: fields.text("channel_machine")?,
        logon_domain: fields.text("logon_domain")?,
        user: fields.text("user")?,
        workstation: fields.text("workstation")?,
        challenge: fields.array("challenge")?,
        nt_response: fields.bytes("nt_response")?.to_vec(),
        lm_response: fields.bytes("lm_response")?.to_vec(),
        parameter_control: u32::from_be_bytes(fields.array("parameter_control")?),
        hops: u8::from_be_bytes(fields.array("hops")?),
    };
    fields.end("hops")?;
    Ok(request)
}

/// Appends the body of `reply`.
pub(super) fn encode_reply(reply: &LogonReply, out: &mut Vec<u8>) -> Result<(), LogonError> {
    out.extend_from_slice(&reply.status.0.to_be_bytes());
    out.push(reply.authoritative.into());
    out.extend_from_slice(&reply.session_base_key);
    out.extend_from_slice(&reply.lm_key);
    out.extend_from_slice(&reply.user_flags.to_be_bytes());
    put(out, reply.effective_name.as_bytes())?;
    put(out, reply.domain.as_bytes())?;
    if reply.sids.len() > MAX_SIDS {
        return Err(LogonError::Malformed { field: "sids" });
    }
    out.extend_from_slice(&(reply.sids.len() as u16).to_be_bytes());
    for sid in &reply.sids {
        put(out, sid.as_bytes())?;
    }
    put(out, reply.logon_server.as_bytes())
}

/// Reads a reply's body.
pub(super) fn decode_reply(body: &[u8]) -> Result<LogonReply, LogonError> {
    let mut fields = Fields::new(body);
    let reply = LogonReply {
        status: NtStatus(u32::from_be_bytes(fields.array("status")?)),
        authoritative: match fields.array("authoritative")? {
            [0] => false,
            [1] => true,
            [_] => return Err(LogonError::Malformed { field: "authoritative" }),
        },
        session_base_key: fields.array("session_base_key")?,
        lm_key: fields.array("lm_key")?,
        user_flags: u32::from_be_bytes(fields.array("user_flags")?),
        effective_name: fields.text("effective_name")?,
        domain: fields.text("domain")?,
        sids: {
            let count = usize::from(u16::from_be_bytes(fields.array("sids")?));
            if count > MAX_SIDS {
                return Err(LogonError::Malformed { field: "sids" });
            }
            (0..count).map(|_| fields.text("sids")).collect::<Result<_, _>>()?
        },
        logon_server: fields.text("logon_server")?,
    };
    fields.end("logon_server")?;
    Ok(reply)
}

/// Appends a byte string.
fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), LogonError> {
    let limit = usize::from(u16::MAX);
    let len = u16::try_from(bytes.len()).map_err(|_| LogonError::TooLong { len: bytes.len(), limit })?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// The fields of a body, read in order.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Creates a reader of the fields of `body`.
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], LogonError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(LogonError::Truncated { field })?;
        self.rest = rest;
        Ok(*array)
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], LogonError> {
        let len = u16::from_be_bytes(self.array(field)?);
        let (bytes, rest) = self.rest.split_at_checked(len.into()).ok_or(LogonError::Truncated { field })?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a string. `field` names it in errors.
    pub(super) fn text(&mut self, field: &'static str) -> Result<String, LogonError> {
        let text = str::from_utf8(self.bytes(field)?);
        text.map(Into::into).map_err(|_| LogonError::Malformed { field })
    }

    /// Checks that nothing follows `last`.
    fn end(&self, last: &'static str) -> Result<(), LogonError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LogonError::Malformed { field: last }) }
    }
}
