//! One handshake in any scheme, and the decisions that its tokens lead to. The module is pure.

use std::sync::Arc;

use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::{AuthToken, Scheme, TokenKind, token_kind};
use stickler_auth::kerberos::ap::Accepted;
use stickler_auth::kerberos::gss::{TokenId, unframe};
use stickler_auth::kerberos::message::ApReq;
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor as ntlm;
use stickler_auth::spnego::{self, Identity, Package, Refusal, Rejected};
use stickler_model::Principal;

use super::{AuthConfig, Completed, Decision, Replays, Request, RequestIdentity, TicketSeen, Unauthorized};
use crate::codes::LOGON_FAILED;

/// The domain and the name of the user of a null session, if the acceptor's configuration allows one (MS-DTYP 2.4.2.4,
/// S-1-5-7).
const NULL_SESSION: (&str, &str) = ("NT AUTHORITY", "ANONYMOUS LOGON");

/// A handshake. Its decisions do not take the state of the connection into account.
pub(super) struct Handshake {
    config: Arc<AuthConfig>,
    scheme: Scheme,
    acceptor: Acceptor,
}

/// The protocol that a scheme carries.
enum Acceptor {
    /// The protocol of `NTLM`.
    Ntlm(ntlm::Acceptor),
    /// The protocol of `Negotiate` and `Nego2`.
    Negotiate(Box<spnego::Acceptor>),
}

/// The role of a token in the handshakes of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The token begins a handshake.
    Begins,
    /// The token continues the pending handshake.
    Continues,
    /// The token belongs to no handshake.
    Stray,
}

impl Role {
    /// Returns the role of a token, given its kind and its scheme. A NegTokenResp is never a first token.
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
    /// Creates a handshake on a connection with this channel binding.
    pub(super) fn new(scheme: Scheme, config: &Arc<AuthConfig>, binding: Option<ChannelBinding>) -> Self {
        let acceptor = match scheme {
            Scheme::Ntlm => Acceptor::Ntlm(ntlm::Acceptor::new(Arc::clone(&config.ntlm), binding)),
            Scheme::Negotiate | Scheme::Nego2 => {
                let ntlm = (!config.kerberos_only).then(|| Arc::clone(&config.ntlm));
                let both = spnego::AcceptorConfig { ntlm, kerberos: config.kerberos.clone() };
                Acceptor::Negotiate(Box::new(spnego::Acceptor::new(both, binding)))
            }
        };
        Self { config: Arc::clone(config), scheme, acceptor }
    }

    /// Returns the scheme of the handshake.
    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Takes a token of the client.
    pub(super) fn accept(&mut self, token: &[u8], request: &Request<'_>, replays: &Replays) -> Decision {
        match &mut self.acceptor {
            Acceptor::Ntlm(acceptor) => {
                let step = acceptor.accept(token, request.nonces.server_challenge, request.now);
                self.ntlm(step)
            }
            Acceptor::Negotiate(acceptor) => {
                let step = acceptor.accept(token, request.nonces, request.now, &mut replays.lock());
                self.negotiate(step, token)
            }
        }
    }

    /// Takes the DC's reply.
    pub(super) fn resume(&mut self, reply: &LogonReply) -> Decision {
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

    fn ntlm(&self, step: ntlm::Step) -> Decision {
        match step {
            ntlm::Step::Challenge(token) => self.proceed(token, None, None),
            ntlm::Step::NeedLogon(request) => Decision::NeedLogon(request),
            ntlm::Step::Authenticated(account) => self.ntlm_user(&account, Vec::new()),
            ntlm::Step::Refused(refusal) => {
                self.refuse(refusal.sc_win32_status(self.config.codes.bad_password), Vec::new(), None)
            }
        }
    }

    fn negotiate(&self, step: spnego::Step, token: &[u8]) -> Decision {
        match step {
            spnego::Step::Continue(token) => self.proceed(token, None, None),
            spnego::Step::NeedLogon(request) => Decision::NeedLogon(request),
            spnego::Step::Authenticated(done) => match done.identity {
                Identity::Ntlm(account) => self.ntlm_user(&account, done.token),
                Identity::Kerberos(accepted) => self.kerberos_user(&accepted, done.token),
            },
            spnego::Step::Refused(rejected) => self.rejected(*rejected, token),
        }
    }

    /// Refuses a token. A KRB-ERROR is sent to the client, as Windows does. After any other failure, the answer has
    /// schemes without a token.
    fn rejected(&self, Rejected { refusal, token, recoverable }: Rejected, received: &[u8]) -> Decision {
        let win32 = refusal.sc_win32_status(self.config.codes.bad_password);
        let code = match &refusal {
            Refusal::Kerberos(refusal) => refusal.krb_error(),
            _ => None,
        };
        let about_ticket = matches!(refusal, Refusal::Kerberos(_) | Refusal::Disabled(Package::Kerberos));
        let ticket = about_ticket.then(|| TicketSeen {
            client: None,
            service: service_of(received).unwrap_or_default(),
            error: code.map_or(win32, |code| code.0),
        });
        if recoverable {
            return self.proceed(token, ticket, Some(win32));
        }
        self.refuse(win32, if code.is_some() { token } else { Vec::new() }, ticket)
    }

    /// Answers 401 with a token, after which the client's next token is due. `ticket` is a ticket that was refused
    /// because of the client's clock. `win32` replaces the log's usual code for a challenge.
    fn proceed(&self, token: Vec<u8>, ticket: Option<TicketSeen>, win32: Option<u32>) -> Decision {
        Decision::Unauthorized(Unauthorized {
            substatus: LOGON_FAILED,
            win32: win32.unwrap_or(self.config.codes.challenge),
            challenge: Some(AuthToken { scheme: self.scheme, token }),
            refused: false,
            ticket,
        })
    }

    /// Ends the handshake with a 401. `token`, if not empty, tells the client the reason.
    fn refuse(&self, win32: u32, token: Vec<u8>, ticket: Option<TicketSeen>) -> Decision {
        let challenge = (!token.is_empty()).then_some(AuthToken { scheme: self.scheme, token });
        Decision::Unauthorized(Unauthorized { substatus: LOGON_FAILED, win32, challenge, refused: true, ticket })
    }

    fn ntlm_user(&self, account: &ntlm::Authenticated, token: Vec<u8>) -> Decision {
        let user = if account.anonymous {
            Principal::new(NULL_SESSION.0, NULL_SESSION.1)
        } else {
            Principal::new(&account.domain, &account.user)
        };
        let completed = Completed { scheme: self.scheme, token, persists: true, ticket: None };
        Decision::Serve(RequestIdentity { user: Some(user), delegated: false, completes: Some(completed) })
    }

    fn kerberos_user(&self, accepted: &Accepted, token: Vec<u8>) -> Decision {
        let user = self.config.principal(&accepted.client);
        let (client, service) = (Some(user.clone()), accepted.server.name.to_string());
        let ticket = Some(TicketSeen { client, service, error: 0 });
        let completed = Completed { scheme: self.scheme, token, persists: self.config.rules.persist_non_ntlm, ticket };
        let delegated = accepted.delegated.is_some();
        Decision::Serve(RequestIdentity { user: Some(user), delegated, completes: Some(completed) })
    }
}

/// Returns the service for which a token's ticket was issued, which the ticket states in plain text.
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
