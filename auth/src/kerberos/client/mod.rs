//! What a client asks KDCs: from a password to a service ticket, by way of referrals.
//!
//! | module | holds |
//! |---|---|
//! | [`Acquire`] | the whole way to one ticket, as a state machine that the caller carries messages for |
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

/// What a client proves itself with.
#[derive(Clone)]
pub enum Secret {
    /// A password; the KDC says with which salt it makes keys.
    Password(String),
    /// Keys, as from a key table.
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

/// Who a client is and how it asks.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The client.
    pub client: Principal,
    /// What it proves itself with.
    pub secret: Secret,
    /// Encryption types that it speaks, the preferred first.
    pub etypes: Vec<Etype>,
    /// Ask for tickets that can be forwarded.
    pub forwardable: bool,
    /// Let KDCs correct names and refer to other realms, as Windows does and MIT when told to.
    pub canonicalize: bool,
    /// Send an encrypted timestamp at once, if the keys are known without asking (RFC 4120 3.1.1).
    pub preauth_at_once: bool,
}

impl ClientConfig {
    /// A client as Windows makes it.
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

/// What one request needs of randomness; none of it may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The number that a reply repeats; 31 bits of it are used, as some KDCs read more as negative.
    pub nonce: u32,
    /// Confounder of the timestamp or the authenticator.
    pub confounder: [u8; 16],
    /// Key for the TGS reply, of which as many bytes are taken as needed.
    pub subkey: [u8; 32],
}

impl Nonces {
    fn nonce(&self) -> u32 {
        self.nonce & 0x7FFF_FFFF
    }
}

/// Why a client gets no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A reply that does not decode.
    #[error("{0}")]
    Malformed(#[from] MessageError),
    /// A reply in another key, or a key that cannot be made.
    #[error("the KDC's reply cannot be read: {0}")]
    Crypto(#[from] CryptoError),
    /// A reply to another request.
    #[error("the KDC's reply answers a different request: its {0} differs")]
    OtherRequest(&'static str),
    /// The KDC refused.
    #[error("the KDC refused: {code}")]
    Refused {
        /// Its error code.
        code: KrbErrorCode,
        /// The NTSTATUS that a Windows KDC adds (MS-KILE 2.2.1).
        status: Option<NtStatus>,
    },
    /// No encryption type that both know, or no key of it.
    #[error("the KDC offers no encryption type that the client has a key for")]
    NoEtype,
    /// KDCs refer to each other without end.
    #[error("the KDCs keep referring the client to one another; check the trusts for a loop")]
    ReferralLoop,
    /// A reply when none was due.
    #[error("a KDC's reply arrived although no request is pending")]
    UnexpectedReply,
}

impl ClientError {
    /// The SSPI status that a Windows client reports.
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
