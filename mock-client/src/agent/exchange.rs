//! The state machine of an [`Exchange`].

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::kerberos::ap;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::ntlm::initiator::{Initiator, InitiatorConfig, Nonces};
use stickler_auth::spnego::{self, InitiatorError, InitiatorNonces, InitiatorStep, KerberosOffer, Package};
use stickler_model::Leg;
use stickler_model::agent::NegotiateBody;
use stickler_model::capabilities::Packages;

use super::{Body, Fresh, Loss, MethodKind, Response, Send, Step, Target};
use crate::profile::UserAgent;

/// The state of one request between its legs.
pub struct Exchange {
    agent: Arc<UserAgent>,
    initiator: Option<Arc<InitiatorConfig>>,
    method: MethodKind,
    /// Whether tickets can be requested.
    kerberos: bool,
    state: State,
    /// The ticket in use.
    offer: Option<Arc<KerberosOffer>>,
    /// Whether the handshake was restarted because the Challenge leg closed the connection.
    started_over: bool,
    /// Whether the request was sent again because its connection was lost.
    sent_again: bool,
    /// Whether a probe was answered as if no authentication were required.
    unasked: bool,
    /// Whether the ticket was presented again with the time of the server's clock.
    corrected: bool,
    /// Whether the server refused the ticket with a KRB-ERROR.
    refused: bool,
    /// Whether the connection is authenticated as the client's previous user.
    of_previous_user: bool,
    /// The schemes that the server has offered.
    offered: Vec<Scheme>,
}

enum State {
    /// Nothing was sent yet, or the exchange has ended.
    Idle,
    /// The request was sent without a token.
    Asked,
    /// A ticket is needed. `answered` says that an answer has arrived, which is the final one if there is no ticket.
    /// `at` is the time to use instead of the client's own clock.
    Wanting { scheme: Scheme, connection: Target, answered: bool, at: Option<FileTime> },
    /// The Negotiate leg was sent.
    Negotiated { scheme: Scheme, probe: bool },
    /// A SPNEGO token was sent.
    Spnego { scheme: Scheme, initiator: Box<spnego::Initiator> },
    /// The Authenticate leg was sent.
    Authenticated,
}

impl Exchange {
    /// Creates the exchange for one request of this agent. `initiator` is `None` if it has no credentials.
    pub fn new(agent: Arc<UserAgent>, initiator: Option<Arc<InitiatorConfig>>, method: MethodKind) -> Self {
        Self {
            agent,
            initiator,
            method,
            kerberos: false,
            state: State::Idle,
            offer: None,
            started_over: false,
            sent_again: false,
            unasked: false,
            corrected: false,
            refused: false,
            of_previous_user: false,
            offered: Vec::new(),
        }
    }

    /// Sets whether tickets can be requested from a KDC, which may or may not answer.
    #[must_use]
    pub fn with_kerberos(mut self, can: bool) -> Self {
        self.kerberos = can && self.initiator.is_some();
        self
    }

    /// Returns whether the server refused the ticket with a KRB-ERROR, in which case the next request needs a fresh
    /// one.
    pub fn ticket_refused(&self) -> bool {
        self.refused
    }

    /// Returns the first step. `authenticated` says whether the client has authenticated on the connection before.
    pub fn begin(&mut self, authenticated: bool) -> Step {
        let scheme = self.agent.schemes.first().filter(|_| self.agent.preemptive && !authenticated);
        match scheme {
            Some(&scheme) if self.initiator.is_some() => self.handshake(scheme, Target::Same, false),
            _ => Step::Send(self.ask(Target::Same)),
        }
    }

    /// Returns the first step on a connection that is not authenticated, where a challenge in this scheme is expected.
    pub fn begin_expecting(&mut self, scheme: Scheme) -> Step {
        match self.initiator {
            Some(_) => self.handshake(scheme, Target::Same, false),
            None => Step::Send(self.ask(Target::Same)),
        }
    }

    /// Returns the first step on a connection that is authenticated as the client's previous user. The step begins a
    /// handshake in the same scheme at once, because an anonymous request would be processed as that user. Without
    /// credentials, the request uses a new connection (curl: `ConnectionExists` in `lib/url.c` reuses no connection
    /// that NTLM or Negotiate authenticated as another user).
    pub fn reauthenticate(&mut self, scheme: Scheme) -> Step {
        self.of_previous_user = true;
        match self.initiator {
            Some(_) => self.handshake(scheme, Target::Same, false),
            None => Step::Send(self.ask(Target::New)),
        }
    }

    /// Takes the ticket that [`Step::Ticket`] asked for, or `None` if none is available.
    pub fn ticket(&mut self, offer: Option<Arc<KerberosOffer>>, fresh: &impl Fresh) -> Step {
        let State::Wanting { scheme, connection, answered, at } = std::mem::replace(&mut self.state, State::Idle)
        else {
            return Step::Answer;
        };
        self.offer = offer;
        if let Some(send) = self.present(scheme, connection, fresh, at.unwrap_or_else(|| fresh.now())) {
            return Step::Send(send);
        }
        match (&self.agent.negotiate, self.initiator.clone()) {
            (Packages::KerberosOrNtlm, Some(initiator)) => Step::Send(self.negotiate(scheme, initiator, connection)),
            _ if answered => self.without_ticket(scheme, connection),
            _ if self.of_previous_user => Step::Send(self.ask(Target::New)),
            _ => Step::Send(self.ask(connection)),
        }
    }

    /// Takes an answer. `fresh` is used only if a token is made.
    pub fn take_response(&mut self, response: Response<'_>, fresh: &impl Fresh) -> Step {
        match (std::mem::replace(&mut self.state, State::Idle), response.status) {
            (State::Asked, 401) => self.offered(response),
            (State::Negotiated { scheme, .. }, 401) => self.challenged(scheme, response, fresh),
            (State::Spnego { scheme, initiator }, 401) => self.continued(scheme, initiator, response, fresh),
            // The server requires no authentication, so the body follows (curl, test176). This happens only once,
            // because a server that then requires authentication would otherwise cause an endless loop.
            (State::Negotiated { probe: true, .. }, 200..300)
                if self.agent.negotiate_body == NegotiateBody::Probe && !std::mem::replace(&mut self.unasked, true) =>
            {
                let stays = response.keeps_alive && !self.of_previous_user;
                Step::Send(self.ask(if stays { Target::Same } else { Target::New }))
            }
            _ => Step::Answer,
        }
    }

    /// Handles the loss of the connection. Sends the request again on a new connection, once, if that is safe (RFC 9112
    /// 9.3.1), and otherwise returns `None`. It is safe if nothing was sent. It is also safe if the connection was in
    /// use before, and the request is idempotent or was a probe, which carries no part of the body.
    pub fn connection_lost(&mut self, loss: Loss) -> Option<Step> {
        let probe = matches!(self.state, State::Negotiated { probe: true, .. });
        let safe = loss.unsent || (loss.proven && (self.method.idempotent || probe));
        if !safe || std::mem::replace(&mut self.sent_again, true) {
            self.state = State::Idle;
            return None;
        }
        let mut step = self.begin(false);
        match (&mut step, &mut self.state) {
            (Step::Send(Send { connection, .. }), _) => *connection = Target::New,
            (Step::Ticket(on), State::Wanting { connection, .. }) => (*on, *connection) = (Target::New, Target::New),
            _ => {}
        }
        Some(step)
    }

    /// Takes a 401 to a request without a token, and begins a handshake if the server offers a known scheme.
    fn offered(&mut self, response: Response<'_>) -> Step {
        let agent = &self.agent;
        self.offered = response.offers.iter().map(|offer| offer.scheme).collect();
        let offered = |scheme: &&Scheme| self.offered.contains(scheme);
        let (Some(&scheme), Some(_)) = (agent.schemes.iter().find(offered), &self.initiator) else {
            return Step::Answer;
        };
        let same = response.keeps_alive && !agent.close_after_first_401;
        self.handshake(scheme, if same { Target::Same } else { Target::New }, true)
    }

    /// Continues after a 401 if there is no ticket for this scheme: with the next scheme that the server has offered,
    /// if the agent does that.
    fn without_ticket(&mut self, scheme: Scheme, connection: Target) -> Step {
        let rest = self.agent.schemes.iter().skip_while(|&&known| known != scheme).skip(1);
        let next = rest.copied().find(|next| self.agent.falls_back && self.offered.contains(next));
        next.map_or(Step::Answer, |next| self.handshake(next, connection, true))
    }

    /// Takes a 401 to the Negotiate leg, and answers the Challenge if there is a valid one.
    fn challenged(&mut self, scheme: Scheme, response: Response<'_>, fresh: &impl Fresh) -> Step {
        let Some(challenge) = token_of(response, scheme) else { return Step::Answer };
        if !response.keeps_alive {
            // The Challenge belongs to a connection that is closed, or to an HTTP/2 connection that the client leaves.
            return match self.initiator.clone().filter(|_| self.agent.starts_over || response.leaves_http2) {
                Some(initiator) if !std::mem::replace(&mut self.started_over, true) => {
                    Step::Send(self.negotiate(scheme, initiator, Target::New))
                }
                _ => Step::Answer,
            };
        }
        let Some(initiator) = self.bound(fresh) else { return Step::Answer };
        // This creates again the Negotiate message that was sent. The message does not depend on the channel binding.
        let (_, initiator) = Initiator::new(initiator).negotiate();
        match initiator.authenticate(challenge, fresh.ntlm(), fresh.now()) {
            Ok((token, _)) => {
                self.state = State::Authenticated;
                let token = Some(AuthToken { scheme, token });
                let (leg, body, connection) = (Leg::Authenticate, Body::Whole, Target::Same);
                Step::Send(Send { leg, token, body, connection })
            }
            // User agents ignore a Challenge that they cannot parse, and show the 401.
            Err(_) => Step::Answer,
        }
    }

    /// Takes a 401 to a SPNEGO token: the server requires another token, or gives the reason for its refusal.
    fn continued(
        &mut self,
        scheme: Scheme,
        mut initiator: Box<spnego::Initiator>,
        response: Response<'_>,
        fresh: &impl Fresh,
    ) -> Step {
        let Some(token) = token_of(response, scheme) else { return Step::Answer };
        let (before, now) = (initiator.package(), fresh.now());
        match initiator.step(token, InitiatorNonces { kerberos: fresh.kerberos(), ntlm: fresh.ntlm() }, now) {
            Ok(InitiatorStep::Continue(token)) if response.keeps_alive => {
                let switched = before != initiator.package();
                let leg = match initiator.package() {
                    Some(Package::Ntlm) if switched => Leg::Negotiate,
                    Some(Package::Kerberos) if switched => Leg::Ticket,
                    _ => Leg::Authenticate,
                };
                self.state = State::Spnego { scheme, initiator };
                let token = Some(AuthToken { scheme, token });
                Step::Send(Send { leg, token, body: Body::Whole, connection: Target::Same })
            }
            Err(InitiatorError::Kerberos(ap::InitiatorError::Refused { code, server_time })) => {
                let clock = code == KrbErrorCode::SKEW;
                self.refused |= !clock;
                if !clock || !self.agent.corrects_clock || std::mem::replace(&mut self.corrected, true) {
                    return Step::Answer;
                }
                if response.keeps_alive {
                    return self.present(scheme, Target::Same, fresh, server_time).map_or(Step::Answer, Step::Send);
                }
                let (connection, at) = (Target::New, Some(server_time));
                self.state = State::Wanting { scheme, connection, answered: true, at };
                Step::Ticket(connection)
            }
            Ok(InitiatorStep::Continue(_) | InitiatorStep::Done(_)) | Err(_) => Step::Answer,
        }
    }

    /// Begins a handshake, with a ticket if tickets can be requested. `answered` says that a 401 asked for the
    /// handshake.
    fn handshake(&mut self, scheme: Scheme, connection: Target, answered: bool) -> Step {
        let negotiates = scheme != Scheme::Ntlm;
        match self.initiator.clone() {
            _ if negotiates && self.kerberos => {
                self.state = State::Wanting { scheme, connection, answered, at: None };
                Step::Ticket(connection)
            }
            Some(initiator) if !negotiates || self.agent.negotiate == Packages::KerberosOrNtlm => {
                Step::Send(self.negotiate(scheme, initiator, connection))
            }
            _ if answered => self.without_ticket(scheme, connection),
            _ => Step::Send(self.ask(connection)),
        }
    }

    /// Puts the ticket in use into the first token of a new handshake.
    fn present(&mut self, scheme: Scheme, connection: Target, fresh: &impl Fresh, now: FileTime) -> Option<Send> {
        let mut offer = self.offer.clone()?;
        if let Some(binding) = fresh.binding().filter(|_| self.agent.binds.kerberos) {
            Arc::make_mut(&mut offer).config.channel_binding = Some(binding);
        }
        let config = match self.agent.negotiate {
            Packages::Kerberos => {
                spnego::InitiatorConfig { raw: self.agent.bare_ticket, ..spnego::InitiatorConfig::mit(offer) }
            }
            Packages::KerberosOrNtlm => spnego::InitiatorConfig::windows(Some(offer), self.bound(fresh)),
        };
        let mut initiator = Box::new(spnego::Initiator::new(config));
        // NTLM needs random bytes only for its last leg, not for the first token.
        let ntlm = Nonces { client_challenge: [0; 8], exported_session_key: [0; 16] };
        let token = initiator.start(InitiatorNonces { kerberos: fresh.kerberos(), ntlm }, now).ok()?;
        self.state = State::Spnego { scheme, initiator };
        Some(Send { leg: Leg::Ticket, token: Some(AuthToken { scheme, token }), body: Body::Whole, connection })
    }

    /// Returns the configuration for the user's NTLM tokens on the connection in use.
    fn bound(&self, fresh: &impl Fresh) -> Option<Arc<InitiatorConfig>> {
        let mut initiator = self.initiator.clone()?;
        if let Some(binding) = fresh.binding().filter(|_| self.agent.binds.ntlm) {
            Arc::make_mut(&mut initiator).channel_binding = Some(binding);
        }
        Some(initiator)
    }

    fn ask(&mut self, connection: Target) -> Send {
        self.state = State::Asked;
        Send { leg: Leg::Anonymous, token: None, body: Body::Whole, connection }
    }

    fn negotiate(&mut self, scheme: Scheme, initiator: Arc<InitiatorConfig>, connection: Target) -> Send {
        let (token, _) = Initiator::new(initiator).negotiate();
        let probe = self.agent.negotiate_body != NegotiateBody::Whole && !self.method.fetches;
        self.state = State::Negotiated { scheme, probe };
        let body = if probe { Body::Empty } else { Body::Whole };
        let token = Some(AuthToken { scheme, token });
        Send { leg: Leg::Negotiate, token, body, connection }
    }
}

/// Returns the token of an answer for a scheme.
fn token_of(response: Response<'_>, scheme: Scheme) -> Option<&[u8]> {
    let found = response.offers.iter().find(|offer| offer.scheme == scheme && !offer.token.is_empty());
    found.map(|offer| offer.token.as_slice())
}
