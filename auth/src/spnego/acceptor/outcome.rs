//! What comes out of an acceptor of `Negotiate`.

use super::super::{Mechanism, Package};
use crate::der::DerError;
use crate::kerberos::ap;
use crate::logon::LogonRequest;
use crate::ntlm;
use crate::status::{BadPasswordCode, SecStatus};

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Send this token and wait for the client's next: with a 401.
    Continue(Vec<u8>),
    /// Ask the DC (or the local SAM), then call [`super::Acceptor::resume`]. NTLM only.
    NeedLogon(LogonRequest),
    /// The client is this account.
    Authenticated(Box<Authenticated>),
    /// The handshake has failed.
    Refused(Box<Rejected>),
}

/// A successful handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who the client is.
    pub identity: Identity,
    /// The last token, which rides in the final answer; empty where there is none.
    pub token: Vec<u8>,
    /// The mechanism that SPNEGO chose; `None` for a raw token.
    pub negotiated: Option<Mechanism>,
    /// Whether a mechListMIC of the client was verified.
    pub mech_list_mic: bool,
}

/// Who a client is, by the package that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By NTLM.
    Ntlm(Box<ntlm::acceptor::Authenticated>),
    /// By Kerberos.
    Kerberos(Box<ap::Accepted>),
}

impl Identity {
    /// The package.
    pub const fn package(&self) -> Package {
        match self {
            Self::Ntlm(_) => Package::Ntlm,
            Self::Kerberos(_) => Package::Kerberos,
        }
    }
}

/// A handshake that failed, and what to tell the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// A token that says so, in the framing of the client's; empty where there is none. Whether it is
    /// sent is the server's habit: IIS answers most failures with a bare scheme.
    pub token: Vec<u8>,
    /// Whether the client can go on with another token on this connection: after a KRB-ERROR that
    /// tells it the server's clock.
    pub recoverable: bool,
}

/// Why a handshake was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is not SPNEGO, NTLM or Kerberos.
    #[error("the token is neither SPNEGO nor NTLM nor Kerberos")]
    UnknownToken,
    /// The SPNEGO token does not decode.
    #[error("the SPNEGO token is malformed: {0}")]
    Malformed(#[from] DerError),
    /// The client offers nothing that is enabled here.
    #[error("the client offers no mechanism that this server has enabled")]
    NoMechanism,
    /// A raw token of a package that is not enabled here.
    #[error("{0} is not enabled on this server")]
    Disabled(Package),
    /// A continuation without a beginning on this connection.
    #[error("a continuation token arrived on a connection that has no negotiation pending")]
    NoContext,
    /// A continuation without a token of the mechanism.
    #[error("the client sent no token for the mechanism that was chosen")]
    NoToken,
    /// A MIC is due and missing.
    #[error("the client's mechListMIC is missing: a stronger mechanism may have been removed from the list in transit")]
    MissingMic,
    /// A MIC is there and does not match.
    #[error("the client's mechListMIC does not match: the list of mechanisms was altered in transit")]
    BadMic,
    /// NTLM refused.
    #[error("NTLM failed: {0}")]
    Ntlm(ntlm::acceptor::Refusal),
    /// Kerberos refused.
    #[error("Kerberos failed: {0}")]
    Kerberos(ap::Refusal),
}

impl Refusal {
    /// The SSPI status of the refusal.
    pub fn sec_status(&self) -> SecStatus {
        match self {
            Self::UnknownToken | Self::Malformed(_) | Self::NoContext | Self::NoToken => SecStatus::INVALID_TOKEN,
            Self::NoMechanism | Self::Disabled(_) => SecStatus::UNSUPPORTED_FUNCTION,
            Self::MissingMic | Self::BadMic => SecStatus::MESSAGE_ALTERED,
            Self::Ntlm(refusal) => refusal.sec_status(),
            Self::Kerberos(refusal) => refusal.sec_status(),
        }
    }

    /// The value of `sc-win32-status` in the log.
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
