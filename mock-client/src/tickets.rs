//! The Kerberos tickets of the user at a client: from a cache, or from a KDC over TCP (RFC 4120 7.2.2).
//!
//! A KDC that does not answer is not asked again for a while. Therefore a client that cannot reach it falls back at
//! once after the first attempt, as Windows does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{Credential, KerberosTime, Principal, PrincipalName, ap};
use stickler_auth::ntlm;
use stickler_auth::spnego::KerberosOffer;
use stickler_model::capabilities::{KDC_LEFT_ALONE, KDC_PATIENCE};
use stickler_model::{Env, Identity, Time};
use stickler_net::Net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::agent::Fresh;

/// The maximum length of a reply that is accepted, in bytes.
const MAX_REPLY: u32 = 64 * 1024;

/// The realms and the addresses of their KDCs. The first is the realm of the client's user.
#[derive(Clone, Default)]
pub(crate) struct Kdcs(Vec<(String, SocketAddr)>);

/// The context in which a token is made.
pub(crate) struct TokenContext<'a, N> {
    pub(crate) net: &'a N,
    pub(crate) env: &'a Env,
    /// The number of seconds by which the client's clock is ahead.
    pub(crate) skew: i64,
    /// The channel binding of the connection in use.
    pub(crate) binding: Option<ChannelBinding>,
}

/// One user's Kerberos tickets, and the password to get more.
pub(crate) struct TicketCache {
    user: String,
    password: String,
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    tickets: CredentialCache,
    /// The ticket-granting ticket that a delegating client passes on.
    forwarded: Option<Credential>,
    /// The time until which the KDC is not asked again, because it did not answer.
    silent_until: Option<Time>,
}

/// The reason why no ticket is available.
enum Failure {
    /// No KDC answers.
    Silent,
    /// The KDC refused the request, or its reply is not valid.
    Refused(ClientError),
}

impl Kdcs {
    pub(crate) fn add(&mut self, realm: &str, address: SocketAddr) {
        self.0.push((realm.to_uppercase(), address));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn address(&self, realm: &str) -> Option<SocketAddr> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(realm)).map(|&(_, address)| address)
    }
}

/// Returns the service name of a site, given its name in `Host`. A KDC has no service for an IP address.
pub(crate) fn service(host: &str) -> Option<PrincipalName> {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    (!address && !host.is_empty()).then(|| PrincipalName::service("HTTP", host))
}

impl TicketCache {
    pub(crate) fn new(identity: &Identity) -> Self {
        let (user, password) = (identity.principal.user().to_owned(), identity.password.clone());
        Self { user, password, state: Mutex::default() }
    }

    /// Returns a ticket for a service. If `delegates` is set, the user's ticket-granting ticket comes with it. If
    /// `mutual` is set, the service must prove its identity. Returns `None` if no ticket is available. Only one request
    /// at a time asks the KDC.
    pub(crate) async fn ticket<N: Net>(
        &self,
        context: &TokenContext<'_, N>,
        kdcs: &Kdcs,
        service: &PrincipalName,
        delegates: bool,
        mutual: bool,
    ) -> Option<Arc<KerberosOffer>> {
        let mut state = self.state.lock().await;
        let (realm, _) = kdcs.0.first()?;
        let client = Principal::new(PrincipalName::user(&self.user), realm);
        let config = Arc::new(ClientConfig::new(client, Secret::Password(self.password.clone())));
        let credential = state.get(context, kdcs, &config, service).await?;
        let mut ap = ap::InitiatorConfig { mutual, ..ap::InitiatorConfig::default() };
        if delegates {
            ap.delegate = state.forwarded(context, kdcs, &config).await;
        }
        Some(Arc::new(KerberosOffer { config: ap, credential }))
    }

    /// Removes the ticket for a service, because a server refused it.
    pub(crate) async fn forget(&self, service: &PrincipalName) {
        self.state.lock().await.tickets.remove(service);
    }
}

impl CacheState {
    async fn get<N: Net>(
        &mut self,
        context: &TokenContext<'_, N>,
        kdcs: &Kdcs,
        config: &Arc<ClientConfig>,
        service: &PrincipalName,
    ) -> Option<Credential> {
        if let Some(ticket) = self.tickets.get(service, KerberosTime::from_file_time(context.now())) {
            return Some(ticket.clone());
        }
        if self.silent_until.is_some_and(|until| context.env.clock.now() < until) {
            return None;
        }
        // The error of the clock was learned with the ticket-granting ticket, and may have been lost since then. It is
        // learned again with a new ticket-granting ticket.
        for _ in 0..2 {
            let config = Arc::clone(config);
            let first = Acquire::service(config, service.clone(), &self.tickets, context.nonces(), context.now());
            match exchange(context, kdcs, first, &mut self.tickets).await {
                Ok(ticket) => return Some(ticket),
                Err(Failure::Refused(ClientError::Refused { code: KrbErrorCode::SKEW, .. })) => self.tickets.clear(),
                Err(Failure::Refused(_)) => return None,
                Err(Failure::Silent) => {
                    self.silent_until = Some(context.env.clock.now() + KDC_LEFT_ALONE);
                    return None;
                }
            }
        }
        None
    }

    async fn forwarded<N: Net>(
        &mut self,
        context: &TokenContext<'_, N>,
        kdcs: &Kdcs,
        config: &Arc<ClientConfig>,
    ) -> Option<Credential> {
        let now = KerberosTime::from_file_time(context.now());
        if self.forwarded.as_ref().is_none_or(|tgt| !tgt.holds_at(now)) {
            let first = Acquire::forwarded_tgt(Arc::clone(config), &self.tickets, context.nonces(), context.now());
            self.forwarded = exchange(context, kdcs, first, &mut self.tickets).await.ok();
        }
        self.forwarded.clone()
    }
}

/// Exchanges messages with the KDCs until there is a ticket.
async fn exchange<N: Net>(
    context: &TokenContext<'_, N>,
    kdcs: &Kdcs,
    (mut acquire, mut step): (Acquire, Step),
    cache: &mut CredentialCache,
) -> Result<Credential, Failure> {
    loop {
        match step {
            Step::Done(ticket) => return Ok(*ticket),
            Step::Send { realm, request } => {
                let kdc = kdcs.address(&realm).ok_or(Failure::Silent)?;
                let reply = timeout(KDC_PATIENCE, ask(context.net, kdc, &request)).await;
                let Ok(Ok(reply)) = reply else { return Err(Failure::Silent) };
                step = acquire.take(&reply, cache, context.nonces(), context.now()).map_err(Failure::Refused)?;
            }
        }
    }
}

/// Sends a message to a KDC and returns its reply. Each message is preceded by its length in 4 bytes.
async fn ask<N: Net>(net: &N, kdc: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = net.connect(kdc).await?;
    let length = u32::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), request].concat()).await?;
    let length = stream.read_u32().await?;
    if length > MAX_REPLY {
        return Err(io::Error::other("the KDC's reply is longer than any genuine one"));
    }
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

impl<N> TokenContext<'_, N> {
    fn nonces(&self) -> Nonces {
        let entropy = &self.env.entropy;
        Nonces { nonce: u32::from_le_bytes(entropy.bytes()), confounder: entropy.bytes(), subkey: entropy.bytes() }
    }
}

impl<N> Fresh for TokenContext<'_, N> {
    fn ntlm(&self) -> ntlm::initiator::Nonces {
        let entropy = &self.env.entropy;
        ntlm::initiator::Nonces { client_challenge: entropy.bytes(), exported_session_key: entropy.bytes() }
    }

    fn kerberos(&self) -> ap::Nonces {
        let entropy = &self.env.entropy;
        ap::Nonces {
            confounder: entropy.bytes(),
            cred_confounder: entropy.bytes(),
            subkey: entropy.bytes(),
            sequence: u32::from_le_bytes(entropy.bytes()),
        }
    }

    fn now(&self) -> FileTime {
        let ahead = self.skew.saturating_mul(FileTime::TICKS_PER_SECOND.cast_signed());
        FileTime(self.env.clock.filetime().saturating_add_signed(ahead))
    }

    fn binding(&self) -> Option<ChannelBinding> {
        self.binding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_service_name() {
        assert_eq!(service("www.corp.example").unwrap().to_string(), "HTTP/www.corp.example");
        for host in ["10.0.0.1", "[::1]", "::1", ""] {
            assert!(service(host).is_none(), "{host}");
        }
    }
}
