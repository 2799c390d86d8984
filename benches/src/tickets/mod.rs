//! Kerberos in memory: a realm with one user and one service, and its three exchanges.
//!
//! * [`Realm`]: a KDC, a client that has its keys already (string-to-key is slow on purpose), and a service whose keys
//!   have been derived.
//! * [`Primitives`]: the operations of ciphers and hashes that the verification of an AP-REQ requires.

mod primitives;

pub use primitives::Primitives;

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::ap::{self, Accepted, AcceptorConfig, Initiator, InitiatorConfig, ReplayCache};
use stickler_auth::kerberos::client::{Acquire, ClientConfig, CredentialCache, Nonces, Secret, Step};
use stickler_auth::kerberos::crypto::{Etype, Key};
use stickler_auth::kerberos::gss::unframe;
use stickler_auth::kerberos::kdc::{self, Account, Answer, KdcConfig, Lookup, Principals};
use stickler_auth::kerberos::keys::{LongTermKey, ServiceKeys};
use stickler_auth::kerberos::message::{ApRep, ApReq};
use stickler_auth::kerberos::{Credential, KerberosTime, Principal, PrincipalName};
use stickler_auth::spnego::Mechanism;
use stickler_auth::spnego::token::{NegState, NegTokenResp, encode_init, mech_types_der};

const REALM: &str = "CORP.EXAMPLE";
const SERVICE: &str = "HTTP/www.corp.example";
const NOW: FileTime = FileTime(0x01DD_7A27_C5EF_66D6);
const CLIENT_NONCES: Nonces = Nonces { nonce: 0x1234_5678, confounder: [1; 16], subkey: [2; 32] };
const KDC_NONCES: kdc::Nonces =
    kdc::Nonces { session_key: [3; 32], ticket_confounder: [4; 16], reply_confounder: [5; 16] };
const AP_NONCES: ap::Nonces =
    ap::Nonces { confounder: [6; 16], cred_confounder: [7; 16], subkey: [8; 32], sequence: 0x1234_5678 };

/// A realm in which all keys have the same encryption type.
pub struct Realm {
    etype: Etype,
    directory: Directory,
    rules: KdcConfig,
    client: Arc<ClientConfig>,
    server: AcceptorConfig,
    /// The client's tickets: none, and the ticket-granting ticket.
    nothing: CredentialCache,
    granting: CredentialCache,
    /// The client's ticket for the service.
    ticket: Credential,
    /// The AP-REQ token.
    token: Vec<u8>,
    /// The replay cache of a host that has accepted another token.
    replays: ReplayCache,
}

/// The directory, with three accounts.
struct Directory {
    user: Arc<Account>,
    service: Arc<Account>,
    krbtgt: Arc<Account>,
}

impl Principals for Directory {
    fn client(&self, _name: &PrincipalName) -> Lookup {
        Lookup::Found(Arc::clone(&self.user))
    }

    fn service(&self, _name: &PrincipalName) -> Lookup {
        Lookup::Found(Arc::clone(&self.service))
    }

    fn krbtgt(&self) -> Arc<Account> {
        Arc::clone(&self.krbtgt)
    }

    fn trust(&self, _realm: &str) -> Option<Arc<Account>> {
        None
    }
}

impl Realm {
    /// Returns a realm, and a client that has its ticket for the service.
    ///
    /// # Panics
    /// Client, KDC and server do not agree, which would be a bug in them.
    pub fn new(etype: Etype) -> Self {
        let account = |name: &str, byte: u8| {
            let key = LongTermKey { kvno: 2, key: Key::from_random(etype, &[byte; 32]) };
            Arc::new(Account::new(PrincipalName::parse(name), vec![key], ""))
        };
        let (user, service) = (account("alice", 0xA1), account(SERVICE, 0x5E));
        let keys = Secret::Keys(user.keys.iter().map(|key| key.key).collect());
        let principal = Principal::new(user.name.clone(), REALM);
        let client =
            ClientConfig { etypes: vec![etype], preauth_at_once: true, ..ClientConfig::new(principal.clone(), keys) };
        let placeholder = Credential {
            client: principal.clone(),
            server: principal,
            key: user.keys[0].key,
            ticket: Vec::new(),
            flags: 0,
            auth_time: KerberosTime::default(),
            start_time: KerberosTime::default(),
            end_time: KerberosTime::default(),
            renew_till: None,
        };
        let mut realm = Self {
            etype,
            server: AcceptorConfig::new(ServiceKeys::new(&service.keys)),
            directory: Directory { user, service, krbtgt: account("krbtgt/CORP.EXAMPLE", 0x76) },
            rules: KdcConfig { etypes: vec![etype], ..KdcConfig::new(REALM) },
            client: Arc::new(client),
            nothing: CredentialCache::default(),
            granting: CredentialCache::default(),
            ticket: placeholder,
            token: Vec::new(),
            replays: ReplayCache::default(),
        };
        let granting = realm.authentication();
        realm.granting.insert(granting.server.name.clone(), granting);
        realm.ticket = realm.ticket_granting();
        let mut replays = ReplayCache::default();
        for confounder in [[9; 16], AP_NONCES.confounder] {
            realm.replays = replays.clone();
            let nonces = ap::Nonces { confounder, ..AP_NONCES };
            realm.token = Initiator::start(&InitiatorConfig::default(), &realm.ticket, nonces, NOW).0;
            realm.verify(&mut replays);
        }
        realm
    }

    /// Returns the replay cache of a host that has accepted another AP-REQ.
    pub fn host(&self) -> ReplayCache {
        self.replays.clone()
    }

    /// Performs both sides of an AS exchange with pre-authentication, and returns the ticket-granting ticket.
    ///
    /// # Panics
    /// The exchange fails.
    pub fn authentication(&self) -> Credential {
        self.exchange(PrincipalName::krbtgt(REALM), &self.nothing)
    }

    /// Performs both sides of a TGS exchange, and returns the ticket for the service.
    ///
    /// # Panics
    /// The exchange fails.
    pub fn ticket_granting(&self) -> Credential {
        self.exchange(PrincipalName::parse(SERVICE), &self.granting)
    }

    /// Returns the request of [`Realm::authentication`].
    pub fn as_request(&self) -> Vec<u8> {
        self.ask(PrincipalName::krbtgt(REALM), &self.nothing).1
    }

    /// Returns the request of [`Realm::ticket_granting`].
    pub fn tgs_request(&self) -> Vec<u8> {
        self.ask(PrincipalName::parse(SERVICE), &self.granting).1
    }

    /// Returns the KDC's answer to a request.
    pub fn answer(&self, request: &[u8]) -> Answer {
        kdc::answer(&self.rules, &self.directory, request, KDC_NONCES, NOW)
    }

    /// Verifies the AP-REQ and creates the AP-REP, at the host with this replay cache ([`Realm::host`]).
    ///
    /// # Panics
    /// The ticket is refused.
    pub fn verify(&self, replays: &mut ReplayCache) -> Accepted {
        ap::accept(&self.server, None, &self.token, AP_NONCES, NOW, replays).expect("the ticket is good")
    }

    /// Returns the primitives that the verification requires, see [`Primitives`].
    ///
    /// # Panics
    /// The token is not an AP-REQ, or is refused.
    pub fn primitives(&self) -> Primitives {
        let (_, message) = unframe(&self.token).expect("the token is one of Kerberos");
        let (request, ticket) = ApReq::decode(message).expect("it holds an AP-REQ");
        let reply = self.verify(&mut self.host()).reply.expect("the client asks for it");
        let (_, reply) = unframe(&reply).expect("the reply is one of Kerberos");
        let reply = ApRep::decode(reply).expect("it holds an AP-REP");
        let lengths = [ticket.enc_part.cipher, request.authenticator.cipher, reply.enc_part.cipher].map(<[u8]>::len);
        Primitives::new(self.etype, lengths)
    }

    /// Returns the AP-REQ within SPNEGO, with the mechanisms of Windows, and the answer that carries an AP-REP.
    ///
    /// # Panics
    /// The ticket is refused.
    pub fn negotiation(&self) -> [Vec<u8>; 2] {
        let mechanisms = [Mechanism::MsKerberos, Mechanism::Kerberos, Mechanism::NegoEx, Mechanism::Ntlm];
        let init = encode_init(&mech_types_der(&mechanisms), Some(&self.token));
        let reply = self.verify(&mut self.host()).reply;
        let resp = NegTokenResp {
            state: Some(NegState::AcceptCompleted),
            supported_mech: Some(Mechanism::MsKerberos.oid()),
            response_token: reply.as_deref(),
            mech_list_mic: None,
        };
        [init, resp.encode()]
    }

    fn ask(&self, service: PrincipalName, cache: &CredentialCache) -> (Acquire, Vec<u8>) {
        match Acquire::service(Arc::clone(&self.client), service, cache, CLIENT_NONCES, NOW) {
            (acquire, Step::Send { request, .. }) => (acquire, request),
            (_, Step::Done(_)) => panic!("the ticket is in no cache"),
        }
    }

    fn exchange(&self, service: PrincipalName, cache: &CredentialCache) -> Credential {
        let (mut acquire, request) = self.ask(service, cache);
        let answer = self.answer(&request);
        match acquire.take(&answer.message, &mut CredentialCache::default(), CLIENT_NONCES, NOW) {
            Ok(Step::Done(ticket)) => *ticket,
            other => panic!("the KDC gives a ticket, not {other:?}: {:?}", answer.outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use stickler_auth::spnego::token::Token;

    use super::*;

    #[test]
    fn each_encryption_type_has_its_exchanges_and_primitives() {
        for etype in Etype::ALL {
            let realm = Realm::new(etype);
            for request in [realm.as_request(), realm.tgs_request()] {
                assert_eq!(realm.answer(&request).outcome.result.unwrap().ticket_etype, etype);
            }
            let accepted = realm.verify(&mut realm.host());
            assert_eq!(accepted.client.to_string(), "alice@CORP.EXAMPLE");
            assert!(accepted.reply.is_some() && accepted.ticket_etype == etype);
            let mut primitives = realm.primitives();
            assert_ne!(primitives.run(), primitives.run(), "each run goes on with what the last one left");
            let [init, resp] = realm.negotiation();
            assert!(matches!(Token::decode(&init), Ok(Token::Init(init)) if init.mech_token == Some(&realm.token)));
            assert!(matches!(Token::decode(&resp), Ok(Token::Resp(_))));
        }
    }
}
