//! The state machine of one connection.

use std::sync::Arc;

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, Scheme, TokenKind};
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::Refusal;
use stickler_auth::status::SecStatus;
use stickler_model::Principal;

use super::handshake::{Done, Handshake, Progress, Role};
use super::{AuthConfig, Completed, Decision, Replays, Request, TicketSeen, Turn, Unauthorized};
use crate::codes::{LOGON_FAILED, NO_CREDENTIALS};
use crate::credentials::Presented;

/// The authentication state of one TCP connection.
pub struct ConnectionAuth {
    config: Arc<AuthConfig>,
    replays: Replays,
    binding: Option<ChannelBinding>,
    identity: Option<Identity>,
    /// Handshakes whose next token is due: at most one, or one per scheme ([`super::AuthRules::one_context`]).
    pending: Vec<Context>,
    /// The handshake whose logon is under way.
    verifying: Option<Context>,
    /// Whether the request under way has `Via`.
    via: bool,
}

/// One handshake.
struct Context {
    scheme: Scheme,
    handshake: Handshake,
}

/// Who is on the connection.
#[derive(Clone)]
struct Identity {
    user: Principal,
    delegated: bool,
}

impl ConnectionAuth {
    /// A fresh connection of a host that has seen `replays`: nobody is on it.
    pub fn new(config: Arc<AuthConfig>, replays: &Replays) -> Self {
        let (replays, pending) = (Arc::clone(replays), Vec::new());
        Self { config, replays, binding: None, identity: None, pending, verifying: None, via: false }
    }

    /// The same on TLS, whose certificate gives this binding.
    #[must_use]
    pub fn bound_to(mut self, binding: Option<ChannelBinding>) -> Self {
        self.binding = binding;
        self
    }

    /// Who is on the connection.
    pub fn identity(&self) -> Option<&Principal> {
        self.identity.as_ref().map(|identity| &identity.user)
    }

    /// Takes whatever comes next.
    pub fn turn(&mut self, turn: Turn<'_>) -> Decision {
        match turn {
            Turn::Request(request) => self.request(&request),
            Turn::Logon(reply) => self.logon(reply),
        }
    }

    /// Takes a request.
    ///
    /// [`Presented::Unacceptable`] never gets here in a server; it is treated as malformed.
    pub fn request(&mut self, request: &Request<'_>) -> Decision {
        self.verifying = None;
        self.via = request.via;
        match request.presented {
            Presented::Token { token, kind } if self.config.schemes.contains(&token.scheme) => {
                self.token(token, *kind, request)
            }
            Presented::Malformed | Presented::Unacceptable => self.refuse(SecStatus::INVALID_TOKEN.0, None, None),
            // A scheme that the site does not offer is passed over, as Basic is.
            Presented::Token { .. } | Presented::Nothing => self.bare_request(),
        }
    }

    /// Takes the answer to the last [`Decision::NeedLogon`].
    pub fn logon(&mut self, reply: &LogonReply) -> Decision {
        let Some(mut context) = self.verifying.take() else {
            return self.refuse(Refusal::UnexpectedReply.sec_status().0, None, None);
        };
        let progress = context.handshake.resume(reply);
        self.step(context, progress)
    }

    fn bare_request(&mut self) -> Decision {
        if self.config.rules.bare_request_drops_context {
            self.pending.clear();
        }
        if self.identity.is_some() || self.config.anonymous {
            return self.serve(None);
        }
        let win32 = self.config.codes.anonymous;
        let substatus = NO_CREDENTIALS;
        Decision::Unauthorized(Unauthorized { substatus, win32, challenge: None, refused: false, ticket: None })
    }

    fn token(&mut self, token: &AuthToken, kind: TokenKind, request: &Request<'_>) -> Decision {
        let context = match Role::of(token, kind) {
            Role::Begins => {
                if self.config.rules.negotiate_clears_identity {
                    self.identity = None;
                }
                self.take_pending(token.scheme);
                let handshake = Handshake::new(token.scheme, &self.config, self.binding);
                Some(Context { scheme: token.scheme, handshake })
            }
            Role::Continues => self.take_pending(token.scheme),
            Role::Stray => None,
        };
        let Some(mut context) = context else { return self.refuse(SecStatus::INVALID_TOKEN.0, None, None) };
        let progress = context.handshake.accept(&token.token, request, &self.replays);
        self.step(context, progress)
    }

    /// The pending handshake of a scheme; others go too where only one may be pending.
    fn take_pending(&mut self, scheme: Scheme) -> Option<Context> {
        let found = self.pending.iter().position(|context| context.scheme == scheme).map(|at| self.pending.remove(at));
        if self.config.rules.one_context {
            self.pending.clear();
        }
        found
    }

    fn step(&mut self, context: Context, progress: Progress) -> Decision {
        let scheme = context.scheme;
        match progress {
            Progress::Continue(token, ticket, win32) => {
                self.pending.push(context);
                Decision::Unauthorized(Unauthorized {
                    substatus: LOGON_FAILED,
                    win32: win32.unwrap_or(self.config.codes.challenge),
                    challenge: Some(AuthToken { scheme, token }),
                    refused: false,
                    ticket,
                })
            }
            Progress::NeedLogon(request) => {
                self.verifying = Some(context);
                Decision::NeedLogon(request)
            }
            Progress::Done(done) => self.admit(scheme, done),
            Progress::Refused(win32, token, ticket) => {
                let token = (!token.is_empty()).then_some(AuthToken { scheme, token });
                self.refuse(win32, token, ticket)
            }
        }
    }

    fn admit(&mut self, scheme: Scheme, Done { user, delegated, token, ticket }: Done) -> Decision {
        self.identity = Some(Identity { user, delegated });
        let non_ntlm = ticket.is_some();
        let persists = self.persists() && (!non_ntlm || self.config.rules.persist_non_ntlm);
        let decision = self.serve(Some(Completed { scheme, token, persists, ticket }));
        if !persists {
            self.identity = None;
        }
        decision
    }

    fn serve(&mut self, completes: Option<Completed>) -> Decision {
        let identity = if self.persists() { self.identity.clone() } else { self.identity.take() };
        let delegated = identity.as_ref().is_some_and(|identity| identity.delegated);
        Decision::Serve { user: identity.map(|identity| identity.user), delegated, completes }
    }

    /// Whether whoever is on the connection stays beyond the request under way.
    fn persists(&self) -> bool {
        let rules = &self.config.rules;
        !(rules.single_request || (rules.via_ends_persistence && self.via))
    }

    fn refuse(&mut self, win32: u32, challenge: Option<AuthToken>, ticket: Option<TicketSeen>) -> Decision {
        self.pending.clear();
        if self.config.rules.failure_clears_identity {
            self.identity = None;
        }
        Decision::Unauthorized(Unauthorized { substatus: LOGON_FAILED, win32, challenge, refused: true, ticket })
    }
}
