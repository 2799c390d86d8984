//! Carries a state machine through a request: gives it randomness and time, and asks the DC for it.

use std::sync::{Arc, PoisonError};

use stickler_auth::FileTime;
use stickler_auth::http::TokenKind;
use stickler_auth::kerberos::ap;
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::spnego::Nonces;
use stickler_auth::status::NtStatus;
use stickler_model::{Entropy, Env, Principal, RequestId, What};
use stickler_net::Net;
use stickler_netlogon::{ChannelConfig, SecureChannel};

use crate::WebSite;
use crate::authn::{Completed, Decision, Request, TicketSeen, Turn, Unauthorized};
use crate::credentials::Presented;

/// Who decides logons: the domain's DCs over the machine's secure channel, and its own accounts.
pub(crate) struct Authority {
    env: Env,
    site: Arc<WebSite>,
    dc: Option<SecureChannel>,
}

/// Who a request is from, and the handshake that it ends.
pub(crate) struct Granted {
    pub(crate) user: Option<Principal>,
    /// Whether the application can act in the user's name elsewhere.
    pub(crate) delegated: bool,
    pub(crate) completes: Option<Completed>,
}

impl Authority {
    /// Starts the secure channel of a site's machine, where it is joined.
    pub(crate) fn new<N: Net>(net: &N, env: Env, site: Arc<WebSite>) -> Self {
        let dc = site.accounts.dc.as_ref().map(|link| {
            let config = ChannelConfig {
                machine: site.machine(),
                secret: Arc::clone(&link.secret),
                controllers: link.addresses.clone(),
                timeouts: site.limits.netlogon(),
            };
            SecureChannel::new(net, &config, &site.logons)
        });
        Self { env, site, dc }
    }

    /// Decides on a request of this connection, which has `Via` or not. `turn` is the state machine's; its lock must not be
    /// held between two calls.
    ///
    /// # Errors
    /// The 401 that the request gets.
    pub(crate) async fn decide(
        &self,
        (connection, id): (u32, Option<RequestId>),
        (presented, via): (&Presented, bool),
        turn: impl Fn(Turn<'_>) -> Decision + Send,
    ) -> Result<Granted, Unauthorized> {
        let now = match presented {
            Presented::Token { .. } => FileTime(self.env.clock.filetime()),
            _ => FileTime(0),
        };
        let nonces = nonces(presented, &self.env.entropy);
        let mut decision = turn(Turn::Request(Request { presented, nonces, now, via }));
        loop {
            match decision {
                Decision::Serve { user, delegated, completes } => {
                    self.note(connection, id, completes.as_ref().and_then(|done| done.ticket.as_ref()));
                    return Ok(Granted { user, delegated, completes });
                }
                Decision::Unauthorized(refused) => {
                    self.note(connection, id, refused.ticket.as_ref());
                    return Err(refused);
                }
                Decision::NeedLogon(request) => {
                    let reply = self.logon(request, connection, id).await;
                    decision = turn(Turn::Logon(&reply));
                }
            }
        }
    }

    fn note(&self, connection: u32, request: Option<RequestId>, ticket: Option<&TicketSeen>) {
        if let Some(TicketSeen { client, service, error }) = ticket.cloned() {
            self.env.record(What::ServerTicket { connection, request, client, service, error });
        }
    }

    /// Asks the DC; then the SAM, where there is no DC or the DC says that the domain is not its own.
    async fn logon(&self, request: LogonRequest, connection: u32, id: Option<RequestId>) -> LogonReply {
        let Some(dc) = &self.dc else { return self.sam(&request) };
        let account = Principal::new(&request.logon_domain, &request.user);
        let outcome = dc.logon(&request).await;
        // The channel's tasks end with their host, and so does this one: `None` is seen by nobody.
        let Some(outcome) = outcome else { return LogonReply::refused(NtStatus::NO_LOGON_SERVERS, true) };
        self.env.record(What::ServerLogon {
            connection,
            request: id,
            logon: outcome.number,
            account,
            status: outcome.reply.status.0,
        });
        let elsewhere = !outcome.reply.authoritative && !outcome.reply.status.is_success();
        if elsewhere { self.sam_or(&request, outcome.reply) } else { outcome.reply }
    }

    fn sam_or(&self, request: &LogonRequest, otherwise: LogonReply) -> LogonReply {
        let mut sam = self.site.accounts.sam.lock().unwrap_or_else(PoisonError::into_inner);
        if sam.is_empty() { otherwise } else { sam.logon(request) }
    }

    fn sam(&self, request: &LogonRequest) -> LogonReply {
        self.site.accounts.sam.lock().unwrap_or_else(PoisonError::into_inner).logon(request)
    }
}

/// Random bytes for what a request presents, and none beyond that: NTLM draws the same with and without
/// Kerberos beside it.
fn nonces(presented: &Presented, entropy: &Entropy) -> Nonces {
    let nothing = ap::Nonces { confounder: [0; 16], cred_confounder: [0; 16], subkey: [0; 32], sequence: 0 };
    match presented {
        Presented::Token { kind, .. } => Nonces {
            server_challenge: entropy.bytes(),
            kerberos: match kind {
                TokenKind::Spnego | TokenKind::Kerberos => ap::Nonces {
                    confounder: entropy.bytes(),
                    subkey: entropy.bytes(),
                    sequence: u32::from_le_bytes(entropy.bytes()),
                    ..nothing
                },
                _ => nothing,
            },
        },
        _ => Nonces { server_challenge: [0; 8], kerberos: nothing },
    }
}
