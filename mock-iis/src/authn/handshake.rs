//! One handshake in either scheme, and what comes of its tokens. Pure.

use std::sync::{Arc, PoisonError};

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, Scheme, TokenKind, token_kind};
use stickler_auth::kerberos::ap::Accepted;
use stickler_auth::kerberos::gss::{TokenId, unframe};
use stickler_auth::kerberos::message::ApReq;
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::acceptor as ntlm;
use stickler_auth::spnego::{self, Identity, Package, Refusal, Rejected};
use stickler_model::Principal;

use super::{AuthConfig, Replays, Request, TicketSeen};

/// Who an authenticated null session is, where the acceptor's configuration allows one (MS-DTYP 2.4.2.4, S-1-5-7).
const NULL_SESSION: (&str, &str) = ("NT AUTHORITY", "ANONYMOUS LOGON");

/// One handshake.
pub(super) struct Handshake {
    config: Arc<AuthConfig>,
    acceptor: Acceptor,
}

/// What speaks inside a scheme.
enum Acceptor {
    /// `NTLM`.
    Ntlm(ntlm::Acceptor),
    /// `Negotiate`, `Nego2`.
    Negotiate(Box<spnego::Acceptor>),
}

/// What a token does to the handshake of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It begins one.
    Begins,
    /// It goes on with the pending one.
    Continues,
    /// It belongs to none.
    Stray,
}

/// What comes of a token.
pub(super) enum Progress {
    /// A 401 with this token; the client's next is due. With the ticket that was refused for its clock.
    Continue(Vec<u8>, Option<TicketSeen>, Option<u32>),
    /// Ask the DC.
    NeedLogon(LogonRequest),
    /// The client is somebody.
    Done(Done),
    /// It is over: `sc-win32-status`, what tells the client why, and the ticket.
    Refused(u32, Vec<u8>, Option<TicketSeen>),
}

/// A good end.
pub(super) struct Done {
    pub(super) user: Principal,
    pub(super) delegated: bool,
    pub(super) token: Vec<u8>,
    /// `None`: NTLM.
    pub(super) ticket: Option<TicketSeen>,
}

impl Role {
    /// The role of a token, by its kind and its scheme. A NegTokenResp is never a first token.
    pub(super) fn of(token: &AuthToken, kind: TokenKind) -> Self {
        match kind {
            TokenKind::NtlmAuthenticate => Self::Continues,
            TokenKind::Kerberos | TokenKind::Spnego if token.scheme == Scheme::Ntlm => Self::Stray,
            TokenKind::Spnego if token.token.first() == Some(&0xA1) => Self::Continues,
            TokenKind::NtlmNegotiate | TokenKind::Spnego | TokenKind::Kerberos => Self::Begins,
            TokenKind::NtlmChallenge | TokenKind::Unknown => Self::Stray,
        }
    }
}

impl Handshake {
    /// A fresh one, on a connection of this binding.
    pub(super) fn new(scheme: Scheme, config: &Arc<AuthConfig>, binding: Option<ChannelBinding>) -> Self {
        let acceptor = match scheme {
            Scheme::Ntlm => Acceptor::Ntlm(ntlm::Acceptor::new(Arc::clone(&config.ntlm), binding)),
            Scheme::Negotiate | Scheme::Nego2 => {
                let ntlm = (!config.kerberos_only).then(|| Arc::clone(&config.ntlm));
                let both = spnego::AcceptorConfig { ntlm, kerberos: config.kerberos.clone() };
                Acceptor::Negotiate(Box::new(spnego::Acceptor::new(both, binding)))
            }
        };
        Self { config: Arc::clone(config), acceptor }
    }

    /// Takes a token.
    pub(super) fn accept(&mut self, token: &[u8], request: &Request<'_>, replays: &Replays) -> Progress {
        match &mut self.acceptor {
            Acceptor::Ntlm(acceptor) => {
                let step = acceptor.accept(token, request.nonces.server_challenge, request.now);
                self.ntlm(step)
            }
            Acceptor::Negotiate(acceptor) => {
                // A panic elsewhere cannot leave the cache half changed: it holds what it was given.
                let mut replays = replays.lock().unwrap_or_else(PoisonError::into_inner);
                let step = acceptor.accept(token, request.nonces, request.now, &mut replays);
                self.negotiate(step, token)
            }
        }
    }

    /// Takes the DC's answer.
    pub(super) fn resume(&mut self, reply: &LogonReply) -> Progress {
        match &mut self.acceptor {
            Acceptor::Ntlm(acceptor) => {
                let step = acceptor.resume(reply);
                self.ntlm(step)
            }
            Acceptor::Negotiate(acceptor) => {
                let step = acceptor.resume(reply);
                self.negotiate(step, &[])
            }
        }
    }

    fn ntlm(&self, step: ntlm::Step) -> Progress {
        match step {
            ntlm::Step::Challenge(token) => Progress::Continue(token, None, None),
            ntlm::Step::NeedLogon(request) => Progress::NeedLogon(request),
            ntlm::Step::Authenticated(account) => Progress::Done(Done::ntlm(&account, Vec::new())),
            ntlm::Step::Refused(refusal) => {
                Progress::Refused(refusal.sc_win32_status(self.config.codes.bad_password), Vec::new(), None)
            }
        }
    }

    fn negotiate(&self, step: spnego::Step, token: &[u8]) -> Progress {
        match step {
            spnego::Step::Continue(token) => Progress::Continue(token, None, None),
            spnego::Step::NeedLogon(request) => Progress::NeedLogon(request),
            spnego::Step::Authenticated(done) => Progress::Done(match done.identity {
                Identity::Ntlm(account) => Done::ntlm(&account, done.token),
                Identity::Kerberos(accepted) => Done::kerberos(&self.config, &accepted, done.token),
            }),
            spnego::Step::Refused(rejected) => self.rejected(*rejected, token),
        }
    }

    /// KRB-ERROR goes to the client, as Windows sends it; any other failure is a bare scheme.
    fn rejected(&self, Rejected { refusal, token, recoverable }: Rejected, from: &[u8]) -> Progress {
        let win32 = refusal.sc_win32_status(self.config.codes.bad_password);
        let code = match &refusal {
            Refusal::Kerberos(refusal) => refusal.krb_error(),
            _ => None,
        };
        let about_ticket = matches!(refusal, Refusal::Kerberos(_) | Refusal::Disabled(Package::Kerberos));
        let ticket = about_ticket.then(|| TicketSeen {
            client: None,
            service: service_of(from).unwrap_or_default(),
            error: code.map_or(win32, |code| code.0),
        });
        if recoverable {
            return Progress::Continue(token, ticket, Some(win32));
        }
        Progress::Refused(win32, if code.is_some() { token } else { Vec::new() }, ticket)
    }
}

impl Done {
    fn ntlm(account: &ntlm::Authenticated, token: Vec<u8>) -> Self {
        let user = if account.anonymous {
            Principal::new(NULL_SESSION.0, NULL_SESSION.1)
        } else {
            Principal::new(&account.domain, &account.user)
        };
        Self { user, delegated: false, token, ticket: None }
    }

    fn kerberos(config: &AuthConfig, accepted: &Accepted, token: Vec<u8>) -> Self {
        let user = config.principal(&accepted.client);
        let (client, service) = (Some(user.clone()), accepted.server.name.to_string());
        let ticket = Some(TicketSeen { client, service, error: 0 });
        Self { user, delegated: accepted.delegated.is_some(), token, ticket }
    }
}

/// The service that a token's ticket is for, as the ticket says in plain.
fn service_of(token: &[u8]) -> Option<String> {
    use stickler_auth::spnego::token::Token;
    let inner = match token_kind(token) {
        TokenKind::Kerberos => token,
        TokenKind::Spnego => match Token::decode(token).ok()? {
            Token::Init(init) => init.mech_token?,
            Token::Resp(resp) => resp.response_token?,
        },
        _ => return None,
    };
    let (TokenId::ApReq, message) = unframe(inner)? else { return None };
    let (_, ticket) = ApReq::decode(message).ok()?;
    Some(ticket.sname.to_string())
}
