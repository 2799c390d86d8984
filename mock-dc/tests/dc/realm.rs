//! A realm, and clients that ask its KDC for tickets.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::ap::{self, AcceptorConfig, Initiator, InitiatorConfig, ReplayCache};
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{Credential, Principal, PrincipalName};
use stickler_auth::status::NtStatus;
use stickler_mock_dc::{Directory, Ticket};
use stickler_model::Entropy;
use stickler_model::topology::{DomainSpec, ServiceSpec, TrustSpec, UserSpec};

use crate::client::{NOW, domain};

pub(crate) const REALM: &str = "CORP.EXAMPLE";
pub(crate) const PARTNER: &str = "PARTNER.EXAMPLE";
pub(crate) const WEB: &str = "HTTP/www.corp.example";

/// The number of iterations, which is small because the tests make many keys.
const ITERATIONS: u32 = 8;

/// One DC, and its decisions.
pub(crate) struct Kdc {
    pub(crate) directory: Directory,
    entropy: Entropy,
    pub(crate) log: Vec<Ticket>,
}

impl Kdc {
    /// Returns the realm `CORP.EXAMPLE` with [`domain`]'s users, `svc-web` with [`WEB`], and `iis1`.
    pub(crate) fn corp(lockout_threshold: Option<u32>) -> Self {
        let mut spec = domain(lockout_threshold);
        spec.users.push(UserSpec::new("svc-web", "svc-pw"));
        spec.services.push(service("svc-web", &[WEB]));
        spec.trusts.push(trust("PARTNER", "partner.example"));
        let mut kdc = Self::new(&spec);
        kdc.directory.add_machine("iis1", b"secret");
        kdc
    }

    /// Returns the realm `PARTNER.EXAMPLE`, with bob and the machine `web`.
    pub(crate) fn partner() -> Self {
        let mut spec = DomainSpec { netbios: "PARTNER".into(), dns: "partner.example".into(), ..domain(None) };
        spec.trusts.push(trust("CORP", "corp.example"));
        let mut kdc = Self::new(&spec);
        kdc.directory.add_machine("web", b"other secret");
        kdc
    }

    fn new(spec: &DomainSpec) -> Self {
        let entropy = Entropy::new(1, &spec.netbios);
        Self { directory: Directory::new(spec).with_iterations(ITERATIONS), entropy, log: Vec::new() }
    }

    /// Returns the errors that were answered, in order; 0 stands for a ticket.
    pub(crate) fn errors(&self) -> Vec<u32> {
        self.log.iter().map(|ticket| ticket.result.err().map_or(0, |code| code.0)).collect()
    }

    pub(crate) fn answer(&mut self, request: &[u8], now: FileTime) -> Vec<u8> {
        let ticket = self.directory.ticket(request, &self.entropy, now, false);
        let message = ticket.message.clone();
        self.log.push(ticket);
        message
    }
}

pub(crate) fn service(account: &str, spns: &[&str]) -> ServiceSpec {
    let spns = spns.iter().map(|&spn| spn.to_owned()).collect();
    ServiceSpec { account: account.into(), spns, trusted_for_delegation: false }
}

fn trust(netbios: &str, dns: &str) -> TrustSpec {
    TrustSpec { netbios: netbios.into(), dns: dns.into(), password: "trust-pw".into() }
}

/// Returns a client with this name, plain or `user@suffix`.
pub(crate) fn client(name: &str, password: &str) -> ClientConfig {
    let name = if name.contains('@') { PrincipalName::enterprise(name) } else { PrincipalName::user(name) };
    ClientConfig::new(Principal::new(name, REALM), Secret::Password(password.into()))
}

pub(crate) fn alice() -> ClientConfig {
    client("alice", "alice-pw")
}

/// Requests a ticket for `service` from these KDCs.
pub(crate) fn ticket(kdcs: &mut [Kdc], config: &ClientConfig, service: &str) -> Result<Credential, ClientError> {
    ticket_at(kdcs, config, service, NOW)
}

/// Requests a ticket like [`ticket`] from KDCs whose clock says `now`.
pub(crate) fn ticket_at(
    kdcs: &mut [Kdc],
    config: &ClientConfig,
    service: &str,
    now: FileTime,
) -> Result<Credential, ClientError> {
    let entropy = Entropy::new(2, "client");
    let nonces =
        || Nonces { nonce: u32::from_le_bytes(entropy.bytes()), confounder: entropy.bytes(), subkey: entropy.bytes() };
    let mut cache = CredentialCache::default();
    let name = PrincipalName::parse(service);
    let (mut acquire, mut step) = Acquire::service(Arc::new(config.clone()), name, &cache, nonces(), NOW);
    for _ in 0..20 {
        match step {
            Step::Done(ticket) => return Ok(*ticket),
            Step::Send { realm, request } => {
                let kdc = kdcs.iter_mut().find(|kdc| kdc.directory.realm() == realm).expect("a KDC of that realm");
                step = acquire.take(&kdc.answer(&request, now), &mut cache, nonces(), NOW)?;
            }
        }
    }
    panic!("no end of requests");
}

/// Returns the reason why one KDC refuses a ticket to a client: the Kerberos error, and the NTSTATUS that Windows adds.
pub(crate) fn refusal(kdc: &mut Kdc, config: &ClientConfig, service: &str) -> (KrbErrorCode, Option<NtStatus>) {
    match ticket(std::slice::from_mut(kdc), config, service) {
        Err(ClientError::Refused { code, status }) => (code, status),
        other => panic!("not refused: {other:?}"),
    }
}

/// Returns whether a service with these keys accepts the ticket, and for whom.
pub(crate) fn accepts(keys: ServiceKeys, ticket: &Credential) -> Result<Principal, ap::Refusal> {
    let nonces = || ap::Nonces { confounder: [1; 16], cred_confounder: [2; 16], subkey: [3; 32], sequence: 4 };
    let (token, _) = Initiator::start(&InitiatorConfig::default(), ticket, nonces(), NOW);
    let accepted = ap::accept(&AcceptorConfig::new(keys), None, &token, nonces(), NOW, &mut ReplayCache::default());
    accepted.map(|accepted| accepted.client).map_err(|rejected| rejected.refusal)
}

/// Restricts the client to RC4.
pub(crate) fn with_rc4(config: ClientConfig) -> ClientConfig {
    ClientConfig { etypes: vec![Etype::Rc4Hmac], ..config }
}

/// Returns an AS-REQ without pre-authentication.
pub(crate) fn first_request(name: &str) -> Vec<u8> {
    let nonces = Nonces { nonce: 1, confounder: [0; 16], subkey: [0; 32] };
    let config = Arc::new(client(name, ""));
    let (_, step) = Acquire::service(config, PrincipalName::parse(WEB), &CredentialCache::default(), nonces, NOW);
    let Step::Send { request, .. } = step else { panic!("{step:?}") };
    request
}
