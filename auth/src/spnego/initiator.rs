//! The client's side of `Negotiate`: SPNEGO, or a raw token where a client prefers that.

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

/// What a client offers under `Negotiate`.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The list of mechanisms, the preferred first; the first has a token sent at once.
    pub mechanisms: Vec<Mechanism>,
    /// The ticket and how it is used, for Kerberos.
    pub kerberos: Option<Arc<KerberosOffer>>,
    /// The credentials and habits, for NTLM.
    pub ntlm: Option<Arc<NtlmConfig>>,
    /// Send the first mechanism's token without SPNEGO: Windows does so with NTLM as first choice, some
    /// clients with Kerberos.
    pub raw: bool,
}

/// A ticket, and how it is used.
#[derive(Clone, Debug)]
pub struct KerberosOffer {
    /// Flags, binding, mutual authentication, delegation.
    pub config: ap::InitiatorConfig,
    /// The ticket for the service.
    pub credential: Credential,
}

impl InitiatorConfig {
    /// As Windows: with a ticket, both OIDs of Kerberos, NEGOEX and NTLM; without, NTLM by itself.
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

    /// As MIT krb5 and programs on it, such as curl: Kerberos in SPNEGO.
    pub fn mit(kerberos: Arc<KerberosOffer>) -> Self {
        Self { mechanisms: vec![Mechanism::Kerberos], kerberos: Some(kerberos), ntlm: None, raw: false }
    }
}

/// What one token needs of randomness; none of it may be used twice.
#[derive(Clone, Copy)]
pub struct InitiatorNonces {
    /// For an AP-REQ.
    pub kerberos: ap::Nonces,
    /// For an Authenticate.
    pub ntlm: ntlm::initiator::Nonces,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitiatorStep {
    /// Send this token; the server's answer is due.
    Continue(Vec<u8>),
    /// The handshake is complete.
    Done(Established),
}

/// What a client has after a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The package in use.
    pub package: Package,
    /// Whether the server has proved that it knows the session key: by an AP-REP or a mechListMIC.
    pub server_proved: bool,
}

/// Why a client gives up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiatorError {
    /// No mechanism of the list has credentials, or the first has none.
    #[error("there are no credentials for the first mechanism of the list")]
    NoCredentials,
    /// The server's token does not decode.
    #[error("the SPNEGO token is malformed: {0}")]
    Malformed(#[from] DerError),
    /// The server sent a NegTokenInit, or a token when none was due.
    #[error("the server's token does not belong to this stage of the negotiation")]
    Unexpected,
    /// The server rejected everything.
    #[error("the server rejected the negotiation")]
    Rejected,
    /// The server chose a mechanism that was not offered.
    #[error("the server chose a mechanism that was not offered")]
    NotOffered,
    /// A MIC is due and missing.
    #[error("the server's mechListMIC is missing: a stronger mechanism may have been removed from the list in transit")]
    MissingMic,
    /// A MIC is there and does not match.
    #[error("the server's mechListMIC does not match: the list of mechanisms was altered in transit")]
    BadMic,
    /// NTLM gives up.
    #[error("NTLM failed: {0}")]
    Ntlm(#[from] ntlm::initiator::InitiatorError),
    /// Kerberos gives up; with SKEW the error tells the server's clock.
    #[error("Kerberos failed: {0}")]
    Kerberos(#[from] ap::InitiatorError),
}

/// One handshake of a client.
pub struct Initiator {
    config: Arc<InitiatorConfig>,
    /// DER of the list of mechanisms.
    mech_types: Vec<u8>,
    /// Whether the server asked for MICs, or chose another mechanism than the first.
    mic_required: bool,
    /// Whether the server has answered: only its first answer names a mechanism (RFC 4178 4.2.2).
    answered: bool,
    state: State,
}

enum State {
    Start,
    /// NTLM's Negotiate is out.
    Ntlm(ntlm::initiator::Initiator<AwaitingChallenge>),
    /// NTLM's Authenticate is out; with the key that signed it, and whether the server must sign too.
    NtlmSent(Option<MicKey>, bool),
    /// The AP-REQ is out.
    Kerberos(ap::Initiator),
    /// Kerberos is through, and our MIC is out.
    KerberosSigned(MicKey, bool),
    Done,
}

impl Initiator {
    /// A fresh handshake.
    pub fn new(config: impl Into<Arc<InitiatorConfig>>) -> Self {
        let config = config.into();
        let mech_types = mech_types_der(&config.mechanisms);
        Self { config, mech_types, mic_required: false, answered: false, state: State::Start }
    }

    /// The first token.
    ///
    /// # Errors
    /// Without credentials for the first mechanism.
    pub fn start(&mut self, nonces: InitiatorNonces, now: FileTime) -> Result<Vec<u8>, InitiatorError> {
        let first = self.config.mechanisms.first().and_then(|mechanism| mechanism.package());
        let token = self.begin(first.ok_or(InitiatorError::NoCredentials)?, nonces, now)?;
        Ok(if self.config.raw { token } else { encode_init(&self.mech_types, Some(&token)) })
    }

    /// The package whose token was sent last; `None` before the first and after the end.
    pub const fn package(&self) -> Option<Package> {
        match self.state {
            State::Ntlm(_) | State::NtlmSent(..) => Some(Package::Ntlm),
            State::Kerberos(_) | State::KerberosSigned(..) => Some(Package::Kerberos),
            State::Start | State::Done => None,
        }
    }

    /// Takes the server's token.
    ///
    /// # Errors
    /// A rejection, a token that is not due, a MIC that is missing or wrong. The handshake is over.
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

    /// The end of a handshake whose last answer came without a token: a raw Authenticate, a raw AP-REQ
    /// without mutual authentication, or a server that has sent its MIC already.
    ///
    /// # Errors
    /// When the server still had something to prove.
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

    /// The first token of a package.
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

    /// Where the server chose another package than the one whose token it got: that one's first token.
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

    /// A MIC that can go with an AP-REQ: no AP-REP will bring another key.
    fn early_mic(&self) -> Option<Vec<u8>> {
        match &self.state {
            State::Kerberos(initiator) if !initiator.is_mutual() => {
                MicKey::Kerberos(initiator.context()).sign(Sender::Initiator, &self.mech_types)
            }
            _ => None,
        }
    }

    /// The Authenticate that answers `challenge`; the key, if this handshake is to be signed: where NTLM
    /// has a MIC, since "otherwise Windows servers get confused and fail the authentication" (gss-ntlmssp,
    /// `src/gssapi_ntlmssp.h`), or the server asked; whether the server must sign too. Without SIGN its MIC proves nothing, and
    /// Samba's sends none.
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

    /// Whether the server has proved itself by its MIC, which it must have sent where one is required.
    fn check_mic(&self, key: Option<MicKey>, mic: Option<&[u8]>, required: bool) -> Result<bool, InitiatorError> {
        match (key, mic) {
            (Some(key), Some(mic)) if key.verify(Sender::Acceptor, &self.mech_types, mic) => Ok(key.proves()),
            (Some(_), Some(_)) => Err(InitiatorError::BadMic),
            (_, None) if required => Err(InitiatorError::MissingMic),
            _ => Ok(false),
        }
    }

    /// Without SPNEGO: the mechanism's tokens as they are.
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

/// The end of a handshake whose last token of ours is out.
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

/// A client's NegTokenResp.
fn incomplete(token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    NegTokenResp {
        state: Some(NegState::AcceptIncomplete),
        supported_mech: None,
        response_token: token,
        mech_list_mic: mic,
    }
    .encode()
}
