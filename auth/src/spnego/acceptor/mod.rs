//! The server's side of `Negotiate`: SPNEGO, raw NTLM and raw Kerberos.
//!
//! The acceptor never sees a hash, as with NTLM alone: it returns a logon request and is resumed with the reply.
//! Kerberos needs no DC, but it needs the host's [`ReplayCache`].

use std::sync::Arc;

use super::mic::MicKey;
use super::token::{NegState, NegTokenInit, NegTokenResp, Token};
use super::{Mechanism, Package};
use crate::FileTime;
use crate::channel_binding::ChannelBinding;
use crate::http::{TokenKind, token_kind};
use crate::kerberos::ap::{self, ReplayCache};
use crate::kerberos::gss::Sender;
use crate::kerberos::status::KrbErrorCode;
use crate::logon::LogonReply;
use crate::ntlm;

mod outcome;

pub use outcome::{Authenticated, Identity, Refusal, Rejected, Step};

/// The configuration of a server that accepts `Negotiate`.
#[derive(Clone, Debug)]
pub struct AcceptorConfig {
    /// The configuration of NTLM, or `None` for the provider `Negotiate:Kerberos`.
    pub ntlm: Option<Arc<ntlm::acceptor::AcceptorConfig>>,
    /// The configuration of Kerberos, or `None` for a machine without keys.
    pub kerberos: Option<Arc<ap::AcceptorConfig>>,
}

impl AcceptorConfig {
    const fn enables(&self, package: Package) -> bool {
        match package {
            Package::Ntlm => self.ntlm.is_some(),
            Package::Kerberos => self.kerberos.is_some(),
        }
    }
}

/// The random bytes that one token needs. None of them may be used twice.
#[derive(Clone, Copy)]
pub struct Nonces {
    /// The server challenge of NTLM.
    pub server_challenge: [u8; 8],
    /// The random bytes for an AP-REP.
    pub kerberos: ap::Nonces,
}

/// The acceptor of one connection.
pub struct Acceptor {
    config: Arc<AcceptorConfig>,
    binding: Option<ChannelBinding>,
    ntlm: Option<ntlm::acceptor::Acceptor>,
    state: State,
}

/// The state of the handshake. `None` in place of a session means raw tokens without SPNEGO.
enum State {
    /// No handshake is pending.
    Idle,
    /// NTLM's Challenge was sent.
    Challenged(Option<Session>),
    /// The DC is being asked. The client's MIC is kept until its key is known.
    AwaitingLogon(Option<Session>, Option<Vec<u8>>),
    /// A mechanism is chosen, and its first token is expected.
    Chosen(Session),
    /// Kerberos has accepted, and the client's MIC is expected.
    AwaitingMic(Session, Box<ap::Accepted>),
}

/// The result of the SPNEGO negotiation.
struct Session {
    /// The list of mechanisms in DER, which the MIC covers.
    mech_types: Vec<u8>,
    mechanism: Mechanism,
    /// Whether the answer that names the mechanism is still to be sent.
    first: bool,
    /// Whether both sides must send a MIC, because the client's first choice was not accepted (RFC 4178 5).
    mic_required: bool,
}

impl Acceptor {
    /// Creates the acceptor of a connection. `binding` is the channel binding of its TLS session, if there is one.
    pub fn new(config: impl Into<Arc<AcceptorConfig>>, binding: Option<ChannelBinding>) -> Self {
        let config = config.into();
        let ntlm = config.ntlm.clone().map(|ntlm| ntlm::acceptor::Acceptor::new(ntlm, binding));
        Self { config, binding, ntlm, state: State::Idle }
    }

    /// Takes a token from the client. `now` is the server's clock, and `replays` is the host's replay cache.
    ///
    /// A first token begins a new handshake at any time. After a failure, no handshake is pending, unless the failure
    /// is [`Rejected::recoverable`].
    pub fn accept(&mut self, token: &[u8], nonces: Nonces, now: FileTime, replays: &mut ReplayCache) -> Step {
        let mut turn = Turn { nonces, now, replays };
        let state = std::mem::replace(&mut self.state, State::Idle);
        match (token_kind(token), state) {
            (TokenKind::NtlmNegotiate, _) => self.ntlm(None, token, None, &mut turn),
            (TokenKind::NtlmAuthenticate | TokenKind::NtlmChallenge, State::Challenged(None)) => {
                self.ntlm(None, token, None, &mut turn)
            }
            (TokenKind::NtlmAuthenticate | TokenKind::NtlmChallenge, _) => refused(Refusal::NoContext, None),
            (TokenKind::Kerberos, _) => self.kerberos(None, token, None, &mut turn),
            (TokenKind::Unknown, _) => refused(Refusal::UnknownToken, None),
            (TokenKind::Spnego, state) => match Token::decode(token) {
                Err(error) => refused(error.into(), None),
                Ok(Token::Init(init)) => self.begin(&init, &mut turn),
                Ok(Token::Resp(resp)) => self.go_on(state, resp, &mut turn),
            },
        }
    }

    /// Takes the answer to the last [`Step::NeedLogon`].
    pub fn resume(&mut self, reply: &LogonReply) -> Step {
        match (std::mem::replace(&mut self.state, State::Idle), &mut self.ntlm) {
            (State::AwaitingLogon(session, mic), Some(ntlm)) => {
                let step = ntlm.resume(reply);
                self.ntlm_step(session, step, mic.as_deref())
            }
            (other, _) => {
                self.state = other;
                refused(ntlm::acceptor::Refusal::UnexpectedReply.into(), None)
            }
        }
    }

    /// Drops a pending handshake.
    pub fn reset(&mut self) {
        self.state = State::Idle;
        if let Some(ntlm) = &mut self.ntlm {
            ntlm.reset();
        }
    }

    /// Returns whether a handshake has begun and not ended.
    pub const fn is_pending(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Chooses the client's first mechanism that is enabled here. The client's token is used only if it belongs to the
    /// first mechanism of the list (RFC 4178 4.2.1); both OIDs of Kerberos count as the same mechanism.
    fn begin(&mut self, init: &NegTokenInit<'_>, turn: &mut Turn<'_>) -> Step {
        let enabled = |oid: &&[u8]| {
            let mechanism = Mechanism::from_oid(oid)?;
            mechanism.package().filter(|package| self.config.enables(*package)).map(|_| mechanism)
        };
        let chosen = init.mech_types.iter().enumerate().find_map(|(at, oid)| Some((at, enabled(oid)?)));
        let Some((at, mechanism)) = chosen else {
            let token = NegTokenResp { state: Some(NegState::Reject), ..NegTokenResp::default() };
            return rejected(Refusal::NoMechanism, token.encode());
        };
        let mech_types = init.mech_types_der.to_vec();
        let session = Session { mech_types, mechanism, first: true, mic_required: at != 0 };
        if let Some(token) = init.mech_token.filter(|_| at == 0) {
            return self.feed(session, token, init.mech_list_mic, turn);
        }
        let state = if at == 0 { NegState::AcceptIncomplete } else { NegState::RequestMic };
        let token =
            NegTokenResp { state: Some(state), supported_mech: Some(mechanism.oid()), ..NegTokenResp::default() };
        self.state = State::Chosen(Session { first: false, ..session });
        Step::Continue(token.encode())
    }

    fn go_on(&mut self, state: State, resp: NegTokenResp<'_>, turn: &mut Turn<'_>) -> Step {
        match (state, resp.response_token) {
            (State::Chosen(session) | State::Challenged(Some(session)), Some(token)) => {
                self.feed(session, token, resp.mech_list_mic, turn)
            }
            (State::Chosen(session) | State::Challenged(Some(session)), None) => {
                refused(Refusal::NoToken, Some(&session))
            }
            (State::AwaitingMic(session, accepted), _) => match resp.mech_list_mic {
                Some(mic) => conclude_kerberos(Some(&session), accepted, Some(mic), true),
                None => refused(Refusal::MissingMic, Some(&session)),
            },
            (State::Idle | State::Challenged(None) | State::AwaitingLogon(..), _) => refused(Refusal::NoContext, None),
        }
    }

    /// Passes a token to the chosen mechanism.
    fn feed(&mut self, session: Session, token: &[u8], mic: Option<&[u8]>, turn: &mut Turn<'_>) -> Step {
        match session.mechanism {
            Mechanism::Kerberos | Mechanism::MsKerberos => self.kerberos(Some(session), token, mic, turn),
            Mechanism::Ntlm | Mechanism::NegoEx => self.ntlm(Some(session), token, mic, turn),
        }
    }

    fn ntlm(&mut self, session: Option<Session>, token: &[u8], mic: Option<&[u8]>, turn: &mut Turn<'_>) -> Step {
        let Some(ntlm) = &mut self.ntlm else { return refused(Refusal::Disabled(Package::Ntlm), session.as_ref()) };
        let step = ntlm.accept(token, turn.nonces.server_challenge, turn.now);
        self.ntlm_step(session, step, mic)
    }

    fn ntlm_step(&mut self, session: Option<Session>, step: ntlm::acceptor::Step, mic: Option<&[u8]>) -> Step {
        match step {
            ntlm::acceptor::Step::Challenge(challenge) => {
                let Some(session) = session else {
                    self.state = State::Challenged(None);
                    return Step::Continue(challenge);
                };
                // NTLM makes a MIC possible, so the acceptor asks for one (MS-SPNG 3.2.5.2).
                let state = if session.first { NegState::RequestMic } else { NegState::AcceptIncomplete };
                let token = NegTokenResp {
                    state: Some(state),
                    supported_mech: session.first.then(|| session.mechanism.oid()),
                    response_token: Some(&challenge),
                    mech_list_mic: None,
                }
                .encode();
                self.state = State::Challenged(Some(Session { first: false, ..session }));
                Step::Continue(token)
            }
            ntlm::acceptor::Step::NeedLogon(request) => {
                self.state = State::AwaitingLogon(session, mic.map(<[u8]>::to_vec));
                Step::NeedLogon(request)
            }
            ntlm::acceptor::Step::Authenticated(done) => conclude_ntlm(session.as_ref(), done, mic),
            ntlm::acceptor::Step::Refused(refusal) => refused(refusal.into(), session.as_ref()),
        }
    }

    fn kerberos(&mut self, session: Option<Session>, token: &[u8], mic: Option<&[u8]>, turn: &mut Turn<'_>) -> Step {
        let Some(config) = &self.config.kerberos else {
            return refused(Refusal::Disabled(Package::Kerberos), session.as_ref());
        };
        match ap::accept(config, self.binding, token, turn.nonces.kerberos, turn.now, turn.replays) {
            Ok(accepted) => {
                let accepted = Box::new(accepted);
                match session {
                    Some(session) if session.mic_required && mic.is_none() => self.ask_for_mic(session, accepted),
                    session => conclude_kerberos(session.as_ref(), accepted, mic, false),
                }
            }
            Err(error) => self.kerberos_refused(session, error),
        }
    }

    /// Asks for the client's MIC after Kerberos has succeeded. The client could not sign earlier, because it needed the
    /// AP-REP.
    fn ask_for_mic(&mut self, session: Session, accepted: Box<ap::Accepted>) -> Step {
        let mic = MicKey::Kerberos(accepted.context).sign(Sender::Acceptor, &session.mech_types);
        let token = NegTokenResp {
            state: Some(NegState::AcceptIncomplete),
            supported_mech: session.first.then(|| session.mechanism.oid()),
            response_token: accepted.reply.as_deref(),
            mech_list_mic: mic.as_deref(),
        }
        .encode();
        self.state = State::AwaitingMic(session, accepted);
        Step::Continue(token)
    }

    /// Refuses a Kerberos token. A client with a wrong clock learns the right time and may try again (MS-KILE 3.4.5).
    fn kerberos_refused(&mut self, session: Option<Session>, error: ap::Rejected) -> Step {
        let recoverable = error.refusal.krb_error() == Some(KrbErrorCode::SKEW);
        let token = match &session {
            None => error.token,
            Some(session) => NegTokenResp {
                state: Some(if recoverable { NegState::AcceptIncomplete } else { NegState::Reject }),
                supported_mech: session.first.then(|| session.mechanism.oid()),
                response_token: Some(error.token.as_slice()).filter(|token| !token.is_empty()),
                mech_list_mic: None,
            }
            .encode(),
        };
        if let Some(session) = session.filter(|_| recoverable) {
            self.state = State::Chosen(Session { first: false, ..session });
        }
        Step::Refused(Box::new(Rejected { refusal: Refusal::Kerberos(error.refusal), token, recoverable }))
    }
}

/// The arguments that come with one token.
struct Turn<'a> {
    nonces: Nonces,
    now: FileTime,
    replays: &'a mut ReplayCache,
}

/// Ends an NTLM handshake. The list of mechanisms must be signed if the AV flag of a MIC is set, or if NTLM was not the
/// first choice. Otherwise, a signature is checked only if it was sent.
fn conclude_ntlm(session: Option<&Session>, done: Box<ntlm::acceptor::Authenticated>, mic: Option<&[u8]>) -> Step {
    let key = MicKey::Ntlm(done.flags, done.session_key);
    // A guest or null session has no key in common with the server.
    let keyed = !done.guest && !done.anonymous && key.signs();
    let required = |session: &Session| keyed && (session.mic_required || done.mic);
    let mic = mic.filter(|_| keyed);
    let token = match check_mic(session, key, mic, required) {
        Ok(answer) => answer,
        Err(refusal) => return refused(refusal, session),
    };
    let token = session.map(|session| completed(session, None, token.as_deref()));
    authenticated(session, Identity::Ntlm(done), token, mic.is_some())
}

/// Ends a Kerberos handshake. If `answered` is set, the AP-REP and the server's MIC were already sent.
fn conclude_kerberos(
    session: Option<&Session>,
    mut accepted: Box<ap::Accepted>,
    mic: Option<&[u8]>,
    answered: bool,
) -> Step {
    let key = MicKey::Kerberos(accepted.context);
    let own = match check_mic(session, key, mic, |session| session.mic_required) {
        Ok(own) => own,
        Err(refusal) => return refused(refusal, session),
    };
    let token = match session {
        Some(session) if answered => completed(session, None, None),
        Some(session) => completed(session, accepted.reply.as_deref(), own.as_deref()),
        None => accepted.reply.take().unwrap_or_default(),
    };
    authenticated(session, Identity::Kerberos(accepted), Some(token), mic.is_some())
}

/// Checks the client's MIC, and returns the server's MIC if one must be sent.
fn check_mic(
    session: Option<&Session>,
    key: MicKey,
    mic: Option<&[u8]>,
    required: impl Fn(&Session) -> bool,
) -> Result<Option<Vec<u8>>, Refusal> {
    match (session, mic) {
        (None, _) => Ok(None),
        (Some(session), None) => {
            if required(session) {
                Err(Refusal::MissingMic)
            } else {
                Ok(None)
            }
        }
        (Some(session), Some(mic)) => {
            let good = key.verify(Sender::Initiator, &session.mech_types, mic);
            if good { Ok(key.sign(Sender::Acceptor, &session.mech_types)) } else { Err(Refusal::BadMic) }
        }
    }
}

/// Returns the last NegTokenResp.
fn completed(session: &Session, token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    NegTokenResp {
        state: Some(NegState::AcceptCompleted),
        supported_mech: session.first.then(|| session.mechanism.oid()),
        response_token: token,
        mech_list_mic: mic,
    }
    .encode()
}

fn authenticated(session: Option<&Session>, identity: Identity, token: Option<Vec<u8>>, mech_list_mic: bool) -> Step {
    let negotiated = session.map(|session| session.mechanism);
    let mech_list_mic = mech_list_mic && negotiated.is_some();
    Step::Authenticated(Box::new(Authenticated {
        identity,
        token: token.unwrap_or_default(),
        negotiated,
        mech_list_mic,
    }))
}

/// Returns a refusal in the client's framing, which is empty for a raw token.
fn refused(refusal: Refusal, session: Option<&Session>) -> Step {
    let token = NegTokenResp { state: Some(NegState::Reject), ..NegTokenResp::default() };
    rejected(refusal, session.map(|_| token.encode()).unwrap_or_default())
}

fn rejected(refusal: Refusal, token: Vec<u8>) -> Step {
    Step::Refused(Box::new(Rejected { refusal, token, recoverable: false }))
}
