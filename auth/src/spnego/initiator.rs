//! The client's side of `Negotiate`: SPNEGO, or raw tokens for clients that use them.

use std::sync::Arc;

use super::mic::MicKey;
use super::token::{NegState, NegTokenResp, Token, encode_init, mech_types_der};
use super::{Mechanism, Package};
use crate::FileTime;
use crate::der::DerError;
use crate::kerberos::gss::Sender;
use crate::kerberos::{Credential, ap};
use crate::ntlm;
use crate::ntlm::initiator::{AwaitingChallenge, InitiatorConfig as NtlmConfig};

/// The offer of a client under `Negotiate`.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The list of mechanisms, the preferred one first. A token of the first mechanism is sent at once.
    pub mechanisms: Vec<Mechanism>,
    /// The ticket for Kerberos and its use.
    pub kerberos: Option<Arc<KerberosOffer>>,
    /// The credentials and the profile for NTLM.
    pub ntlm: Option<Arc<NtlmConfig>>,
    /// Whether the first mechanism's token is sent without SPNEGO. Windows does so if NTLM is its first choice, and
    /// some clients do so with Kerberos.
    pub raw: bool,
}

/// A ticket and its use.
#[derive(Clone, Debug)]
pub struct KerberosOffer {
    /// The flags, channel binding, mutual authentication and delegation.
    pub config: ap::InitiatorConfig,
    /// The ticket for the service.
    pub credential: Credential,
}

impl InitiatorConfig {
    /// Returns the configuration of Windows. With a ticket it offers both OIDs of Kerberos, NEGOEX and NTLM; without a
    /// ticket it sends raw NTLM.
    pub fn windows(kerberos: Option<Arc<KerberosOffer>>, ntlm: Option<Arc<NtlmConfig>>) -> Self {
        let mut mechanisms = Vec::new();
        if kerberos.is_some() {
            mechanisms.extend([Mechanism::MsKerberos, Mechanism::Kerberos, Mechanism::NegoEx]);
        }
        if ntlm.is_some() {
            mechanisms.push(Mechanism::Ntlm);
        }
        Self { raw: kerberos.is_none(), mechanisms, kerberos, ntlm }
    }

    /// Returns the configuration of MIT krb5 and of programs that use it, such as curl: Kerberos in SPNEGO.
    pub fn mit(kerberos: Arc<KerberosOffer>) -> Self {
        Self { mechanisms: vec![Mechanism::Kerberos], kerberos: Some(kerberos), ntlm: None, raw: false }
    }
}

/// The random bytes that one token needs. None of them may be used twice.
#[derive(Clone, Copy)]
pub struct InitiatorNonces {
    /// The random bytes for an AP-REQ.
    pub kerberos: ap::Nonces,
    /// The random bytes for an Authenticate.
    pub ntlm: ntlm::initiator::Nonces,
}

/// The next step of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitiatorStep {
    /// The caller sends this token and waits for the server's answer.
    Continue(Vec<u8>),
    /// The handshake is complete.
    Done(Established),
}

/// The result of a handshake for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The package in use.
    pub package: Package,
    /// Whether the server has proved with an AP-REP or a mechListMIC that it knows the session key.
    pub server_proved: bool,
}

/// The reason why a client gives up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiatorError {
    /// There are no credentials for any mechanism of the list, or none for the first one.
    #[error("there are no credentials for the first mechanism of the list")]
    NoCredentials,
    /// The server's token cannot be decoded.
    #[error("the SPNEGO token is malformed: {0}")]
    Malformed(#[from] DerError),
    /// The server sent a NegTokenInit, or a token when none was expected.
    #[error("the server's token does not belong to this stage of the negotiation")]
    Unexpected,
    /// The server rejected every mechanism.
    #[error("the server rejected the negotiation")]
    Rejected,
    /// The server chose a mechanism that was not offered.
    #[error("the server chose a mechanism that was not offered")]
    NotOffered,
    /// A required MIC is missing.
    #[error("the server's mechListMIC is missing: a stronger mechanism may have been removed from the list in transit")]
    MissingMic,
    /// A MIC does not match.
    #[error("the server's mechListMIC does not match: the list of mechanisms was altered in transit")]
    BadMic,
    /// NTLM failed.
    #[error("NTLM failed: {0}")]
    Ntlm(#[from] ntlm::initiator::InitiatorError),
    /// Kerberos failed. After SKEW, the error has the server's clock.
    #[error("Kerberos failed: {0}")]
    Kerberos(#[from] ap::InitiatorError),
}

/// The client's side of one handshake.
pub struct Initiator {
    config: Arc<InitiatorConfig>,
    /// The list of mechanisms in DER.
    mech_types: Vec<u8>,
    /// Whether the server asked for MICs, or chose a mechanism other than the first.
    mic_required: bool,
    /// Whether the server has answered. Only its first answer names a mechanism (RFC 4178 4.2.2).
    answered: bool,
    state: State,
}

enum State {
    Start,
    /// NTLM's Negotiate was sent.
    Ntlm(ntlm::initiator::Initiator<AwaitingChallenge>),
    /// NTLM's Authenticate was sent. The fields are the key that signed it, and whether the server must sign too.
    NtlmSent(Option<MicKey>, bool),
    /// The AP-REQ was sent.
    Kerberos(ap::Initiator),
    /// Kerberos has succeeded, and the client's MIC was sent.
    KerberosSigned(MicKey, bool),
    Done,
}

impl Initiator {
    /// Creates the initiator of a new handshake.
    pub fn new(config: impl Into<Arc<InitiatorConfig>>) -> Self {
        let config = config.into();
        let mech_types = mech_types_der(&config.mechanisms);
        Self { config, mech_types, mic_required: false, answered: false, state: State::Start }
    }

    /// Returns the first token.
    ///
    /// # Errors
    /// There are no credentials for the first mechanism.
    pub fn start(&mut self, nonces: InitiatorNonces, now: FileTime) -> Result<Vec<u8>, InitiatorError> {
        let first = self.config.mechanisms.first().and_then(|mechanism| mechanism.package());
        let token = self.begin(first.ok_or(InitiatorError::NoCredentials)?, nonces, now)?;
        Ok(if self.config.raw { token } else { encode_init(&self.mech_types, Some(&token)) })
    }

    /// Returns the package whose token was sent last. It is `None` before the first token and after the end.
    pub const fn package(&self) -> Option<Package> {
        match self.state {
            State::Ntlm(_) | State::NtlmSent(..) => Some(Package::Ntlm),
            State::Kerberos(_) | State::KerberosSigned(..) => Some(Package::Kerberos),
            State::Start | State::Done => None,
        }
    }

    /// Takes the server's token. After an error, the handshake is over.
    ///
    /// # Errors
    /// The server rejected the client, sent a token that was not expected, or a MIC is missing or wrong.
    pub fn step(
        &mut self,
        token: &[u8],
        nonces: InitiatorNonces,
        now: FileTime,
    ) -> Result<InitiatorStep, InitiatorError> {
        if self.config.raw {
            return self.raw_step(token, nonces, now);
        }
        let Token::Resp(resp) = Token::decode(token)? else { return Err(InitiatorError::Unexpected) };
        if resp.state == Some(NegState::RequestMic) {
            self.mic_required = true;
        }
        if let Some(switched) = self.switch(resp, nonces, now)? {
            return Ok(switched);
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Start | State::Done => Err(InitiatorError::Unexpected),
            _ if resp.state == Some(NegState::Reject) && resp.response_token.is_none() => Err(InitiatorError::Rejected),
            State::Ntlm(initiator) => {
                let challenge = resp.response_token.ok_or(InitiatorError::Unexpected)?;
                let (authenticate, key, required) = self.authenticate(initiator, challenge, nonces, now)?;
                let mic = key.and_then(|key| key.sign(Sender::Initiator, &self.mech_types));
                self.state = State::NtlmSent(key, required);
                Ok(InitiatorStep::Continue(incomplete(Some(&authenticate), mic.as_deref())))
            }
            State::NtlmSent(key, required) => {
                let proved = self.check_mic(key, resp.mech_list_mic, required)?;
                finished(resp, Package::Ntlm, proved)
            }
            State::Kerberos(initiator) => self.kerberos_reply(&initiator, resp),
            State::KerberosSigned(key, mutual) => {
                let proved = self.check_mic(Some(key), resp.mech_list_mic, false)?;
                finished(resp, Package::Kerberos, proved || mutual)
            }
        }
    }

    /// Ends a handshake whose last answer has no token. This happens after a raw Authenticate, after a raw AP-REQ
    /// without mutual authentication, or if the server had already sent its MIC.
    ///
    /// # Errors
    /// The server has not yet proved its identity.
    pub fn finish_without_token(&mut self) -> Result<Established, InitiatorError> {
        let established = |package, server_proved| Ok(Established { package, server_proved });
        match std::mem::replace(&mut self.state, State::Done) {
            State::NtlmSent(_, true) => Err(InitiatorError::MissingMic),
            State::NtlmSent(_, false) => established(Package::Ntlm, false),
            State::KerberosSigned(_, proved) => established(Package::Kerberos, proved),
            State::Kerberos(initiator) if !initiator.is_mutual() && !self.mic_required => {
                established(Package::Kerberos, false)
            }
            State::Start | State::Ntlm(_) | State::Kerberos(_) | State::Done => Err(InitiatorError::Unexpected),
        }
    }

    /// Returns the first token of a package.
    fn begin(&mut self, package: Package, nonces: InitiatorNonces, now: FileTime) -> Result<Vec<u8>, InitiatorError> {
        match package {
            Package::Kerberos => {
                let offer = self.config.kerberos.as_ref().ok_or(InitiatorError::NoCredentials)?;
                let (token, initiator) = ap::Initiator::start(&offer.config, &offer.credential, nonces.kerberos, now);
                self.state = State::Kerberos(initiator);
                Ok(token)
            }
            Package::Ntlm => {
                let config = self.config.ntlm.clone().ok_or(InitiatorError::NoCredentials)?;
                let (token, initiator) = ntlm::initiator::Initiator::new(config).negotiate();
                self.state = State::Ntlm(initiator);
                Ok(token)
            }
        }
    }

    /// Returns the first token of the package that the server chose, if the server has received a token of the other
    /// package.
    fn switch(
        &mut self,
        resp: NegTokenResp<'_>,
        nonces: InitiatorNonces,
        now: FileTime,
    ) -> Result<Option<InitiatorStep>, InitiatorError> {
        let first = !std::mem::replace(&mut self.answered, true);
        let Some(oid) = resp.supported_mech.filter(|_| first) else { return Ok(None) };
        let offered = |mechanism: &Mechanism| self.config.mechanisms.contains(mechanism);
        let mechanism = Mechanism::from_oid(oid).filter(offered).ok_or(InitiatorError::NotOffered)?;
        let package = mechanism.package().ok_or(InitiatorError::NotOffered)?;
        if self.package() == Some(package) {
            return Ok(None);
        }
        if resp.response_token.is_some() || resp.state == Some(NegState::AcceptCompleted) {
            return Err(InitiatorError::Unexpected);
        }
        self.mic_required = true;
        let token = self.begin(package, nonces, now)?;
        let mic = self.early_mic();
        Ok(Some(InitiatorStep::Continue(incomplete(Some(&token), mic.as_deref()))))
    }

    /// Returns a MIC that can be sent with an AP-REQ, because there is no AP-REP that could bring another key.
    fn early_mic(&self) -> Option<Vec<u8>> {
        match &self.state {
            State::Kerberos(initiator) if !initiator.is_mutual() => {
                MicKey::Kerberos(initiator.context()).sign(Sender::Initiator, &self.mech_types)
            }
            _ => None,
        }
    }

    /// Returns the Authenticate that answers `challenge`, the key if this handshake must be signed, and whether the
    /// server must sign too.
    ///
    /// A handshake is signed if NTLM has a MIC, since "otherwise Windows servers get confused and fail the
    /// authentication" (gss-ntlmssp, `src/gssapi_ntlmssp.h`), or if the server asked for it. Without SIGN, the server's
    /// MIC proves nothing, and Samba sends none.
    fn authenticate(
        &self,
        initiator: ntlm::initiator::Initiator<AwaitingChallenge>,
        challenge: &[u8],
        nonces: InitiatorNonces,
        now: FileTime,
    ) -> Result<(Vec<u8>, Option<MicKey>, bool), InitiatorError> {
        let (message, done) = initiator.authenticate(challenge, nonces.ntlm, now)?;
        let signs = done.config().sends_mic() || self.mic_required;
        let keyed = signs && !done.config().credentials.is_anonymous();
        let key = keyed.then(|| MicKey::Ntlm(done.flags(), done.session_key()));
        let required = key.is_some_and(|key| key.proves());
        Ok((message, key, required))
    }

    fn kerberos_reply(
        &mut self,
        initiator: &ap::Initiator,
        resp: NegTokenResp<'_>,
    ) -> Result<InitiatorStep, InitiatorError> {
        let (context, mutual) = match resp.response_token {
            Some(token) => {
                let done = initiator.finish(token)?;
                (done.context, done.mutual)
            }
            None if initiator.is_mutual() => return Err(InitiatorError::Unexpected),
            None => (initiator.context(), false),
        };
        if resp.state == Some(NegState::Reject) {
            return Err(InitiatorError::Rejected);
        }
        let key = MicKey::Kerberos(context);
        let complete = resp.state == Some(NegState::AcceptCompleted);
        let proved = self.check_mic(Some(key), resp.mech_list_mic, complete && self.mic_required)?;
        if complete {
            return Ok(done(Package::Kerberos, mutual || proved));
        }
        let mic = key.sign(Sender::Initiator, &self.mech_types);
        self.state = State::KerberosSigned(key, mutual || proved);
        Ok(InitiatorStep::Continue(incomplete(None, mic.as_deref())))
    }

    /// Returns whether the server has proved its identity by its MIC. A required MIC must have been sent.
    fn check_mic(&self, key: Option<MicKey>, mic: Option<&[u8]>, required: bool) -> Result<bool, InitiatorError> {
        match (key, mic) {
            (Some(key), Some(mic)) if key.verify(Sender::Acceptor, &self.mech_types, mic) => Ok(key.proves()),
            (Some(_), Some(_)) => Err(InitiatorError::BadMic),
            (_, None) if required => Err(InitiatorError::MissingMic),
            _ => Ok(false),
        }
    }

    /// Takes a raw token, which is not inside SPNEGO.
    fn raw_step(
        &mut self,
        token: &[u8],
        nonces: InitiatorNonces,
        now: FileTime,
    ) -> Result<InitiatorStep, InitiatorError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Ntlm(initiator) => {
                let (message, ..) = self.authenticate(initiator, token, nonces, now)?;
                self.state = State::NtlmSent(None, false);
                Ok(InitiatorStep::Continue(message))
            }
            State::Kerberos(initiator) => {
                let mutual = initiator.finish(token)?.mutual;
                Ok(done(Package::Kerberos, mutual))
            }
            State::Start | State::NtlmSent(..) | State::KerberosSigned(..) | State::Done => {
                Err(InitiatorError::Unexpected)
            }
        }
    }
}

const fn done(package: Package, server_proved: bool) -> InitiatorStep {
    InitiatorStep::Done(Established { package, server_proved })
}

/// Ends a handshake after the client's last token was sent.
const fn finished(
    resp: NegTokenResp<'_>,
    package: Package,
    server_proved: bool,
) -> Result<InitiatorStep, InitiatorError> {
    match resp.state {
        Some(NegState::AcceptCompleted) | None => Ok(done(package, server_proved)),
        Some(NegState::Reject) => Err(InitiatorError::Rejected),
        Some(NegState::AcceptIncomplete | NegState::RequestMic) => Err(InitiatorError::Unexpected),
    }
}

/// Returns a NegTokenResp of the client.
fn incomplete(token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    NegTokenResp {
        state: Some(NegState::AcceptIncomplete),
        supported_mech: None,
        response_token: token,
        mech_list_mic: mic,
    }
    .encode()
}
