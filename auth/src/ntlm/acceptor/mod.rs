//! The server's side of NTLM (MS-NLMP 3.2.5.1). The state is an enum, since a peer may send any message at any time.
//!
//! The acceptor never sees a hash. It sends a Challenge, returns a [`LogonRequest`] for the DC (or the local SAM), and
//! takes the reply. Then it checks the key exchange, the MIC, the channel binding, the service name and the clock,
//! because no other party has all three messages.
//!
//! [`LogonRequest`]: crate::logon::LogonRequest

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::authenticate::Authenticate;
use super::av::AvPairs;
use super::crypto::{exchange_session_key, mic_matches, v1_key_exchange_key};
use super::flags::NegotiateFlags;
use super::initiator::exchanges_key;
use super::negotiate::Negotiate;
use super::response::NtResponse;
use super::wire::{DecodeError, message_type};
use crate::FileTime;
use crate::channel_binding::ChannelBinding;
use crate::logon::LogonReply;

mod config;
mod outcome;

pub use config::{AcceptorConfig, TargetNames, TokenChecking};
pub use outcome::{Authenticated, Refusal, Step};

/// The acceptor of one connection.
pub struct Acceptor {
    config: Arc<AcceptorConfig>,
    binding: Option<ChannelBinding>,
    state: State,
}

/// The state of the handshake.
enum State {
    /// No handshake is pending.
    Idle,
    /// A Challenge was sent.
    Challenged(Handshake),
    /// An Authenticate was received, and the DC is being asked.
    AwaitingLogon(Handshake, Proof),
}

/// The first two messages, as raw bytes for the MIC, and the result of their negotiation.
struct Handshake {
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
    flags: NegotiateFlags,
    server_challenge: [u8; 8],
}

/// The third message, as raw bytes for the MIC, and the time of its arrival by the server's clock.
struct Proof {
    authenticate: Vec<u8>,
    at: FileTime,
}

impl Acceptor {
    /// Creates the acceptor of a connection. `binding` is the channel binding of its TLS session, if there is one.
    pub fn new(config: impl Into<Arc<AcceptorConfig>>, binding: Option<ChannelBinding>) -> Self {
        Self { config: config.into(), binding, state: State::Idle }
    }

    /// Takes a token from the client. `server_challenge` is 8 fresh random bytes, which are used if the token is a
    /// Negotiate. `now` is the server's clock.
    ///
    /// A Negotiate starts a new handshake at any time. After a failure, no handshake is pending.
    pub fn accept(&mut self, token: &[u8], server_challenge: [u8; 8], now: FileTime) -> Step {
        let state = std::mem::replace(&mut self.state, State::Idle);
        let step = match (message_type(token), state) {
            (Some(1), _) => self.challenge(token, server_challenge, now),
            (_, State::Challenged(handshake)) => self.authenticate(handshake, token, now),
            (Some(3), _) => Err(Refusal::NoContext),
            (Some(got), _) => Err(DecodeError::MessageType { got, expected: 1 }.into()),
            (None, _) => Err(DecodeError::Signature.into()),
        };
        step.unwrap_or_else(Step::Refused)
    }

    /// Takes the DC's reply to the last [`Step::NeedLogon`].
    pub fn resume(&mut self, reply: &LogonReply) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::AwaitingLogon(handshake, proof) => self
                .conclude(&handshake, &proof, reply)
                .map_or_else(Step::Refused, |done| Step::Authenticated(Box::new(done))),
            other => {
                self.state = other;
                Step::Refused(Refusal::UnexpectedReply)
            }
        }
    }

    /// Drops a pending handshake.
    pub fn reset(&mut self) {
        self.state = State::Idle;
    }

    /// Returns whether a handshake is pending: a Challenge was sent, or the DC is being asked.
    pub fn is_pending(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Answers a Negotiate (3.2.5.1.1).
    fn challenge(&mut self, token: &[u8], server_challenge: [u8; 8], now: FileTime) -> Result<Step, Refusal> {
        let negotiate = Negotiate::decode(token)?;
        let flags = self.config.challenge_flags(negotiate.flags)?;
        let challenge = self.config.encode_challenge(flags, server_challenge, now);
        self.state = State::Challenged(Handshake {
            negotiate: token.to_vec(),
            challenge: challenge.clone(),
            flags,
            server_challenge,
        });
        Ok(Step::Challenge(challenge))
    }

    /// Takes an Authenticate (3.2.5.1.2), up to the point where the DC is needed.
    fn authenticate(&mut self, handshake: Handshake, token: &[u8], now: FileTime) -> Result<Step, Refusal> {
        let proof = Proof { authenticate: token.to_vec(), at: now };
        let message = Authenticate::decode(token)?;
        let flags = message.flags & handshake.flags;
        if self.config.require_128bit && !flags.contains(NegotiateFlags::KEY_128) {
            return Err(Refusal::Weak);
        }
        if is_anonymous(&message) {
            if !self.config.allow_anonymous {
                return Err(Refusal::Anonymous);
            }
            let nobody = LogonReply::default();
            let done = self.conclude(&handshake, &proof, &nobody)?;
            return Ok(Step::Authenticated(Box::new(done)));
        }
        let request = self.config.logon_request(&message, flags, handshake.server_challenge)?;
        self.state = State::AwaitingLogon(handshake, proof);
        Ok(Step::NeedLogon(request))
    }

    /// Carries out the server's own checks after the DC's reply. Only the server has all three messages.
    fn conclude(&self, handshake: &Handshake, proof: &Proof, reply: &LogonReply) -> Result<Authenticated, Refusal> {
        if !reply.status.is_success() {
            return Err(Refusal::Logon(reply.status));
        }
        let raw = proof.authenticate.as_slice();
        let message = Authenticate::decode(raw)?;
        let flags = message.flags & handshake.flags;
        let response = NtResponse::decode(message.nt_response)?;
        let session_key = session_key(handshake, &message, response, reply)?;
        let guest = reply.user_flags & LogonReply::GUEST != 0;
        let pairs = match response {
            NtResponse::V2(v2) => v2.av_pairs,
            NtResponse::V1(_) | NtResponse::Empty => AvPairs::default(),
        };
        let mic = pairs.flags() & AvPairs::FLAG_MIC != 0;
        // The server shares no password with a guest, and therefore has no key with which to check a MIC.
        let Handshake { negotiate, challenge, .. } = handshake;
        if mic && !guest && !mic_matches(&session_key, negotiate, challenge, raw) {
            return Err(Refusal::Mic);
        }
        let channel_bound = self.check_channel_binding(pairs)?;
        let target_name = self.config.check_service_name(pairs)?;
        self.config.check_clock(response, proof.at)?;
        Ok(Authenticated {
            domain: reply.domain.clone(),
            user: reply.effective_name.clone(),
            workstation: flags.charset().decode(message.workstation, WORKSTATION)?,
            anonymous: is_anonymous(&message),
            guest,
            sids: reply.sids.clone(),
            session_key,
            flags,
            mic,
            channel_bound,
            target_name,
        })
    }

    /// Returns whether a channel binding was compared and matched.
    fn check_channel_binding(&self, pairs: AvPairs<'_>) -> Result<bool, Refusal> {
        let Some(ours) = self.binding else { return Ok(false) };
        match (self.config.channel_binding, pairs.channel_binding()) {
            (TokenChecking::None, _) | (TokenChecking::Allow, None) => Ok(false),
            (_, Some(theirs)) if ours.0.ct_eq(theirs).into() => Ok(true),
            _ => Err(Refusal::BadBindings),
        }
    }
}

/// The names of fields, for errors.
const WORKSTATION: &str = "Authenticate.Workstation";

/// Returns the session key that both sides now share (3.2.5.1.2).
fn session_key(
    handshake: &Handshake,
    message: &Authenticate<'_>,
    response: NtResponse<'_>,
    reply: &LogonReply,
) -> Result<[u8; 16], Refusal> {
    let flags = message.flags & handshake.flags;
    let base = &reply.session_base_key;
    let key_exchange_key = match response {
        NtResponse::V2(_) => *base,
        NtResponse::Empty if is_anonymous(message) => *base,
        NtResponse::V1(_) | NtResponse::Empty => {
            v1_key_exchange_key(flags, base, &reply.lm_key, message.lm_response, &handshake.server_challenge)
        }
    };
    if !exchanges_key(flags) {
        return Ok(key_exchange_key);
    }
    let sent = message.encrypted_session_key;
    let encrypted = sent.try_into().map_err(|_| Refusal::KeyExchange(sent.len()))?;
    Ok(exchange_session_key(&key_exchange_key, encrypted))
}

/// Returns whether this is a null session (3.2.5.1.2): it has no user and no NT response, and its LM response is empty
/// or a zero byte.
fn is_anonymous(message: &Authenticate<'_>) -> bool {
    message.user.is_empty() && message.nt_response.is_empty() && matches!(message.lm_response, [] | [0])
}
