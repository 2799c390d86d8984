//! A KDC in memory, and the tokens that its clients present.

use std::collections::BTreeMap;
use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::kerberos::ap;
use stickler_auth::kerberos::client::{Acquire, ClientConfig, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::kdc::{self, Account, KdcConfig, Lookup, Principals};
use stickler_auth::kerberos::keys::{ServiceKeys, keys_from_password, user_salt};
use stickler_auth::kerberos::{Credential, Principal, PrincipalName};
use stickler_auth::ntlm;
use stickler_auth::spnego::{Initiator, InitiatorConfig, InitiatorNonces, KerberosOffer};

use crate::bench::NOW;

pub(crate) const REALM: &str = "CORP.EXAMPLE";
/// The name of the farm. All servers may run as the account that has this name.
pub(crate) const FARM: &str = "HTTP/www.corp.example";
/// The name of one machine.
pub(crate) const MACHINE: &str = "HTTP/iis1.corp.example";

/// A realm with alice and bob, the services `svc-web` and `IIS1$`, and `krbtgt`. Its keys use few iterations.
pub(crate) struct Realm {
    accounts: BTreeMap<&'static str, Arc<Account>>,
}

impl Realm {
    pub(crate) fn new() -> Self {
        let account = |name: &'static str| {
            let principal = PrincipalName::user(name);
            let salt = user_salt(REALM, &principal);
            let keys = keys_from_password(&format!("{name}-pw"), &salt, 1, &[Etype::Aes256Sha1], Some(8)).unwrap();
            (name, Arc::new(Account { iterations: Some(8), ..Account::new(principal, keys, &salt) }))
        };
        Self { accounts: ["alice", "bob", "svc-web", "IIS1$", "krbtgt"].into_iter().map(account).collect() }
    }

    /// Returns the keys of an account in the form that its server has.
    pub(crate) fn keys(&self, account: &str) -> ServiceKeys {
        ServiceKeys::new(&self.accounts[account].keys)
    }

    /// Returns the user's ticket for a service, and a TGT to delegate.
    pub(crate) fn ticket(&self, user: &str, service: &str) -> (Credential, Credential) {
        let client = Principal::new(PrincipalName::user(user), REALM);
        let config = Arc::new(ClientConfig::new(client, Secret::Password(format!("{user}-pw"))));
        let mut cache = CredentialCache::default();
        let first = Acquire::service(Arc::clone(&config), PrincipalName::parse(service), &cache, nonces(1), NOW);
        let ticket = self.carry(first, &mut cache);
        let second = Acquire::forwarded_tgt(config, &cache, nonces(50), NOW);
        (ticket, self.carry(second, &mut cache))
    }

    fn carry(&self, (mut acquire, mut step): (Acquire, Step), cache: &mut CredentialCache) -> Credential {
        let config = KdcConfig { etypes: vec![Etype::Aes256Sha1], ..KdcConfig::new(REALM) };
        for round in 2..20 {
            match step {
                Step::Done(ticket) => return *ticket,
                Step::Send { request, .. } => {
                    let nonces_of_kdc = kdc::Nonces {
                        session_key: [round ^ 0x11; 32],
                        ticket_confounder: [round ^ 0x22; 16],
                        reply_confounder: [round ^ 0x33; 16],
                    };
                    let answer = kdc::answer(&config, self, &request, nonces_of_kdc, NOW);
                    step = acquire.take(&answer.message, cache, nonces(round), NOW).unwrap();
                }
            }
        }
        panic!("no end of requests")
    }
}

impl Principals for Realm {
    fn client(&self, name: &PrincipalName) -> Lookup {
        let account = self.accounts.get(name.to_string().as_str());
        account.map_or(Lookup::Unknown, |account| Lookup::Found(Arc::clone(account)))
    }

    fn service(&self, name: &PrincipalName) -> Lookup {
        let owner = match name.to_string().as_str() {
            FARM => "svc-web",
            MACHINE | "HTTP/iis1" => "IIS1$",
            _ => return Lookup::Unknown,
        };
        Lookup::Found(Arc::clone(&self.accounts[owner]))
    }

    fn krbtgt(&self) -> Arc<Account> {
        Arc::clone(&self.accounts["krbtgt"])
    }

    fn trust(&self, _: &str) -> Option<Arc<Account>> {
        None
    }
}

fn nonces(round: u8) -> Nonces {
    Nonces { nonce: u32::from(round), confounder: [round; 16], subkey: [round ^ 0x77; 32] }
}

/// Returns random bytes for one token.
pub(crate) fn fresh(round: u8) -> InitiatorNonces {
    let kerberos = ap::Nonces {
        confounder: [round; 16],
        cred_confounder: [round ^ 0x44; 16],
        subkey: [round ^ 0x55; 32],
        sequence: round.into(),
    };
    let ntlm = ntlm::initiator::Nonces { client_challenge: [round; 8], exported_session_key: [round; 16] };
    InitiatorNonces { kerberos, ntlm }
}

/// The way in which a client uses a ticket.
#[derive(Clone, Copy, Default)]
pub(crate) struct Use {
    /// Whether the ticket is sent without SPNEGO.
    pub(crate) raw: bool,
    pub(crate) binding: Option<ChannelBinding>,
    /// Whether the TGT is sent along.
    pub(crate) delegates: bool,
}

/// Begins a handshake with this ticket, as Windows does.
pub(crate) fn initiator((ticket, tgt): (Credential, Credential), with: Use) -> Initiator {
    let config = ap::InitiatorConfig {
        channel_binding: with.binding,
        delegate: with.delegates.then_some(tgt),
        ..ap::InitiatorConfig::default()
    };
    let offer = Arc::new(KerberosOffer { config, credential: ticket });
    let windows = InitiatorConfig::windows(Some(offer), None);
    Initiator::new(InitiatorConfig { raw: with.raw, ..windows })
}

/// Returns one token with a ticket, made at this time.
pub(crate) fn token(ticket: (Credential, Credential), with: Use, round: u8, now: FileTime) -> Vec<u8> {
    initiator(ticket, with).start(fresh(round), now).unwrap()
}
