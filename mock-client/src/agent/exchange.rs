//! The state machine of an [`Exchange`].

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::kerberos::ap;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::ntlm::initiator::{Initiator, InitiatorConfig, Nonces};
use stickler_auth::spnego::{self, InitiatorError, InitiatorNonces, InitiatorStep, KerberosOffer, Package};
use stickler_model::Leg;
use stickler_model::capabilities::Packages;

use super::{Body, Fresh, Heard, Lost, MethodKind, On, Send, Step};
use crate::profile::{NegotiateBody, UserAgent};

/// The state of one request between its legs.
pub struct Exchange {
    agent: Arc<UserAgent>,
    initiator: Option<Arc<InitiatorConfig>>,
    method: MethodKind,
    /// Whether it can ask for a ticket.
    kerberos: bool,
    state: State,
    /// The ticket in use.
    offer: Option<Arc<KerberosOffer>>,
    /// Whether it started over because the Challenge leg closed the connection.
    started_over: bool,
    /// Whether it was sent again because its connection was lost.
    sent_again: bool,
    /// Whether a probe was answered as if no authentication were needed.
    unasked: bool,
    /// Whether it was sent again by the server's clock.
    corrected: bool,
    /// Whether a server refused its ticket with a KRB-ERROR.
    refused: bool,
}

enum State {
    /// Nothing sent yet, or the answer is there.
    Idle,
    /// Sent without a token.
    Asked,
    /// A ticket is wanted, to be sent there; whether an answer came that would do without; and by which
    /// clock, if not by the client's own.
    Wanting { scheme: Scheme, connection: On, answered: bool, at: Option<FileTime> },
    /// The Negotiate leg is out.
    Negotiated { scheme: Scheme, probe: bool },
    /// A token of SPNEGO is out.
    Spnego { scheme: Scheme, initiator: Box<spnego::Initiator> },
    /// The Authenticate leg is out.
    Authenticated,
}

impl Exchange {
    /// A request of this agent; `initiator` is `None` where it has no credentials.
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
        }
    }

    /// The same where tickets can be asked for, at a KDC that may or may not answer.
    #[must_use]
    pub fn with_kerberos(mut self, can: bool) -> Self {
        self.kerberos = can && self.initiator.is_some();
        self
    }

    /// Whether a server refused the ticket with a KRB-ERROR, so that a fresh one is to be had next time.
    pub fn ticket_refused(&self) -> bool {
        self.refused
    }

    /// The first HTTP request, on a connection that the client knows as authenticated or not.
    pub fn begin(&mut self, authenticated: bool) -> Step {
        let scheme = self.agent.schemes.first().filter(|_| self.agent.preemptive && !authenticated);
        match scheme {
            Some(&scheme) if self.initiator.is_some() => self.handshake(scheme, On::Same, false),
            _ => Step::Send(self.ask(On::Same)),
        }
    }

    /// The first HTTP request on a connection that is authenticated as another user, the client's
    /// own of before: it begins a handshake in the same scheme at once, for an anonymous request
    /// would be served as that user.
    pub fn begin_anew(&mut self, scheme: Scheme) -> Step {
        match self.initiator {
            Some(_) => self.handshake(scheme, On::Same, false),
            None => Step::Send(self.ask(On::Same)),
        }
    }

    /// Takes the ticket that [`Step::Ticket`] asked for, or that there is none to be had.
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
            _ if answered => Step::Answer,
            _ => Step::Send(self.ask(connection)),
        }
    }

    /// What to do about an answer. `fresh` is used only when a token is made of it.
    pub fn heard(&mut self, heard: Heard<'_>, fresh: &impl Fresh) -> Step {
        match (std::mem::replace(&mut self.state, State::Idle), heard.status) {
            (State::Asked, 401) => self.offered(heard),
            (State::Negotiated { scheme, .. }, 401) => self.challenged(scheme, heard, fresh),
            (State::Spnego { scheme, initiator }, 401) => self.continued(scheme, initiator, heard, fresh),
            // curl, test176: the server asks for no authentication, so the body follows. Once only:
            // a server that then asks after all could else play this game for ever.
            (State::Negotiated { probe: true, .. }, 200..300) if !std::mem::replace(&mut self.unasked, true) => {
                Step::Send(self.ask(if heard.keeps_alive { On::Same } else { On::New }))
            }
            _ => Step::Answer,
        }
    }

    /// What to send after a lost connection: all over again on a new one, once, where that is safe
    /// (RFC 9112 9.3.1). That is so when nothing was sent; or when the connection was in use before,
    /// and the request is idempotent or was a probe that carried nothing of it. `None`: give up.
    pub fn lost(&mut self, lost: Lost) -> Option<Step> {
        let probe = matches!(self.state, State::Negotiated { probe: true, .. });
        let safe = lost.unsent || (lost.proven && (self.method.idempotent || probe));
        if !safe || std::mem::replace(&mut self.sent_again, true) {
            self.state = State::Idle;
            return None;
        }
        let mut step = self.begin(false);
        match (&mut step, &mut self.state) {
            (Step::Send(Send { connection, .. }), _) => *connection = On::New,
            (Step::Ticket(on), State::Wanting { connection, .. }) => (*on, *connection) = (On::New, On::New),
            _ => {}
        }
        Some(step)
    }

    /// A 401 to a request without a token: begin the handshake, if the server offers one.
    fn offered(&mut self, heard: Heard<'_>) -> Step {
        let agent = &self.agent;
        let offered = |scheme: &&Scheme| heard.offers.iter().any(|offer| offer.scheme == **scheme);
        let (Some(&scheme), Some(_)) = (agent.schemes.iter().find(offered), &self.initiator) else {
            return Step::Answer;
        };
        let same = heard.keeps_alive && !agent.close_after_first_401;
        self.handshake(scheme, if same { On::Same } else { On::New }, true)
    }

    /// A 401 to the Negotiate leg: answer the Challenge, if there is one that can be answered.
    fn challenged(&mut self, scheme: Scheme, heard: Heard<'_>, fresh: &impl Fresh) -> Step {
        let Some(challenge) = token_of(heard, scheme) else { return Step::Answer };
        if !heard.keeps_alive {
            // The challenge is bound to a connection that is gone.
            return match self.initiator.clone().filter(|_| self.agent.starts_over) {
                Some(initiator) if !std::mem::replace(&mut self.started_over, true) => {
                    Step::Send(self.negotiate(scheme, initiator, On::New))
                }
                _ => Step::Answer,
            };
        }
        let Some(initiator) = self.bound(fresh) else { return Step::Answer };
        // The Negotiate that is out is the same one: it says nothing of the binding.
        let (_, initiator) = Initiator::new(initiator).negotiate();
        match initiator.authenticate(challenge, fresh.ntlm(), fresh.now()) {
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

    /// A 401 to a token of SPNEGO: the server wants more, or says why not.
    fn continued(
        &mut self,
        scheme: Scheme,
        mut initiator: Box<spnego::Initiator>,
        heard: Heard<'_>,
        fresh: &impl Fresh,
    ) -> Step {
        let Some(token) = token_of(heard, scheme) else { return Step::Answer };
        let (before, now) = (initiator.package(), fresh.now());
        match initiator.step(token, InitiatorNonces { kerberos: fresh.kerberos(), ntlm: fresh.ntlm() }, now) {
            Ok(InitiatorStep::Continue(token)) if heard.keeps_alive => {
                let switched = before != initiator.package();
                let leg = match initiator.package() {
                    Some(Package::Ntlm) if switched => Leg::Negotiate,
                    Some(Package::Kerberos) if switched => Leg::Ticket,
                    _ => Leg::Authenticate,
                };
                self.state = State::Spnego { scheme, initiator };
                let token = Some(AuthToken { scheme, token });
                Step::Send(Send { leg, token, body: Body::Whole, connection: On::Same })
            }
            Err(InitiatorError::Kerberos(ap::InitiatorError::Refused { code, server_time })) => {
                let clock = code == KrbErrorCode::SKEW;
                self.refused |= !clock;
                if !clock || !self.agent.corrects_clock || std::mem::replace(&mut self.corrected, true) {
                    return Step::Answer;
                }
                if heard.keeps_alive {
                    return self.present(scheme, On::Same, fresh, server_time).map_or(Step::Answer, Step::Send);
                }
                let (connection, at) = (On::New, Some(server_time));
                self.state = State::Wanting { scheme, connection, answered: true, at };
                Step::Ticket(connection)
            }
            Ok(InitiatorStep::Continue(_) | InitiatorStep::Done(_)) | Err(_) => Step::Answer,
        }
    }

    /// A handshake begins: with a ticket, where one may be had. `answered`: a 401 asked for it.
    fn handshake(&mut self, scheme: Scheme, connection: On, answered: bool) -> Step {
        let negotiates = scheme != Scheme::Ntlm;
        match self.initiator.clone() {
            _ if negotiates && self.kerberos => {
                self.state = State::Wanting { scheme, connection, answered, at: None };
                Step::Ticket(connection)
            }
            Some(initiator) if !negotiates || self.agent.negotiate == Packages::KerberosOrNtlm => {
                Step::Send(self.negotiate(scheme, initiator, connection))
            }
            _ if answered => Step::Answer,
            _ => Step::Send(self.ask(connection)),
        }
    }

    /// The ticket in use, in a token of a new handshake.
    fn present(&mut self, scheme: Scheme, connection: On, fresh: &impl Fresh, now: FileTime) -> Option<Send> {
        let mut offer = self.offer.clone()?;
        if let Some(binding) = self.binding(fresh) {
            Arc::make_mut(&mut offer).config.channel_binding = Some(binding);
        }
        let config = match self.agent.negotiate {
            Packages::Kerberos => spnego::InitiatorConfig::mit(offer),
            Packages::KerberosOrNtlm => spnego::InitiatorConfig::windows(Some(offer), self.bound(fresh)),
        };
        let mut initiator = Box::new(spnego::Initiator::new(config));
        // NTLM's are for its last leg: the first token needs none of them.
        let ntlm = Nonces { client_challenge: [0; 8], exported_session_key: [0; 16] };
        let token = initiator.start(InitiatorNonces { kerberos: fresh.kerberos(), ntlm }, now).ok()?;
        self.state = State::Spnego { scheme, initiator };
        Some(Send { leg: Leg::Ticket, token: Some(AuthToken { scheme, token }), body: Body::Whole, connection })
    }

    /// What makes the user's NTLM tokens, on the connection in use.
    fn bound(&self, fresh: &impl Fresh) -> Option<Arc<InitiatorConfig>> {
        let mut initiator = self.initiator.clone()?;
        if let Some(binding) = self.binding(fresh) {
            Arc::make_mut(&mut initiator).channel_binding = Some(binding);
        }
        Some(initiator)
    }

    /// The binding of the connection in use, for an agent that binds.
    fn binding(&self, fresh: &impl Fresh) -> Option<ChannelBinding> {
        fresh.binding().filter(|_| self.agent.binds)
    }

    fn ask(&mut self, connection: On) -> Send {
        self.state = State::Asked;
        Send { leg: Leg::Anonymous, token: None, body: Body::Whole, connection }
    }

    fn negotiate(&mut self, scheme: Scheme, initiator: Arc<InitiatorConfig>, connection: On) -> Send {
        let (token, _) = Initiator::new(initiator).negotiate();
        let probe = self.agent.negotiate_body == NegotiateBody::Probe && !self.method.fetches;
        self.state = State::Negotiated { scheme, probe };
        let body = if probe { Body::Empty } else { Body::Whole };
        let token = Some(AuthToken { scheme, token });
        Send { leg: Leg::Negotiate, token, body, connection }
    }
}

/// The token of an answer in this scheme.
fn token_of(heard: Heard<'_>, scheme: Scheme) -> Option<&[u8]> {
    let found = heard.offers.iter().find(|offer| offer.scheme == scheme && !offer.token.is_empty());
    found.map(|offer| offer.token.as_slice())
}
