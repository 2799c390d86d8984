//! A realm in memory for the Kerberos tests: accounts, a trust, a KDC, and clients of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::ap::{self, AcceptorConfig, ReplayCache};
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::crypto::{Etype, Key};
use stickler_auth::kerberos::kdc::{self, Account, Answer, KdcConfig, Lookup, Outcome, Principals};
use stickler_auth::kerberos::keys::{LongTermKey, ServiceKeys, keys_from_password, user_salt};
use stickler_auth::kerberos::{Credential, Principal, PrincipalName};

use crate::common::{NOW, PASSWORD};

pub(crate) const REALM: &str = "CORP.EXAMPLE";
pub(crate) const PARTNER: &str = "PARTNER.EXAMPLE";
pub(crate) const SERVICE: &str = "HTTP/app.corp.example";

/// The number of iterations, which is small because the tests make many keys.
const ITERATIONS: u32 = 8;

/// The directory and the rules of a realm.
pub(crate) struct Realm {
    pub(crate) config: KdcConfig,
    pub(crate) clients: BTreeMap<String, Account>,
    pub(crate) services: BTreeMap<String, Lookup>,
    pub(crate) krbtgt: Arc<Account>,
    pub(crate) trusts: BTreeMap<String, Arc<Account>>,
    /// The answers, in order.
    pub(crate) log: Vec<Outcome>,
}

impl Realm {
    /// Creates a realm with the user `alice` and one service, whose keys have the types `etypes`.
    pub(crate) fn new(name: &str, etypes: &[Etype]) -> Self {
        let account = |principal: &str, password: &str| account(name, principal, password, etypes);
        let mut config = KdcConfig::new(name);
        config.etypes = etypes.to_vec();
        let service = Lookup::Found(Arc::new(account(SERVICE, "service-password")));
        Self {
            config,
            clients: BTreeMap::from([("alice".to_owned(), account("alice", PASSWORD))]),
            services: BTreeMap::from([(SERVICE.to_owned(), service)]),
            krbtgt: Arc::new(account("krbtgt", "krbtgt-password")),
            trusts: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// Returns the keys of the service, as its server has them.
    pub(crate) fn service_keys(&self) -> Vec<LongTermKey> {
        match &self.services[SERVICE] {
            Lookup::Found(account) => account.keys.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn answer(&mut self, request: &[u8], round: u8, now: FileTime) -> Answer {
        let nonces = kdc::Nonces {
            session_key: [round ^ 0x11; 32],
            ticket_confounder: [round ^ 0x22; 16],
            reply_confounder: [round ^ 0x33; 16],
        };
        let answer = kdc::answer(&self.config, &*self, request, nonces, now);
        self.log.push(answer.outcome.clone());
        answer
    }
}

impl Principals for Realm {
    fn client(&self, name: &PrincipalName) -> Lookup {
        let text = name.to_string().to_lowercase();
        let plain = text.strip_suffix("@corp.example").unwrap_or(&text);
        if text.ends_with("@partner.example") {
            return Lookup::Referral(PARTNER.into());
        }
        self.clients.get(plain).map_or(Lookup::Unknown, |account| Lookup::Found(Arc::new(account.clone())))
    }

    fn service(&self, name: &PrincipalName) -> Lookup {
        self.services.get(&name.to_string()).cloned().unwrap_or(Lookup::Unknown)
    }

    fn krbtgt(&self) -> Arc<Account> {
        Arc::clone(&self.krbtgt)
    }

    fn trust(&self, realm: &str) -> Option<Arc<Account>> {
        self.trusts.get(realm).cloned()
    }
}

/// Returns an account with keys that are derived from a password.
pub(crate) fn account(realm: &str, name: &str, password: &str, etypes: &[Etype]) -> Account {
    let name = PrincipalName::parse(name);
    let salt = user_salt(realm, &name);
    let keys = keys_from_password(password, &salt, 2, etypes, Some(ITERATIONS)).unwrap();
    Account { iterations: Some(ITERATIONS), ..Account::new(name, keys, &salt) }
}

/// Returns a client of `alice` with that password.
pub(crate) fn client(password: &str, etypes: &[Etype]) -> ClientConfig {
    let alice = Principal::new(PrincipalName::user("alice"), REALM);
    ClientConfig { etypes: etypes.to_vec(), ..ClientConfig::new(alice, Secret::Password(password.into())) }
}

pub(crate) fn client_nonces(round: u8) -> Nonces {
    Nonces { nonce: 0x8000_0000 | u32::from(round), confounder: [round; 16], subkey: [round ^ 0x77; 32] }
}

pub(crate) fn ap_nonces(round: u8) -> ap::Nonces {
    let confounder = [round; 16];
    ap::Nonces { confounder, cred_confounder: [round ^ 0x44; 16], subkey: [round ^ 0x55; 32], sequence: round.into() }
}

/// Carries messages between a client and its realms until there is a ticket.
pub(crate) fn acquire(
    realms: &mut [Realm],
    config: &ClientConfig,
    service: &str,
    cache: &mut CredentialCache,
) -> Result<Credential, ClientError> {
    let service = PrincipalName::parse(service);
    let (acquire, step) = Acquire::service(Arc::new(config.clone()), service, cache, client_nonces(1), NOW);
    carry(realms, acquire, step, cache, NOW)
}

/// Does the same as [`acquire`], from any first step. The KDCs' clock is `kdc_now`.
pub(crate) fn carry(
    realms: &mut [Realm],
    mut acquire: Acquire,
    mut step: Step,
    cache: &mut CredentialCache,
    kdc_now: FileTime,
) -> Result<Credential, ClientError> {
    for round in 2..40 {
        match step {
            Step::Done(ticket) => return Ok(*ticket),
            Step::Send { realm, request } => {
                let kdc = realms.iter_mut().find(|each| each.config.realm == realm).expect("a KDC of that realm");
                let answer = kdc.answer(&request, round, kdc_now);
                step = acquire.take(&answer.message, cache, client_nonces(round), NOW)?;
            }
        }
    }
    panic!("no end of requests")
}

/// Returns Alice's ticket for the service, and a server that has the key.
pub(crate) fn ticket_and_server(etype: Etype) -> (Credential, AcceptorConfig) {
    let mut realm = Realm::new(REALM, &[etype]);
    let server = AcceptorConfig::new(ServiceKeys::new(&realm.service_keys()));
    let ticket = acquire(
        std::slice::from_mut(&mut realm),
        &client(PASSWORD, &[etype]),
        SERVICE,
        &mut CredentialCache::default(),
    );
    (ticket.unwrap(), server)
}

/// Passes an AP-REQ to a server whose replay cache is empty.
pub(crate) fn accept(server: &AcceptorConfig, token: &[u8]) -> Result<ap::Accepted, ap::Rejected> {
    ap::accept(server, None, token, ap_nonces(9), NOW, &mut ReplayCache::default())
}

/// Returns a key that no account has.
pub(crate) fn stray_key(etype: Etype, kvno: u32) -> LongTermKey {
    LongTermKey { kvno, key: Key::from_random(etype, &[0xEE; 32]) }
}
