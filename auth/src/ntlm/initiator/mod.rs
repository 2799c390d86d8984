//! The client's side of NTLM (MS-NLMP 3.1.5.1). The type of the initiator depends on its state, so calls in a wrong
//! order do not compile.

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

/// The credentials of the client: an account's password hashes, or those of the anonymous session.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    domain: String,
    /// The hash of the password; `None` for the anonymous session.
    nt_hash: Option<[u8; 16]>,
    lm_hash: Option<[u8; 16]>,
}

/// The configuration of an [`Initiator`].
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The behaviour of the client.
    pub profile: NtlmProfile,
    /// The credentials of the client.
    pub credentials: Credentials,
    /// The requested service, such as `HTTP/app.corp.example`, which is sent in `MsvAvTargetName`.
    pub target_name: Option<String>,
    /// The channel binding of the TLS connection, if there is one, which is sent in `MsvAvChannelBindings`.
    pub channel_binding: Option<ChannelBinding>,
}

/// The random bytes that an Authenticate requires.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The random challenge of the client.
    pub client_challenge: [u8; 8],
    /// The session key that the initiator chooses if KEY_EXCH is negotiated.
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
/// The key is not available before the Challenge has been answered:
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

/// The state before anything is sent.
pub struct Start(());

/// The state after the Negotiate was sent. The Challenge is expected.
pub struct AwaitingChallenge {
    negotiate: Vec<u8>,
}

/// The state after the Authenticate was sent.
pub struct Done {
    flags: NegotiateFlags,
    session_key: [u8; 16],
}

/// The reason why a Challenge was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiatorError {
    /// The Challenge cannot be decoded.
    #[error("the client refuses the server's Challenge: {0}")]
    Decode(#[from] DecodeError),
    /// A field of the Authenticate would be longer than its 16-bit length can express.
    #[error("{field} would have {len} bytes, more than the 65,535 that an Authenticate message can carry")]
    TooLong {
        /// The name of the field.
        field: &'static str,
        /// The length of the field in bytes.
        len: usize,
    },
}

impl Initiator<Start> {
    /// Creates the initiator of a new handshake.
    pub fn new(config: impl Into<Arc<InitiatorConfig>>) -> Self {
        Self { config: config.into(), state: Start(()) }
    }

    /// Returns the Negotiate message to send.
    pub fn negotiate(self) -> (Vec<u8>, Initiator<AwaitingChallenge>) {
        let NtlmProfile { flags, version, .. } = self.config.profile;
        let negotiate = Negotiate { flags, version, ..Negotiate::default() }.encode();
        let state = AwaitingChallenge { negotiate: negotiate.clone() };
        (negotiate, Initiator { config: self.config, state })
    }
}

impl Initiator<AwaitingChallenge> {
    /// Returns the Authenticate message that answers `challenge`.
    ///
    /// # Errors
    /// The Challenge is malformed, or too long to be answered.
    pub fn authenticate(
        self,
        challenge: &[u8],
        nonces: Nonces,
        now: FileTime,
    ) -> Result<(Vec<u8>, Initiator<Done>), InitiatorError> {
        let decoded = Challenge::decode(challenge)?;
        let flags = self.config.authenticate_flags(decoded.flags);
        let responses = self.config.responses(&decoded, flags, nonces, now)?;
        // A client that echoes flags (curl) may repeat a KEY_EXCH that it neither offered nor carries out.
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
    /// Returns the exported session key (MS-NLMP 3.1.5.1.2).
    pub fn session_key(&self) -> [u8; 16] {
        self.state.session_key
    }

    /// Returns the negotiated flags.
    pub fn flags(&self) -> NegotiateFlags {
        self.state.flags
    }

    /// Returns the configuration of the handshake.
    pub fn config(&self) -> &InitiatorConfig {
        &self.config
    }
}

/// Returns whether the initiator sends its own session key (MS-NLMP 3.1.5.1.2, 3.2.5.1.2).
pub(super) fn exchanges_key(flags: NegotiateFlags) -> bool {
    flags.contains(NegotiateFlags::KEY_EXCH) && flags.intersects(NegotiateFlags::SIGN | NegotiateFlags::SEAL)
}

impl Credentials {
    /// Creates the credentials of an account from its password. `domain` may be empty; in this case, `user` may be
    /// `name@realm`.
    pub fn new(user: &str, domain: &str, password: &str) -> Self {
        Self { lm_hash: crypto::lmowf_v1(password), ..Self::from_hash(user, domain, crypto::ntowf_v1(password)) }
    }

    /// Creates the credentials of an account from its NTOWFv1 hash, without an LM hash.
    pub fn from_hash(user: &str, domain: &str, nt_hash: [u8; 16]) -> Self {
        Self { user: user.into(), domain: domain.into(), nt_hash: Some(nt_hash), lm_hash: None }
    }

    /// Returns the credentials of the anonymous (null) session.
    pub fn anonymous() -> Self {
        Self { user: String::new(), domain: String::new(), nt_hash: None, lm_hash: None }
    }

    /// Returns whether these are the credentials of the null session.
    pub const fn is_anonymous(&self) -> bool {
        self.nt_hash.is_none()
    }

    /// Returns the user's name, which is empty for the null session.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the domain, which may be empty.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}\\{})", self.domain, self.user)
    }
}
