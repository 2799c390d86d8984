//! The questions of a client to KDCs, from a password to a service ticket, with referrals.
//!
//! | module | holds |
//! |---|---|
//! | [`Acquire`] | the whole acquisition of one ticket, as a state machine whose messages the caller carries |
//! | [`CredentialCache`] | the tickets that a client has |
//! | `as_exchange` | the AS exchange: pre-authentication, clocks that differ |
//! | [`TgsExchange`] | one TGS exchange |

use super::crypto::{CryptoError, Etype, Key};
use super::message::MessageError;
use super::name::Principal;
use super::status::KrbErrorCode;
use crate::status::{NtStatus, SecStatus};

mod acquire;
mod as_exchange;
mod cache;
mod tgs;

pub use acquire::{Acquire, Step};
pub use cache::CredentialCache;
pub use tgs::TgsExchange;

/// The secret with which a client proves its identity.
#[derive(Clone)]
pub enum Secret {
    /// A password. The KDC names the salt with which keys are made.
    Password(String),
    /// Keys, for example from a key table.
    Keys(Vec<Key>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Secret::Password",
            Self::Keys(_) => "Secret::Keys",
        })
    }
}

/// The identity of a client, and its behaviour.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The principal name of the client.
    pub client: Principal,
    /// The secret with which the client proves its identity.
    pub secret: Secret,
    /// The encryption types that the client supports, the preferred one first.
    pub etypes: Vec<Etype>,
    /// Whether the client asks for tickets that can be forwarded.
    pub forwardable: bool,
    /// Whether KDCs may correct names and refer to other realms. Windows allows this; MIT allows it if it is
    /// configured.
    pub canonicalize: bool,
    /// Whether the client sends an encrypted timestamp with its first request if it knows its keys already (RFC 4120
    /// 3.1.1).
    pub preauth_at_once: bool,
}

impl ClientConfig {
    /// Returns the configuration of a Windows client.
    pub fn new(client: Principal, secret: Secret) -> Self {
        Self {
            client,
            secret,
            etypes: Etype::WINDOWS.to_vec(),
            forwardable: true,
            canonicalize: true,
            preauth_at_once: false,
        }
    }
}

/// The random bytes that one request needs. None of them may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The number that a reply repeats. Only 31 bits are used, because some KDCs read larger numbers as negative.
    pub nonce: u32,
    /// The confounder of the timestamp or of the authenticator.
    pub confounder: [u8; 16],
    /// The key for the TGS reply. Only the number of bytes that the key type needs is used.
    pub subkey: [u8; 32],
}

impl Nonces {
    fn nonce(&self) -> u32 {
        self.nonce & 0x7FFF_FFFF
    }
}

/// The reason why a client gets no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A reply cannot be decoded.
    #[error("{0}")]
    Malformed(#[from] MessageError),
    /// A reply is encrypted with another key, or a key cannot be made.
    #[error("the KDC's reply cannot be read: {0}")]
    Crypto(#[from] CryptoError),
    /// A reply answers another request. The text names the field that differs.
    #[error("the KDC's reply answers a different request: its {0} differs")]
    OtherRequest(&'static str),
    /// The KDC refused the request.
    #[error("the KDC refused: {code}")]
    Refused {
        /// The error code of the KDC.
        code: KrbErrorCode,
        /// The NTSTATUS that a Windows KDC adds (MS-KILE 2.2.1).
        status: Option<NtStatus>,
    },
    /// The client and the KDC have no encryption type in common, or there is no key of that type.
    #[error("the KDC offers no encryption type that the client has a key for")]
    NoEtype,
    /// KDCs refer the client to one another without end.
    #[error("the KDCs keep referring the client to one another; check the trusts for a loop")]
    ReferralLoop,
    /// A reply arrived when none was expected.
    #[error("a KDC's reply arrived although no request is pending")]
    UnexpectedReply,
}

impl ClientError {
    /// Returns the SSPI status that a Windows client reports.
    pub const fn sec_status(&self) -> SecStatus {
        match self {
            Self::Refused { code, .. } => code.initiator_status(),
            Self::NoEtype => SecStatus::ETYPE_NOT_SUPP,
            Self::ReferralLoop => SecStatus::TARGET_UNKNOWN,
            Self::Malformed(_) | Self::Crypto(_) | Self::OtherRequest(_) | Self::UnexpectedReply => {
                SecStatus::INVALID_TOKEN
            }
        }
    }
}
