//! Who is on this TCP connection: the state machine of Windows authentication. Pure.
//!
//! ```text
//! Anonymous ──Negotiate──▶ Pending ──Authenticate──▶ NeedLogon ──good──▶ Authenticated
//!     ▲                       │  ▲                       │                    │
//!     └── no token, refused ──┘  └──────── Negotiate ────┼────────────────────┘
//!     └──────────────────────────── refused ─────────────┘
//! ```
//!
//! A mechanism is an enum: NTLM today, under `NTLM` and raw under `Negotiate`; whatever comes next adds a variant
//! and a [`TokenKind`], and nothing here is NTLM's alone. [`Rules`] holds what is not measured on IIS.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme, TokenKind};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::acceptor::{Acceptor, AcceptorConfig, Authenticated, Refusal, Step};
use stickler_auth::status::SecStatus;
use stickler_model::Principal;

use crate::codes::{LOGON_FAILED, LogCodes, NO_CREDENTIALS};
use crate::credentials::Presented;

/// Who an authenticated null session is, where the acceptor's configuration allows one (MS-DTYP 2.4.2.4, S-1-5-7).
const NULL_SESSION: (&str, &str) = ("NT AUTHORITY", "ANONYMOUS LOGON");

/// How a site authenticates.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Schemes offered, in order.
    pub schemes: Vec<Scheme>,
    /// Whether a request without credentials is served anonymously.
    pub anonymous: bool,
    /// What the log says.
    pub codes: LogCodes,
    /// How NTLM is accepted.
    pub ntlm: Arc<AcceptorConfig>,
    /// The switches.
    pub rules: Rules,
}

/// Switches for behaviour that is plausible and *not measured* on a real IIS, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// One handshake may be pending per connection. Off: one per scheme.
    pub one_context: bool,
    /// A request without a token drops a pending handshake.
    pub bare_request_drops_context: bool,
    /// A refused token clears handshake and identity. Off: the identity stays.
    pub failure_clears_identity: bool,
    /// A Negotiate leg on an authenticated connection clears the identity at once. Off: the next good
    /// logon replaces it.
    pub negotiate_clears_identity: bool,
    /// `authPersistSingleRequest` (documented; default false): the identity holds for one request.
    pub single_request: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            one_context: true,
            bare_request_drops_context: true,
            failure_clears_identity: true,
            negotiate_clears_identity: true,
            single_request: false,
        }
    }
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Decision {
    /// Process it.
    Serve {
        /// As this user; `None`: anonymously.
        user: Option<Principal>,
        /// The scheme of the handshake that this request ends.
        completes: Option<Scheme>,
    },
    /// Answer 401.
    Unauthorized(Unauthorized),
    /// Ask the DC or the SAM, then call [`ConnectionAuth::logon`].
    NeedLogon(LogonRequest),
}

/// What a state machine is given next.
#[derive(Debug, Clone, Copy)]
pub enum Turn<'a> {
    /// A request: see [`ConnectionAuth::request`].
    Request {
        /// What it presents.
        presented: &'a Presented,
        /// Fresh random bytes.
        nonce: [u8; 8],
        /// Now.
        now: FileTime,
    },
    /// The answer to a logon: see [`ConnectionAuth::logon`].
    Logon(&'a LogonReply),
}

/// A 401 answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthorized {
    /// `sc-substatus`.
    pub substatus: u16,
    /// `sc-win32-status`.
    pub win32: u32,
    /// The token that goes with it, in the request's scheme; `None`: every scheme of the site, bare.
    pub challenge: Option<AuthToken>,
}

/// The authentication state of one TCP connection.
pub struct ConnectionAuth {
    config: Arc<AuthConfig>,
    identity: Option<Principal>,
    /// Handshakes with a Challenge out: at most one, or one per scheme ([`Rules::one_context`]).
    pending: Vec<Context>,
    /// The handshake whose logon is under way.
    verifying: Option<Context>,
}

/// One handshake.
struct Context {
    scheme: Scheme,
    mechanism: Mechanism,
}

/// What speaks inside a scheme.
enum Mechanism {
    Ntlm(Acceptor),
}

impl ConnectionAuth {
    /// A fresh connection: nobody is on it.
    pub fn new(config: Arc<AuthConfig>) -> Self {
        Self { config, identity: None, pending: Vec::new(), verifying: None }
    }

    /// Who is on the connection.
    pub fn identity(&self) -> Option<&Principal> {
        self.identity.as_ref()
    }

    /// Takes whatever comes next.
    pub fn turn(&mut self, turn: Turn<'_>) -> Decision {
        match turn {
            Turn::Request { presented, nonce, now } => self.request(presented, nonce, now),
            Turn::Logon(reply) => self.logon(reply),
        }
    }

    /// Takes a request. `nonce` is 8 fresh random bytes, used where a Challenge is due.
    ///
    /// [`Presented::Unacceptable`] never gets here in a server; it is treated as malformed.
    pub fn request(&mut self, presented: &Presented, nonce: [u8; 8], now: FileTime) -> Decision {
        self.verifying = None;
        match presented {
            Presented::Token { token, kind } if self.config.schemes.contains(&token.scheme) => {
                self.token(token, *kind, nonce, now)
            }
            Presented::Malformed | Presented::Unacceptable => self.refuse(SecStatus::INVALID_TOKEN.0),
            // A scheme that the site does not offer is passed over, as Basic is.
            Presented::Token { .. } | Presented::Nothing => self.bare_request(),
        }
    }

    /// Takes the answer to the last [`Decision::NeedLogon`].
    pub fn logon(&mut self, reply: &LogonReply) -> Decision {
        let Some(mut context) = self.verifying.take() else {
            return self.refuse(Refusal::UnexpectedReply.sec_status().0);
        };
        let step = match &mut context.mechanism {
            Mechanism::Ntlm(acceptor) => acceptor.resume(reply),
        };
        self.step(context, step)
    }

    fn bare_request(&mut self) -> Decision {
        if self.config.rules.bare_request_drops_context {
            self.pending.clear();
        }
        if self.identity.is_some() || self.config.anonymous {
            return self.serve(None);
        }
        let win32 = self.config.codes.anonymous;
        Decision::Unauthorized(Unauthorized { substatus: NO_CREDENTIALS, win32, challenge: None })
    }

    fn token(&mut self, token: &AuthToken, kind: TokenKind, nonce: [u8; 8], now: FileTime) -> Decision {
        let context = match kind {
            TokenKind::NtlmNegotiate => {
                if self.config.rules.negotiate_clears_identity {
                    self.identity = None;
                }
                self.take_pending(token.scheme);
                let acceptor = Acceptor::new(Arc::clone(&self.config.ntlm), None);
                Some(Context { scheme: token.scheme, mechanism: Mechanism::Ntlm(acceptor) })
            }
            TokenKind::NtlmAuthenticate => self.take_pending(token.scheme),
            // SPNEGO and Kerberos tokens have no mechanism behind them here.
            TokenKind::NtlmChallenge | TokenKind::Spnego | TokenKind::Kerberos | TokenKind::Unknown => None,
        };
        let Some(mut context) = context else { return self.refuse(SecStatus::INVALID_TOKEN.0) };
        let step = match &mut context.mechanism {
            Mechanism::Ntlm(acceptor) => acceptor.accept(&token.token, nonce, now),
        };
        self.step(context, step)
    }

    /// The pending handshake of a scheme; others go too where only one may be pending.
    fn take_pending(&mut self, scheme: Scheme) -> Option<Context> {
        let found = self.pending.iter().position(|context| context.scheme == scheme).map(|at| self.pending.remove(at));
        if self.config.rules.one_context {
            self.pending.clear();
        }
        found
    }

    fn step(&mut self, context: Context, step: Step) -> Decision {
        match step {
            Step::Challenge(token) => {
                let challenge = Some(AuthToken { scheme: context.scheme, token });
                self.pending.push(context);
                Decision::Unauthorized(Unauthorized {
                    substatus: LOGON_FAILED,
                    win32: self.config.codes.challenge,
                    challenge,
                })
            }
            Step::NeedLogon(request) => {
                self.verifying = Some(context);
                Decision::NeedLogon(request)
            }
            Step::Authenticated(account) => {
                self.identity = Some(principal(&account));
                self.serve(Some(context.scheme))
            }
            Step::Refused(refusal) => self.refuse(refusal.sc_win32_status(self.config.codes.bad_password)),
        }
    }

    fn serve(&mut self, completes: Option<Scheme>) -> Decision {
        let user = if self.config.rules.single_request { self.identity.take() } else { self.identity.clone() };
        Decision::Serve { user, completes }
    }

    fn refuse(&mut self, win32: u32) -> Decision {
        self.pending.clear();
        if self.config.rules.failure_clears_identity {
            self.identity = None;
        }
        Decision::Unauthorized(Unauthorized { substatus: LOGON_FAILED, win32, challenge: None })
    }
}

fn principal(account: &Authenticated) -> Principal {
    if account.anonymous {
        return Principal::new(NULL_SESSION.0, NULL_SESSION.1);
    }
    Principal::new(&account.domain, &account.user)
}
