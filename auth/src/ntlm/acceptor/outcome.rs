//! The outcomes of an acceptor.

use std::fmt;

use crate::logon::LogonRequest;
use crate::ntlm::flags::NegotiateFlags;
use crate::ntlm::wire::DecodeError;
use crate::status::{BadPasswordCode, NtStatus, SecStatus};

/// The next step of the caller.
#[derive(Debug)]
pub enum Step {
    /// The caller sends this Challenge.
    Challenge(Vec<u8>),
    /// The caller asks the DC (or the local SAM), then calls [`super::Acceptor::resume`].
    NeedLogon(LogonRequest),
    /// The client has logged on as this account.
    Authenticated(Box<Authenticated>),
    /// The handshake has failed. The next one begins with a Negotiate.
    Refused(Refusal),
}

/// The result of a successful logon.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The NetBIOS domain of the account, as the DC names it. It is empty for a null session.
    pub domain: String,
    /// The name of the account, as the DC spells it. It is empty for a null session.
    pub user: String,
    /// The workstation as the client sent it.
    pub workstation: String,
    /// Whether the logon is a null session.
    pub anonymous: bool,
    /// Whether an unknown user was logged on as guest.
    pub guest: bool,
    /// The SIDs of the user and its groups.
    pub sids: Vec<String>,
    /// The exported session key, 16 bytes.
    pub session_key: [u8; 16],
    /// The flags in force.
    pub flags: NegotiateFlags,
    /// Whether a MIC was present, and was therefore verified.
    pub mic: bool,
    /// Whether a channel binding was compared, and matched.
    pub channel_bound: bool,
    /// The service name that the client sent (`MsvAvTargetName`), if any.
    pub target_name: Option<String>,
}

/// The reason why a handshake was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token cannot be decoded.
    #[error("the token is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// An Authenticate arrived on this connection without a Challenge before it.
    #[error("an Authenticate message arrived on a connection that has no handshake pending")]
    NoContext,
    /// The client does not offer the security that this server requires.
    #[error("the client does not offer 128-bit keys, which this server requires")]
    Weak,
    /// The client asks for a null session, which this server does not accept.
    #[error("this server does not accept anonymous logons")]
    Anonymous,
    /// The DC or the SAM refused with this status.
    #[error("the logon was refused: {0}")]
    Logon(NtStatus),
    /// KEY_EXCH was negotiated, but the session key does not have 16 bytes.
    #[error("a key exchange was negotiated, but the encrypted session key has {0} bytes instead of 16")]
    KeyExchange(usize),
    /// The response announces a MIC, which does not match.
    #[error("the message integrity code does not match: one of the handshake's messages was altered")]
    Mic,
    /// The channel binding is missing, or belongs to another connection.
    #[error("the channel binding is missing or belongs to another TLS connection")]
    BadBindings,
    /// The service name is missing, or belongs to another server.
    #[error("the target name {0:?} is not a service of this server")]
    TargetName(String),
    /// The timestamp differs too much from the server's clock, by this many ticks.
    #[error("the client's clock differs from the server's by {0} ticks of 100 ns, which is more than allowed")]
    Skew(u64),
    /// A logon reply arrived when none was expected.
    #[error("a logon reply arrived although no logon is pending")]
    UnexpectedReply,
}

impl Refusal {
    /// Returns the SSPI status of the refusal. The status for a wrong target name is not measured on IIS.
    pub fn sec_status(&self) -> SecStatus {
        match self {
            Self::Malformed(_) | Self::NoContext | Self::KeyExchange(_) => SecStatus::INVALID_TOKEN,
            Self::Weak => SecStatus::UNSUPPORTED_FUNCTION,
            Self::Anonymous | Self::Logon(_) => SecStatus::LOGON_DENIED,
            Self::Mic => SecStatus::MESSAGE_ALTERED,
            Self::BadBindings => SecStatus::BAD_BINDINGS,
            Self::TargetName(_) => SecStatus::WRONG_PRINCIPAL,
            Self::Skew(_) => SecStatus::TIME_SKEW,
            Self::UnexpectedReply => SecStatus::INTERNAL_ERROR,
        }
    }

    /// Returns the value of `sc-win32-status` in the log.
    pub fn sc_win32_status(&self, bad_password: BadPasswordCode) -> u32 {
        match self {
            Self::Logon(status) => status.sc_win32_status(bad_password),
            _ => self.sec_status().0,
        }
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("domain", &self.domain)
            .field("user", &self.user)
            .field("workstation", &self.workstation)
            .field("anonymous", &self.anonymous)
            .field("guest", &self.guest)
            .field("flags", &self.flags)
            .field("mic", &self.mic)
            .field("channel_bound", &self.channel_bound)
            .field("target_name", &self.target_name)
            .finish_non_exhaustive()
    }
}
