//! One request's way through authentication: what to send next, given what came back.
//!
//! ```text
//!            ┌── no token ──▶ Asked ──401, offer──┐
//! begin ─────┤                                    ▼
//!            └── pre-emptive ──────────────▶ Negotiated ──401, Challenge──▶ Authenticated ──▶ Done
//!                                                 └── 2xx to a probe ──▶ Asked
//! ```
//! Any other answer ends it: that is the request's answer, 401 or not.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::ntlm::initiator::{AwaitingChallenge, Initiator, InitiatorConfig, Nonces};
use stickler_model::Leg;

use crate::profile::{NegotiateBody, UserAgent};

/// The state of one request between its legs.
pub struct Exchange {
    agent: Arc<UserAgent>,
    initiator: Option<Arc<InitiatorConfig>>,
    method: MethodKind,
    state: State,
    /// Whether it started over because the Challenge leg closed the connection.
    started_over: bool,
    /// Whether it was sent again because its connection was lost.
    sent_again: bool,
    /// Whether a probe was answered as if no authentication were needed.
    unasked: bool,
}

/// What there is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Send),
    /// Nothing: the answer that just came is the request's answer.
    Answer,
}

/// An HTTP request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Which leg it is.
    pub leg: Leg,
    /// What its `Authorization` carries.
    pub token: Option<AuthToken>,
    /// What it carries of the body.
    pub body: Body,
    /// Where it goes.
    pub connection: On,
}

/// What an HTTP request carries of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole,
    /// Nothing, where it would carry something later.
    Empty,
}

/// Where an HTTP request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The connection in use.
    Same,
    /// A new connection; the one in use is closed.
    New,
}

/// What matters of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its status.
    pub status: u16,
    /// What its `WWW-Authenticate` offers; empty where the header is absent or malformed.
    pub offers: &'a [AuthToken],
    /// Whether the connection stays open after it.
    pub keeps_alive: bool,
}

/// How a connection was lost before a byte of the answer came.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// Whether the connection had served an answer before: then the server may have closed it
    /// without knowing of this request.
    pub proven: bool,
    /// Whether nothing of the request was sent.
    pub unsent: bool,
}

/// Random bytes and the time, for an Authenticate.
#[derive(Clone, Copy)]
pub struct Fresh {
    /// Random bytes.
    pub nonces: Nonces,
    /// Now.
    pub now: FileTime,
}

/// What matters of a request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodKind {
    /// Whether it may be repeated (RFC 9110 9.2.2).
    pub idempotent: bool,
    /// GET and HEAD, which curl never sends as a probe.
    pub fetches: bool,
}

enum State {
    /// Nothing sent yet, or the answer is there.
    Idle,
    /// Sent without a token.
    Asked,
    /// The Negotiate leg is out.
    Negotiated { scheme: Scheme, initiator: Initiator<AwaitingChallenge>, probe: bool },
    /// The Authenticate leg is out.
    Authenticated,
}

impl Exchange {
    /// A request of this agent; `initiator` is `None` where it has no credentials.
    pub fn new(agent: Arc<UserAgent>, initiator: Option<Arc<InitiatorConfig>>, method: MethodKind) -> Self {
        let state = State::Idle;
        Self { agent, initiator, method, state, started_over: false, sent_again: false, unasked: false }
    }

    /// The first HTTP request, on a connection that the client knows as authenticated or not.
    pub fn begin(&mut self, authenticated: bool) -> Send {
        let scheme = self.agent.schemes.first().filter(|_| self.agent.preemptive && !authenticated);
        match (scheme, self.initiator.clone()) {
            (Some(&scheme), Some(initiator)) => self.negotiate(scheme, initiator, On::Same),
            _ => self.ask(),
        }
    }

    /// The first HTTP request on a connection that is authenticated as another user, the client's
    /// own of before: it begins a handshake in the same scheme at once, for an anonymous request
    /// would be served as that user.
    pub fn begin_anew(&mut self, scheme: Scheme) -> Send {
        match self.initiator.clone() {
            Some(initiator) => self.negotiate(scheme, initiator, On::Same),
            None => self.ask(),
        }
    }

    /// What to do about an answer. `fresh` is asked for only when an Authenticate is made.
    pub fn heard(&mut self, heard: Heard<'_>, fresh: impl FnOnce() -> Fresh) -> Step {
        match (std::mem::replace(&mut self.state, State::Idle), heard.status) {
            (State::Asked, 401) => self.offered(heard),
            (State::Negotiated { scheme, initiator, .. }, 401) => self.challenged(scheme, initiator, heard, fresh),
            // curl, test176: the server asks for no authentication, so the body follows. Once only:
            // a server that then asks after all could else play this game for ever.
            (State::Negotiated { probe: true, .. }, 200..300) if !std::mem::replace(&mut self.unasked, true) => {
                let connection = if heard.keeps_alive { On::Same } else { On::New };
                Step::Send(Send { connection, ..self.ask() })
            }
            _ => Step::Answer,
        }
    }

    /// What to send after a lost connection: all over again on a new one, once, where that is safe
    /// (RFC 9112 9.3.1). That is so when nothing was sent; or when the connection was in use before,
    /// and the request is idempotent or was a probe that carried nothing of it. `None`: give up.
    pub fn lost(&mut self, lost: Lost) -> Option<Send> {
        let probe = matches!(self.state, State::Negotiated { probe: true, .. });
        let safe = lost.unsent || (lost.proven && (self.method.idempotent || probe));
        if !safe || std::mem::replace(&mut self.sent_again, true) {
            self.state = State::Idle;
            return None;
        }
        Some(Send { connection: On::New, ..self.begin(false) })
    }

    /// A 401 to a request without a token: begin the handshake, if the server offers one.
    fn offered(&mut self, heard: Heard<'_>) -> Step {
        let agent = &self.agent;
        let offered = |scheme: &&Scheme| heard.offers.iter().any(|offer| offer.scheme == **scheme);
        let (Some(&scheme), Some(initiator)) = (agent.schemes.iter().find(offered), self.initiator.clone()) else {
            return Step::Answer;
        };
        let same = heard.keeps_alive && !agent.close_after_first_401;
        Step::Send(self.negotiate(scheme, initiator, if same { On::Same } else { On::New }))
    }

    /// A 401 to the Negotiate leg: answer the Challenge, if there is one that can be answered.
    fn challenged(
        &mut self,
        scheme: Scheme,
        initiator: Initiator<AwaitingChallenge>,
        heard: Heard<'_>,
        fresh: impl FnOnce() -> Fresh,
    ) -> Step {
        let mut offers = heard.offers.iter();
        let Some(challenge) = offers.find(|offer| offer.scheme == scheme && !offer.token.is_empty()) else {
            return Step::Answer;
        };
        if !heard.keeps_alive {
            // The challenge is bound to a connection that is gone.
            return match self.initiator.clone().filter(|_| self.agent.starts_over) {
                Some(initiator) if !std::mem::replace(&mut self.started_over, true) => {
                    Step::Send(self.negotiate(scheme, initiator, On::New))
                }
                _ => Step::Answer,
            };
        }
        let Fresh { nonces, now } = fresh();
        match initiator.authenticate(&challenge.token, nonces, now) {
            Ok((token, _)) => {
                self.state = State::Authenticated;
                let token = Some(AuthToken { scheme, token });
                let (leg, body, connection) = (Leg::Authenticate, Body::Whole, On::Same);
                Step::Send(Send { leg, token, body, connection })
            }
            // Agents ignore a challenge that they cannot read, and show the 401.
            Err(_) => Step::Answer,
        }
    }

    fn ask(&mut self) -> Send {
        self.state = State::Asked;
        Send { leg: Leg::Anonymous, token: None, body: Body::Whole, connection: On::Same }
    }

    fn negotiate(&mut self, scheme: Scheme, initiator: Arc<InitiatorConfig>, connection: On) -> Send {
        let (token, initiator) = Initiator::new(initiator).negotiate();
        let probe = self.agent.negotiate_body == NegotiateBody::Probe && !self.method.fetches;
        self.state = State::Negotiated { scheme, initiator, probe };
        let body = if probe { Body::Empty } else { Body::Whole };
        let token = Some(AuthToken { scheme, token });
        Send { leg: Leg::Negotiate, token, body, connection }
    }
}

impl MethodKind {
    /// The kind of this method.
    pub fn of(method: &http::Method) -> Self {
        let fetches = matches!(method.as_str(), "GET" | "HEAD");
        Self { idempotent: method.is_idempotent(), fetches }
    }
}
