//! Tickets of the user at a client: from a cache, else from a KDC over TCP (RFC 4120 7.2.2).
//!
//! A KDC that does not answer is left alone for a while, so that a client which cannot reach it falls
//! back at once after the first time, as Windows does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{Credential, KerberosTime, Principal, PrincipalName, ap};
use stickler_auth::ntlm;
use stickler_auth::spnego::KerberosOffer;
use stickler_model::{Env, Identity, Time};
use stickler_net::Net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::agent::Fresh;

/// How long a KDC has to answer one message.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a KDC that did not answer is left alone (Windows: `FarKdcTimeout` and the locator's negative
/// cache, 45 s by default).
const LEFT_ALONE: Duration = Duration::from_secs(45);

/// Longest reply that is read, in bytes.
const MOST_REPLY: u32 = 64 * 1024;

/// Where the KDCs of realms are; the first is that of the client's own.
#[derive(Clone, Default)]
pub(crate) struct Kdcs(Vec<(String, SocketAddr)>);

/// A client's host: its network, its surroundings, how far its clock is ahead, in seconds, and the binding of the
/// connection in use.
pub(crate) struct Host<'a, N> {
    pub(crate) net: &'a N,
    pub(crate) env: &'a Env,
    pub(crate) skew: i64,
    pub(crate) binding: Option<ChannelBinding>,
}

/// What one user has of Kerberos.
pub(crate) struct Wallet {
    user: String,
    password: String,
    purse: Mutex<Purse>,
}

#[derive(Default)]
struct Purse {
    tickets: CredentialCache,
    /// The TGT that goes along where the client delegates.
    forwarded: Option<Credential>,
    silent_until: Option<Time>,
}

/// Why there is no ticket.
enum Failure {
    /// Nobody answers.
    Silent,
    /// The KDC says no, or not what was asked.
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

/// The service of a site, by its name in `Host`: an address is no name that a KDC knows.
pub(crate) fn service(host: &str) -> Option<PrincipalName> {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    (!address && !host.is_empty()).then(|| PrincipalName::service("HTTP", host))
}

impl Wallet {
    pub(crate) fn new(identity: &Identity) -> Self {
        let (user, password) = (identity.principal.user().to_owned(), identity.password.clone());
        Self { user, password, purse: Mutex::default() }
    }

    /// The ticket for a service, with the user's TGT where it `delegates`. `None`: there is none to be had.
    /// One request at a time asks the KDC.
    pub(crate) async fn ticket<N: Net>(
        &self,
        host: &Host<'_, N>,
        kdcs: &Kdcs,
        service: &PrincipalName,
        delegates: bool,
    ) -> Option<Arc<KerberosOffer>> {
        let mut purse = self.purse.lock().await;
        let (realm, _) = kdcs.0.first()?;
        let client = Principal::new(PrincipalName::user(&self.user), realm);
        let config = Arc::new(ClientConfig::new(client, Secret::Password(self.password.clone())));
        let credential = purse.get(host, kdcs, (&config, service)).await?;
        let mut ap = ap::InitiatorConfig::default();
        if delegates {
            ap.delegate = purse.forwarded(host, kdcs, &config).await;
        }
        Some(Arc::new(KerberosOffer { config: ap, credential }))
    }

    /// Forgets the ticket for a service: a server refused it.
    pub(crate) async fn forget(&self, service: &PrincipalName) {
        self.purse.lock().await.tickets.remove(service);
    }
}

impl Purse {
    async fn get<N: Net>(
        &mut self,
        host: &Host<'_, N>,
        kdcs: &Kdcs,
        (config, service): (&Arc<ClientConfig>, &PrincipalName),
    ) -> Option<Credential> {
        if let Some(ticket) = self.tickets.get(service, KerberosTime::from_file_time(host.now())) {
            return Some(ticket.clone());
        }
        if self.silent_until.is_some_and(|until| host.env.clock.now() < until) {
            return None;
        }
        // The clock's error was learned with the TGT, and is forgotten by now: with a new one it is learned again.
        for _ in 0..2 {
            let config = Arc::clone(config);
            let first = Acquire::service(config, service.clone(), &self.tickets, host.nonces(), host.now());
            match carry(host, kdcs, first, &mut self.tickets).await {
                Ok(ticket) => return Some(ticket),
                Err(Failure::Refused(ClientError::Refused { code: KrbErrorCode::SKEW, .. })) => self.tickets.clear(),
                Err(Failure::Refused(_)) => return None,
                Err(Failure::Silent) => {
                    self.silent_until = Some(host.env.clock.now() + LEFT_ALONE);
                    return None;
                }
            }
        }
        None
    }

    async fn forwarded<N: Net>(
        &mut self,
        host: &Host<'_, N>,
        kdcs: &Kdcs,
        config: &Arc<ClientConfig>,
    ) -> Option<Credential> {
        let now = KerberosTime::from_file_time(host.now());
        if self.forwarded.as_ref().is_none_or(|tgt| !tgt.holds_at(now)) {
            let first = Acquire::forwarded_tgt(Arc::clone(config), &self.tickets, host.nonces(), host.now());
            self.forwarded = carry(host, kdcs, first, &mut self.tickets).await.ok();
        }
        self.forwarded.clone()
    }
}

/// Carries messages between a client and the KDCs until there is a ticket.
async fn carry<N: Net>(
    host: &Host<'_, N>,
    kdcs: &Kdcs,
    (mut acquire, mut step): (Acquire, Step),
    cache: &mut CredentialCache,
) -> Result<Credential, Failure> {
    loop {
        match step {
            Step::Done(ticket) => return Ok(*ticket),
            Step::Send { realm, request } => {
                let kdc = kdcs.address(&realm).ok_or(Failure::Silent)?;
                let reply = timeout(PATIENCE, ask(host.net, kdc, &request)).await;
                let Ok(Ok(reply)) = reply else { return Err(Failure::Silent) };
                step = acquire.take(&reply, cache, host.nonces(), host.now()).map_err(Failure::Refused)?;
            }
        }
    }
}

/// One message to a KDC and its reply, each behind its length in 4 bytes.
async fn ask<N: Net>(net: &N, kdc: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = net.connect(kdc).await?;
    let length = u32::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), request].concat()).await?;
    let length = stream.read_u32().await?;
    if length > MOST_REPLY {
        return Err(io::Error::other("the KDC's reply is longer than any genuine one"));
    }
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

impl<N> Host<'_, N> {
    fn nonces(&self) -> Nonces {
        let entropy = &self.env.entropy;
        Nonces { nonce: u32::from_le_bytes(entropy.bytes()), confounder: entropy.bytes(), subkey: entropy.bytes() }
    }
}

impl<N> Fresh for Host<'_, N> {
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
