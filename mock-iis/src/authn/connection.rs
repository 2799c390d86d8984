//! The state machine of one connection.

use std::sync::Arc;

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, Scheme, TokenKind};
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::Refusal;
use stickler_auth::status::SecStatus;
use stickler_model::Principal;
use stickler_model::sync::Lock;

use super::handshake::{Handshake, Role};
use super::{AuthConfig, AuthState, Decision, Replays, Request, RequestIdentity, Turn, Unauthorized};
use crate::codes::{LOGON_FAILED, NO_CREDENTIALS};
use crate::credentials::Presented;

/// The authentication state of one TCP connection.
pub struct ConnectionAuth {
    config: Arc<AuthConfig>,
    replays: Replays,
    binding: Option<ChannelBinding>,
    identity: Option<Identity>,
    /// The handshakes that wait for their next token: at most one, or one for each scheme
    /// ([`super::AuthRules::one_context`]).
    pending: Vec<Handshake>,
    /// The handshake whose logon is in progress.
    verifying: Option<Handshake>,
    /// Whether the current request has `Via`.
    via: bool,
}

/// The user authenticated on a connection.
#[derive(Clone)]
struct Identity {
    user: Principal,
    delegated: bool,
}

impl AuthState for Lock<ConnectionAuth> {
    fn turn(&self, turn: Turn<'_>) -> Decision {
        self.lock().turn(turn)
    }
}

impl ConnectionAuth {
    /// Creates the state of a new connection, on which nobody is authenticated. The host has seen the tickets in
    /// `replays`.
    pub fn new(config: Arc<AuthConfig>, replays: &Replays) -> Self {
        let (replays, pending) = (Arc::clone(replays), Vec::new());
        Self { config, replays, binding: None, identity: None, pending, verifying: None, via: false }
    }

    /// Sets the channel binding of the connection's TLS certificate.
    #[must_use]
    pub fn bound_to(mut self, binding: Option<ChannelBinding>) -> Self {
        self.binding = binding;
        self
    }

    /// Returns the user who is authenticated on the connection.
    pub fn identity(&self) -> Option<&Principal> {
        self.identity.as_ref().map(|identity| &identity.user)
    }

    /// Takes the next input: a request, or the reply to a logon.
    pub fn turn(&mut self, turn: Turn<'_>) -> Decision {
        match turn {
            Turn::Request(request) => self.request(&request),
            Turn::Logon(reply) => self.logon(reply),
        }
    }

    /// Takes a request.
    ///
    /// A server answers [`Presented::Unacceptable`] before it calls this method. The method treats it as malformed.
    pub fn request(&mut self, request: &Request<'_>) -> Decision {
        self.verifying = None;
        self.via = request.via;
        match request.presented {
            Presented::Token { token, kind } if self.config.schemes.contains(&token.scheme) => {
                self.token(token, *kind, request)
            }
            Presented::Malformed | Presented::Unacceptable => self.refuse(SecStatus::INVALID_TOKEN.0),
            // A scheme that the site does not offer is ignored, like Basic.
            Presented::Token { .. } | Presented::Nothing => self.bare_request(),
        }
    }

    /// Takes the reply to the last [`Decision::NeedLogon`].
    pub fn logon(&mut self, reply: &LogonReply) -> Decision {
        let Some(mut handshake) = self.verifying.take() else {
            return self.refuse(Refusal::UnexpectedReply.sec_status().0);
        };
        let decision = handshake.resume(reply);
        self.apply(handshake, decision)
    }

    /// Decides on a request without a token.
    fn bare_request(&mut self) -> Decision {
        if self.config.rules.bare_request_drops_context {
            self.pending.clear();
        }
        if self.identity.is_some() || self.config.anonymous {
            let identity = if self.persists() { self.identity.clone() } else { self.identity.take() };
            let delegated = identity.as_ref().is_some_and(|identity| identity.delegated);
            let user = identity.map(|identity| identity.user);
            return Decision::Serve(RequestIdentity { user, delegated, completes: None });
        }
        let win32 = self.config.codes.anonymous;
        let substatus = NO_CREDENTIALS;
        Decision::Unauthorized(Unauthorized { substatus, win32, challenge: None, refused: false, ticket: None })
    }

    /// Decides on a request with a token of a scheme that the site offers.
    fn token(&mut self, token: &AuthToken, kind: TokenKind, request: &Request<'_>) -> Decision {
        let handshake = match Role::of(token, kind) {
            Role::Begins => {
                if self.config.rules.negotiate_clears_identity {
                    self.identity = None;
                }
                self.take_pending(token.scheme);
                Some(Handshake::new(token.scheme, &self.config, self.binding))
            }
            Role::Continues => self.take_pending(token.scheme),
            Role::Stray => None,
        };
        let Some(mut handshake) = handshake else { return self.refuse(SecStatus::INVALID_TOKEN.0) };
        let decision = handshake.accept(&token.token, request, &self.replays);
        self.apply(handshake, decision)
    }

    /// Removes and returns the pending handshake of a scheme. If only one handshake may be pending, others are dropped.
    fn take_pending(&mut self, scheme: Scheme) -> Option<Handshake> {
        let index = self.pending.iter().position(|handshake| handshake.scheme() == scheme);
        let found = index.map(|index| self.pending.remove(index));
        if self.config.rules.one_context {
            self.pending.clear();
        }
        found
    }

    /// Applies the decision of a handshake to the state of the connection, and returns the final decision.
    fn apply(&mut self, handshake: Handshake, mut decision: Decision) -> Decision {
        match &mut decision {
            Decision::NeedLogon(_) => self.verifying = Some(handshake),
            Decision::Unauthorized(Unauthorized { refused: false, .. }) => self.pending.push(handshake),
            Decision::Unauthorized(_) => self.fail(),
            Decision::Serve(served) => self.authenticate(served),
        }
        decision
    }

    /// Authenticates the connection as the user of a completed handshake, if the identity outlasts the request.
    fn authenticate(&mut self, RequestIdentity { user, delegated, completes }: &mut RequestIdentity) {
        let persists = self.persists() && completes.as_ref().is_some_and(|completed| completed.persists);
        if let Some(completed) = completes {
            completed.persists = persists;
        }
        let user = user.as_ref().filter(|_| persists);
        self.identity = user.map(|user| Identity { user: user.clone(), delegated: *delegated });
    }

    /// Returns whether the connection's identity outlasts the current request.
    fn persists(&self) -> bool {
        let rules = &self.config.rules;
        !(rules.single_request || (rules.via_ends_persistence && self.via))
    }

    /// Refuses a token that belongs to no handshake.
    fn refuse(&mut self, win32: u32) -> Decision {
        self.fail();
        let substatus = LOGON_FAILED;
        Decision::Unauthorized(Unauthorized { substatus, win32, challenge: None, refused: true, ticket: None })
    }

    /// Drops the pending handshakes and, depending on the rules, the identity.
    fn fail(&mut self) {
        self.pending.clear();
        if self.config.rules.failure_clears_identity {
            self.identity = None;
        }
    }
}
