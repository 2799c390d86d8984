//! The outcomes of an acceptor of `Negotiate`.

use super::super::{Mechanism, Package};
use crate::der::DerError;
use crate::kerberos::ap;
use crate::logon::LogonRequest;
use crate::ntlm;
use crate::status::{BadPasswordCode, SecStatus};

/// The next step of the caller.
#[derive(Debug)]
pub enum Step {
    /// The caller sends this token with a 401 and waits for the client's next token.
    Continue(Vec<u8>),
    /// The caller asks the DC (or the local SAM), then calls [`super::Acceptor::resume`]. Only NTLM needs it.
    NeedLogon(LogonRequest),
    /// The client has logged on as this account.
    Authenticated(Box<Authenticated>),
    /// The handshake has failed.
    Refused(Box<Rejected>),
}

/// The result of a successful handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The identity of the client.
    pub identity: Identity,
    /// The last token, which is sent with the final answer. It is empty if there is none.
    pub token: Vec<u8>,
    /// The mechanism that SPNEGO chose; `None` for a raw token.
    pub negotiated: Option<Mechanism>,
    /// Whether a mechListMIC of the client was verified.
    pub mech_list_mic: bool,
}

/// The identity of a client, with the package that established it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The client authenticated with NTLM.
    Ntlm(Box<ntlm::acceptor::Authenticated>),
    /// The client authenticated with Kerberos.
    Kerberos(Box<ap::Accepted>),
}

impl Identity {
    /// Returns the package that established the identity.
    pub const fn package(&self) -> Package {
        match self {
            Self::Ntlm(_) => Package::Ntlm,
            Self::Kerberos(_) => Package::Kerberos,
        }
    }
}

/// A failed handshake, and the answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The reason for the refusal.
    pub refusal: Refusal,
    /// A token that reports the refusal in the framing of the client's token, or empty if there is none. The server
    /// decides whether to send it: IIS answers most failures with a bare scheme.
    pub token: Vec<u8>,
    /// Whether the client can continue with another token on this connection, after a KRB-ERROR has told it the
    /// server's clock.
    pub recoverable: bool,
}

/// The reason why a handshake was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not SPNEGO, NTLM or Kerberos.
    #[error("the token is neither SPNEGO nor NTLM nor Kerberos")]
    UnknownToken,
    /// The SPNEGO token cannot be decoded.
    #[error("the SPNEGO token is malformed: {0}")]
    Malformed(#[from] DerError),
    /// The client offers no mechanism that is enabled here.
    #[error("the client offers no mechanism that this server has enabled")]
    NoMechanism,
    /// The raw token belongs to a package that is not enabled here.
    #[error("{0} is not enabled on this server")]
    Disabled(Package),
    /// A continuation arrived on this connection without a first token before it.
    #[error("a continuation token arrived on a connection that has no negotiation pending")]
    NoContext,
    /// A continuation has no token of the mechanism.
    #[error("the client sent no token for the mechanism that was chosen")]
    NoToken,
    /// A required MIC is missing.
    #[error("the client's mechListMIC is missing: a stronger mechanism may have been removed from the list in transit")]
    MissingMic,
    /// A MIC does not match.
    #[error("the client's mechListMIC does not match: the list of mechanisms was altered in transit")]
    BadMic,
    /// NTLM refused for this reason.
    #[error("NTLM failed: {0}")]
    Ntlm(ntlm::acceptor::Refusal),
    /// Kerberos refused for this reason.
    #[error("Kerberos failed: {0}")]
    Kerberos(ap::Refusal),
}

impl Refusal {
    /// Returns the SSPI status of the refusal.
    pub fn sec_status(&self) -> SecStatus {
        match self {
            Self::UnknownToken | Self::Malformed(_) | Self::NoContext | Self::NoToken => SecStatus::INVALID_TOKEN,
            Self::NoMechanism | Self::Disabled(_) => SecStatus::UNSUPPORTED_FUNCTION,
            Self::MissingMic | Self::BadMic => SecStatus::MESSAGE_ALTERED,
            Self::Ntlm(refusal) => refusal.sec_status(),
            Self::Kerberos(refusal) => refusal.sec_status(),
        }
    }

    /// Returns the value of `sc-win32-status` in the log.
    pub fn sc_win32_status(&self, bad_password: BadPasswordCode) -> u32 {
        match self {
            Self::Ntlm(refusal) => refusal.sc_win32_status(bad_password),
            _ => self.sec_status().0,
        }
    }
}

impl From<ntlm::acceptor::Refusal> for Refusal {
    fn from(refusal: ntlm::acceptor::Refusal) -> Self {
        Self::Ntlm(refusal)
    }
}
