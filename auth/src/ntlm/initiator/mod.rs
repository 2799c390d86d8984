//! The client's side (MS-NLMP 3.1.5.1): a typestate, so that a wrong order does not compile.

use std::fmt;
use std::sync::Arc;

use super::authenticate::MIC;
use super::challenge::Challenge;
use super::crypto;
use super::flags::NegotiateFlags;
use super::negotiate::Negotiate;
use super::profile::NtlmProfile;
use super::wire::DecodeError;
use crate::FileTime;
use crate::channel_binding::ChannelBinding;

mod answer;

/// Who authenticates: nobody, or an account by its password hashes.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    domain: String,
    /// `None` for the anonymous session.
    nt_hash: Option<[u8; 16]>,
    lm_hash: Option<[u8; 16]>,
}

/// What an [`Initiator`] is made from.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The client's habits.
    pub profile: NtlmProfile,
    /// Who authenticates.
    pub credentials: Credentials,
    /// The service wanted, such as `HTTP/app.corp.example`: goes into `MsvAvTargetName`.
    pub target_name: Option<String>,
    /// The binding of the TLS connection, where there is one: goes into `MsvAvChannelBindings`.
    pub channel_binding: Option<ChannelBinding>,
}

/// What an Authenticate needs of randomness.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// Client challenge, 8 bytes.
    pub client_challenge: [u8; 8],
    /// Session key that the initiator chooses when KEY_EXCH is negotiated, 16 bytes.
    pub exported_session_key: [u8; 16],
}

/// The client's side of one handshake, in state `S`.
///
/// ```
/// use std::sync::Arc;
/// use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig};
/// use stickler_auth::ntlm::profile::NtlmProfile;
///
/// let credentials = Credentials::new("alice", "CORP", "secret");
/// let config = InitiatorConfig { profile: NtlmProfile::curl(), credentials, target_name: None, channel_binding: None };
/// let (negotiate, initiator) = Initiator::new(Arc::new(config)).negotiate();
/// assert_eq!(negotiate.len(), 32);
/// # drop(initiator);
/// ```
///
/// A key cannot be asked for before the Challenge was answered:
///
/// ```compile_fail,E0599
/// # use std::sync::Arc;
/// # use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig};
/// # use stickler_auth::ntlm::profile::NtlmProfile;
/// # let credentials = Credentials::new("alice", "CORP", "secret");
/// # let config = InitiatorConfig { profile: NtlmProfile::curl(), credentials, target_name: None, channel_binding: None };
/// let (negotiate, initiator) = Initiator::new(Arc::new(config)).negotiate();
/// initiator.session_key();
/// ```
pub struct Initiator<S> {
    config: Arc<InitiatorConfig>,
    state: S,
}

/// Nothing sent yet.
pub struct Start(());

/// The Negotiate is out; a Challenge is due.
pub struct AwaitingChallenge {
    negotiate: Vec<u8>,
}

/// The Authenticate is out.
pub struct Done {
    flags: NegotiateFlags,
    session_key: [u8; 16],
}

/// Why a Challenge was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiatorError {
    /// The Challenge does not decode.
    #[error("challenge refused: {0}")]
    Decode(#[from] DecodeError),
    /// A field of the answer would be longer than its 16-bit length can say.
    #[error("{field} would have {len} bytes, more than the 65,535 that an Authenticate can carry")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}

impl Initiator<Start> {
    /// A fresh handshake.
    pub fn new(config: impl Into<Arc<InitiatorConfig>>) -> Self {
        Self { config: config.into(), state: Start(()) }
    }

    /// The Negotiate message to send.
    pub fn negotiate(self) -> (Vec<u8>, Initiator<AwaitingChallenge>) {
        let NtlmProfile { flags, version, .. } = self.config.profile;
        let negotiate = Negotiate { flags, version, ..Negotiate::default() }.encode();
        let state = AwaitingChallenge { negotiate: negotiate.clone() };
        (negotiate, Initiator { config: self.config, state })
    }
}

impl Initiator<AwaitingChallenge> {
    /// The Authenticate message that answers `challenge`.
    ///
    /// # Errors
    /// When the Challenge is malformed, or too long to be answered.
    pub fn authenticate(
        self,
        challenge: &[u8],
        nonces: Nonces,
        now: FileTime,
    ) -> Result<(Vec<u8>, Initiator<Done>), InitiatorError> {
        let decoded = Challenge::decode(challenge)?;
        let flags = self.config.authenticate_flags(decoded.flags);
        let responses = self.config.responses(&decoded, flags, nonces, now)?;
        // A client that echoes flags (curl) may repeat a KEY_EXCH that it never offered, nor does.
        let (session_key, encrypted) = if exchanges_key(flags & self.config.profile.flags) {
            let key = &nonces.exported_session_key;
            (*key, Some(crypto::exchange_session_key(&responses.key_exchange_key, key)))
        } else {
            (responses.key_exchange_key, None)
        };
        let mut message = self.config.encode(&responses, flags, encrypted.as_ref())?;
        if self.config.sends_mic()
            && let Some(mic) = crypto::mic(&session_key, &self.state.negotiate, challenge, &message)
        {
            message[MIC].copy_from_slice(&mic);
        }
        Ok((message, Initiator { config: self.config, state: Done { flags, session_key } }))
    }
}

impl Initiator<Done> {
    /// The exported session key, 16 bytes (MS-NLMP 3.1.5.1.2).
    pub fn session_key(&self) -> [u8; 16] {
        self.state.session_key
    }

    /// The flags in force.
    pub fn flags(&self) -> NegotiateFlags {
        self.state.flags
    }

    /// What the handshake was made from.
    pub fn config(&self) -> &InitiatorConfig {
        &self.config
    }
}

/// Whether the initiator sends a session key of its own (MS-NLMP 3.1.5.1.2, 3.2.5.1.2).
pub(super) fn exchanges_key(flags: NegotiateFlags) -> bool {
    flags.contains(NegotiateFlags::KEY_EXCH) && flags.intersects(NegotiateFlags::SIGN | NegotiateFlags::SEAL)
}

impl Credentials {
    /// An account by its password. `domain` may be empty; a user may be `name@realm` with no domain.
    pub fn new(user: &str, domain: &str, password: &str) -> Self {
        Self { lm_hash: crypto::lmowf_v1(password), ..Self::from_hash(user, domain, crypto::ntowf_v1(password)) }
    }

    /// An account by its NTOWFv1 hash, 16 bytes; it has no LM hash.
    pub fn from_hash(user: &str, domain: &str, nt_hash: [u8; 16]) -> Self {
        Self { user: user.into(), domain: domain.into(), nt_hash: Some(nt_hash), lm_hash: None }
    }

    /// The anonymous (null) session.
    pub fn anonymous() -> Self {
        Self { user: String::new(), domain: String::new(), nt_hash: None, lm_hash: None }
    }

    /// Whether this is the null session.
    pub const fn is_anonymous(&self) -> bool {
        self.nt_hash.is_none()
    }

    /// The user, empty when anonymous.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The domain, empty where there is none.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}\\{})", self.domain, self.user)
    }
}
