//! Decides on requests with an authentication state: supplies it with randomness and time, and asks the DC on its
//! behalf.

use std::sync::Arc;

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
use crate::authn::{AuthState, Decision, Request, RequestIdentity, TicketSeen, Turn, Unauthorized};
use crate::credentials::Presented;

/// Decides logons: by the domain's DCs, over the machine's secure channel, and by the machine's own accounts.
pub(crate) struct Authority {
    env: Env,
    site: Arc<WebSite>,
    dc: Option<SecureChannel>,
}

/// A request that must be decided.
#[derive(Clone, Copy)]
pub(crate) struct AuthRequest<'a> {
    /// The number of the request's connection in the trace.
    pub(crate) connection: u32,
    pub(crate) id: Option<RequestId>,
    pub(crate) presented: &'a Presented,
    /// Whether the request has a `Via` field.
    pub(crate) via: bool,
}

impl Authority {
    /// Starts the secure channel of the site's machine, if the machine is joined to a domain.
    pub(crate) fn new<N: Net>(net: &N, env: Env, site: Arc<WebSite>) -> Self {
        let dc = site.accounts.dc.as_ref().map(|link| {
            let config = ChannelConfig {
                machine: site.machine(),
                secret: Arc::clone(&link.secret),
                controllers: link.addresses.clone(),
                timeouts: site.limits.netlogon(),
                max_concurrent_api: site.max_concurrent_api,
            };
            SecureChannel::new(net, &config, &site.logons)
        });
        Self { env, site, dc }
    }

    /// Returns the environment of the server.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Returns the NetBIOS name of the domain of a user who is named without a domain.
    pub(crate) fn domain(&self) -> &str {
        &self.site.domain
    }

    /// Decides on a request by the state of its connection.
    ///
    /// # Errors
    /// The error is the 401 with which the request must be answered.
    pub(crate) async fn decide(
        &self,
        request: AuthRequest<'_>,
        state: &impl AuthState,
    ) -> Result<RequestIdentity, Unauthorized> {
        let AuthRequest { presented, via, .. } = request;
        let now = match presented {
            Presented::Token { .. } => FileTime(self.env.clock.filetime()),
            _ => FileTime(0),
        };
        let nonces = nonces(presented, &self.env.entropy);
        let mut decision = state.turn(Turn::Request(Request { presented, nonces, now, via }));
        loop {
            match decision {
                Decision::Serve(identity) => {
                    let ticket = identity.completes.as_ref().and_then(|completed| completed.ticket.as_ref());
                    self.record_ticket(request, ticket);
                    return Ok(identity);
                }
                Decision::Unauthorized(refused) => {
                    self.record_ticket(request, refused.ticket.as_ref());
                    return Err(refused);
                }
                Decision::NeedLogon(logon) => {
                    let reply = self.logon(logon, request).await;
                    decision = state.turn(Turn::Logon(&reply));
                }
            }
        }
    }

    fn record_ticket(&self, AuthRequest { connection, id: request, .. }: AuthRequest<'_>, ticket: Option<&TicketSeen>) {
        if let Some(TicketSeen { client, service, error }) = ticket.cloned() {
            self.env.record(What::ServerTicket { connection, request, client, service, error });
        }
    }

    /// Asks the DC. If there is no DC, or if the DC answers that the domain is not its own, asks the SAM.
    async fn logon(&self, logon: LogonRequest, request: AuthRequest<'_>) -> LogonReply {
        let Some(dc) = &self.dc else { return self.site.accounts.sam.lock().logon(&logon) };
        let account = Principal::new(&logon.logon_domain, &logon.user);
        let outcome = dc.logon(&logon).await;
        // The channel's tasks end only when their host ends. This task ends then as well, so that nobody sees this
        // reply.
        let Some(outcome) = outcome else { return LogonReply::refused(NtStatus::NO_LOGON_SERVERS, true) };
        self.env.record(What::ServerLogon {
            connection: request.connection,
            request: request.id,
            logon: outcome.number,
            account,
            status: outcome.reply.status.0,
        });
        let foreign = !outcome.reply.authoritative && !outcome.reply.status.is_success();
        if foreign { self.sam_or(&logon, outcome.reply) } else { outcome.reply }
    }

    /// Asks the SAM, or returns `otherwise` if it has no accounts.
    fn sam_or(&self, logon: &LogonRequest, otherwise: LogonReply) -> LogonReply {
        let mut sam = self.site.accounts.sam.lock();
        if sam.is_empty() { otherwise } else { sam.logon(logon) }
    }
}

/// Draws only the random bytes that a request can require. Therefore NTLM draws the same bytes with and without
/// Kerberos.
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
