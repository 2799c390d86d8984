//! The frames of the logon channel. They are numbered, and are authenticated with the machine's secret.
//!
//! A frame begins with a 32-bit length (big-endian, not counting itself). It is followed by:
//!
//! | bytes | holds |
//! |---|---|
//! | 1 | protocol version, 1 |
//! | 1 | kind: 1 request, 2 reply, 3 denial |
//! | 8 | sequence number, big-endian, from 0, separate for each direction |
//! | n | the body, see `codec.rs` |
//! | 32 | HMAC-SHA256 over all of the above except the length |
//!
//! The key is HMAC-SHA256(secret, label, machine in upper case). It has two limits: a frame that was recorded on one
//! channel is valid as the frame with the same number on a later channel of that machine, and bodies are not encrypted.
//!
//! A denial says that there is no such channel, like an error of NetrServerAuthenticate3 before there is a session key
//! (MS-NRPC 3.5.4.4.2). Its body is an NTSTATUS. Its number and its MAC are zero, because the two sides have no common
//! key. An attacker who can forge a denial could also break the connection.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::codec::{Fields, decode_reply, decode_request, encode_reply, encode_request};
use super::{LogonError, LogonReply, LogonRequest};
use crate::ntlm::text::{same_name, upcase};
use crate::status::NtStatus;

/// The number of bytes of the length prefix that precedes each frame (big-endian, not counting itself).
pub const FRAME_PREFIX: usize = 4;

/// The maximum length of a frame that either side accepts or makes, in bytes without the prefix. An NTLMv2 response may
/// have 64 KiB, and names are short.
pub const MAX_FRAME: usize = 128 * 1024;

const VERSION: u8 = 1;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const DENIAL: u8 = 3;
/// The number of bytes of the version, the kind and the sequence number.
const HEADER: usize = 10;
const MAC: usize = 32;
const LABEL: &[u8] = b"stickler logon channel 1\0";

/// Returns the number of bytes that follow this prefix. The caller checks it before it allocates memory.
///
/// # Errors
/// [`LogonError::TooLong`] if it is more than [`MAX_FRAME`].
pub fn frame_len(prefix: [u8; FRAME_PREFIX]) -> Result<usize, LogonError> {
    bounded(u32::from_be_bytes(prefix) as usize)
}

fn bounded(len: usize) -> Result<usize, LogonError> {
    if len > MAX_FRAME { Err(LogonError::TooLong { len, limit: MAX_FRAME }) } else { Ok(len) }
}

/// Returns the frame, with its length prefix, that denies a channel. The connection is closed after it.
///
/// `status` is STATUS_ACCESS_DENIED if the secrets differ, and STATUS_NO_TRUST_SAM_ACCOUNT if no machine of that name
/// has an account.
pub fn denial(status: NtStatus) -> Vec<u8> {
    let mut frame = begin(DENIAL, 0);
    frame.extend_from_slice(&status.0.to_be_bytes());
    frame.extend_from_slice(&[0; MAC]);
    let len = (frame.len() - FRAME_PREFIX) as u32;
    frame[..FRAME_PREFIX].copy_from_slice(&len.to_be_bytes());
    frame
}

/// Returns the status of a denial, or `None` if the frame is not a denial.
fn denied(frame: &[u8]) -> Option<NtStatus> {
    let (_, body, _) = split(frame, DENIAL).ok()?;
    Some(NtStatus(u32::from_be_bytes(body.try_into().ok()?)))
}

/// The half of a logon channel at the server (the IIS machine).
pub struct LogonClient {
    keyed: Hmac<Sha256>,
    sent: u64,
    received: u64,
}

impl LogonClient {
    /// Creates the channel of `machine` (its NetBIOS name) with the machine's secret as its key.
    pub fn new(machine: &str, secret: &[u8]) -> Self {
        Self { keyed: channel_key(machine, secret), sent: 0, received: 0 }
    }

    /// Returns the frame, with its length prefix, that carries `request`. Replies come back in the same order.
    ///
    /// # Errors
    /// [`LogonError::TooLong`] if a field or the frame is too long to be sent.
    pub fn encode_request(&mut self, request: &LogonRequest) -> Result<Vec<u8>, LogonError> {
        let mut frame = begin(REQUEST, self.sent);
        encode_request(request, &mut frame)?;
        let frame = seal(&self.keyed, frame)?;
        self.sent += 1;
        Ok(frame)
    }

    /// Verifies and decodes the next reply. `frame` is without the length prefix.
    ///
    /// # Errors
    /// Any [`LogonError`]. A reply that no request waits for is out of sequence; a denial is [`LogonError::Denied`].
    pub fn decode_reply(&mut self, frame: &[u8]) -> Result<LogonReply, LogonError> {
        if let Some(status) = denied(frame) {
            return Err(LogonError::Denied(status));
        }
        let (got, body) = open(&self.keyed, frame, REPLY)?;
        in_sequence(got, self.received)?;
        if self.received >= self.sent {
            return Err(LogonError::OutOfSequence { got, expected: self.sent });
        }
        let reply = decode_reply(body)?;
        self.received += 1;
        Ok(reply)
    }
}

/// The half of a logon channel at the domain controller.
pub struct LogonServer {
    keyed: Hmac<Sha256>,
    machine: String,
    received: u64,
    answered: u64,
}

impl LogonServer {
    /// Returns the machine that a first request claims to come from. Nothing is verified yet, and the name only selects
    /// the secret for [`LogonServer::new`].
    ///
    /// # Errors
    /// `frame` (without its length prefix) is not a request of this protocol.
    pub fn claimed_machine(frame: &[u8]) -> Result<String, LogonError> {
        let (_, body, _) = split(frame, REQUEST)?;
        Fields::new(body).text("channel_machine")
    }

    /// Creates the channel of `machine` with the secret that the directory has for it as its key.
    pub fn new(machine: &str, secret: &[u8]) -> Self {
        let keyed = channel_key(machine, secret);
        Self { keyed, machine: machine.into(), received: 0, answered: 0 }
    }

    /// Verifies and decodes the next request. `frame` is without the length prefix.
    ///
    /// # Errors
    /// Any [`LogonError`].
    pub fn decode_request(&mut self, frame: &[u8]) -> Result<LogonRequest, LogonError> {
        let (got, body) = open(&self.keyed, frame, REQUEST)?;
        in_sequence(got, self.received)?;
        let request = decode_request(body)?;
        if !same_name(&request.channel_machine, &self.machine) {
            return Err(LogonError::WrongMachine { got: request.channel_machine, expected: self.machine.clone() });
        }
        self.received += 1;
        Ok(request)
    }

    /// Returns the frame, with its length prefix, that answers the oldest request without an answer.
    ///
    /// # Errors
    /// [`LogonError::TooLong`] if a field or the frame is too long to be sent; [`LogonError::OutOfSequence`] if every
    /// request has been answered.
    pub fn encode_reply(&mut self, reply: &LogonReply) -> Result<Vec<u8>, LogonError> {
        if self.answered >= self.received {
            return Err(LogonError::OutOfSequence { got: self.answered, expected: self.received });
        }
        let mut frame = begin(REPLY, self.answered);
        encode_reply(reply, &mut frame)?;
        let frame = seal(&self.keyed, frame)?;
        self.answered += 1;
        Ok(frame)
    }
}

fn channel_key(machine: &str, secret: &[u8]) -> Hmac<Sha256> {
    let mut derive = hmac_sha256(secret);
    derive.update(LABEL);
    derive.update(machine.chars().map(upcase).collect::<String>().as_bytes());
    hmac_sha256(&derive.finalize().into_bytes())
}

fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104 2)")
}

/// Begins a frame: everything before the body, with room for the length.
fn begin(kind: u8, sequence: u64) -> Vec<u8> {
    let mut frame = vec![0; FRAME_PREFIX];
    frame.extend_from_slice(&[VERSION, kind]);
    frame.extend_from_slice(&sequence.to_be_bytes());
    frame
}

/// Adds the MAC and fills in the length.
fn seal(keyed: &Hmac<Sha256>, mut frame: Vec<u8>) -> Result<Vec<u8>, LogonError> {
    let len = bounded(frame.len() - FRAME_PREFIX + MAC)?;
    let mac = keyed.clone().chain_update(&frame[FRAME_PREFIX..]).finalize().into_bytes();
    frame.extend_from_slice(&mac);
    frame[..FRAME_PREFIX].copy_from_slice(&(len as u32).to_be_bytes());
    Ok(frame)
}

/// Splits a frame of this kind into its sequence number, body and MAC.
fn split(frame: &[u8], kind: u8) -> Result<(u64, &[u8], &[u8; MAC]), LogonError> {
    bounded(frame.len())?;
    let (signed, mac) = frame.split_last_chunk().ok_or(LogonError::Truncated { field: "MAC" })?;
    let (header, body) =
        signed.split_first_chunk::<HEADER>().ok_or(LogonError::Truncated { field: "sequence number" })?;
    let [version, got, sequence @ ..] = *header;
    if version != VERSION {
        return Err(LogonError::Version(version));
    }
    if got != kind {
        return Err(LogonError::Kind);
    }
    Ok((u64::from_be_bytes(sequence), body, mac))
}

/// Verifies a frame in constant time, and returns its sequence number and body.
fn open<'a>(keyed: &Hmac<Sha256>, frame: &'a [u8], kind: u8) -> Result<(u64, &'a [u8]), LogonError> {
    let (sequence, body, mac) = split(frame, kind)?;
    let signed = &frame[..frame.len() - MAC];
    keyed.clone().chain_update(signed).verify_slice(mac).map_err(|_| LogonError::BadMac)?;
    Ok((sequence, body))
}

fn in_sequence(got: u64, expected: u64) -> Result<(), LogonError> {
    match got.cmp(&expected) {
        std::cmp::Ordering::Less => Err(LogonError::Replayed { got, expected }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(LogonError::OutOfSequence { got, expected }),
    }
}
