//! The pass-through logon: a server's question to its domain controller, and the channel that carries it.
//!
//! The channel is a simplified replacement for `NetrLogonSamLogonWithFlags` over a secure channel (MS-NRPC, MS-APDS
//! 3.1.5). It has the same fields and the same trust, but no RPC. The code does no I/O: [`LogonClient`] and
//! [`LogonServer`] turn messages into frames and back, and the caller transports the frames.

mod channel;
mod codec;

pub use channel::{FRAME_PREFIX, LogonClient, LogonServer, MAX_FRAME, denial, frame_len};

use crate::ntlm::text::Hidden;
use crate::status::NtStatus;

/// A server's question to the DC (or its own SAM): whether a response proves the identity of a user.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LogonRequest {
    /// The NetBIOS name of the machine that owns the secure channel and asks.
    pub channel_machine: String,
    /// The domain as the client sent it. It is empty if the client named none.
    pub logon_domain: String,
    /// The user as the client sent it, which is empty for an anonymous logon.
    pub user: String,
    /// The workstation as the client sent it.
    pub workstation: String,
    /// The challenge that the response answers. It is the server's own or, for NTLM2 session responses, MD5(server
    /// challenge, client challenge)\[0..8\] (MS-APDS 3.1.5.2).
    pub challenge: [u8; 8],
    /// The NT response: empty, 24 bytes, or an NTLMv2 response with its blob.
    pub nt_response: Vec<u8>,
    /// The LM response: empty or 24 bytes (one zero byte for anonymous).
    pub lm_response: Vec<u8>,
    /// The MSV1_0 parameter control bits (MS-APDS 3.1.5.1), or 0 for a plain request.
    pub parameter_control: u32,
    /// The number of channels that the request has crossed. A DC that forwards the request adds one, and limits the
    /// number.
    pub hops: u8,
}

/// The answer of the DC.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LogonReply {
    /// The outcome of the logon.
    pub status: NtStatus,
    /// Whether the answer is final. If not, this DC does not know the account, but another one may (MS-NRPC 3.5.4.5.1).
    pub authoritative: bool,
    /// The session base key (MS-NLMP 3.3). It is zero unless the logon succeeded.
    pub session_base_key: [u8; 16],
    /// The first eight bytes of the LM hash, for LM_KEY and NON_NT keys; zero if there is no LM hash.
    pub lm_key: [u8; 8],
    /// The bits of the profile, such as [`LogonReply::GUEST`].
    pub user_flags: u32,
    /// The name of the account as the directory spells it.
    pub effective_name: String,
    /// The NetBIOS name of the account's domain.
    pub domain: String,
    /// The SIDs of the user and of the user's groups in string form. The user's SID comes first.
    pub sids: Vec<String>,
    /// The NetBIOS name of the DC that decided.
    pub logon_server: String,
}

impl LogonReply {
    /// The bit `LOGON_GUEST`: the account is the guest account (MS-PAC 2.5, UserFlags).
    pub const GUEST: u32 = 0x0000_0001;

    /// Returns a refusal with this status, without keys and names.
    pub fn refused(status: NtStatus, authoritative: bool) -> Self {
        Self { status, authoritative, ..Self::default() }
    }
}

impl std::fmt::Debug for LogonRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogonRequest")
            .field("channel_machine", &self.channel_machine)
            .field("logon_domain", &self.logon_domain)
            .field("user", &self.user)
            .field("workstation", &self.workstation)
            .field("nt_response", &format_args!("{} bytes", self.nt_response.len()))
            .field("lm_response", &format_args!("{} bytes", self.lm_response.len()))
            .field("hops", &self.hops)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LogonReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogonReply")
            .field("status", &self.status)
            .field("authoritative", &self.authoritative)
            .field("session_base_key", &Hidden)
            .field("effective_name", &self.effective_name)
            .field("domain", &self.domain)
            .field("logon_server", &self.logon_server)
            .finish_non_exhaustive()
    }
}

/// The reason why a frame of the logon channel was refused. After any of these errors the channel must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogonError {
    /// The length prefix exceeds the length that a frame may have, or a message does not fit into a frame.
    #[error("the logon frame or field has {len} bytes, more than the limit of {limit}")]
    TooLong {
        /// The length that was announced, or that would have to be sent, in bytes.
        len: usize,
        /// The limit: [`MAX_FRAME`], or 65,535 for a field.
        limit: usize,
    },
    /// The frame ends before its fields do.
    #[error("the logon frame ends inside {field}")]
    Truncated {
        /// The field that is cut off.
        field: &'static str,
    },
    /// The frame has bytes left, or a field holds a value that it cannot have.
    #[error("the logon frame is malformed at {field}")]
    Malformed {
        /// The field at fault.
        field: &'static str,
    },
    /// The frame belongs to another protocol, or to another version of this one.
    #[error("the logon frame has protocol version {0}, but only version 1 is supported")]
    Version(u8),
    /// The frame is a reply although a request is expected, or the reverse.
    #[error("the logon frame is of a kind that this side of the channel does not accept")]
    Kind,
    /// The other side refuses the channel: with STATUS_ACCESS_DENIED if the secrets differ, or with
    /// STATUS_NO_TRUST_SAM_ACCOUNT if it has no account for the machine.
    #[error("the peer refuses the secure channel: {0}")]
    Denied(NtStatus),
    /// The frame was not made with this machine's secret, or was altered.
    #[error("the logon frame cannot be verified: the machine secrets differ, or the frame was altered in transit")]
    BadMac,
    /// The frame was accepted before.
    #[error("the logon frame with number {got} was replayed; number {expected} was expected")]
    Replayed {
        /// The sequence number of the frame.
        got: u64,
        /// The sequence number that is expected next.
        expected: u64,
    },
    /// The sequence number is too high, which means that an earlier frame was lost.
    #[error("the logon frame with number {got} is out of sequence; number {expected} was expected")]
    OutOfSequence {
        /// The sequence number of the frame.
        got: u64,
        /// The sequence number that is expected next.
        expected: u64,
    },
    /// The request names a machine other than the one whose secret is the key of the channel.
    #[error("the logon request names machine {got:?}, but the secure channel belongs to {expected:?}")]
    WrongMachine {
        /// The machine in the request.
        got: String,
        /// The machine of the channel.
        expected: String,
    },
}
