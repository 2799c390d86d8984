//! The KDC's decisions on requests for tickets, which include the look-up of names and the count of failed logons.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::PrincipalName;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::kdc::{self, KdcConfig, Lookup, Outcome, Principals};
use stickler_auth::kerberos::message::{Exchange, flags};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::status::NtStatus;
use stickler_model::{Entropy, Principal};

use crate::account::Account;
use crate::directory::Directory;
use crate::trust::Trust;

/// A decided request for a ticket: the reply, and the data that the trace records about it.
#[derive(Debug)]
pub struct Ticket {
    /// The message to send: an AS-REP, a TGS-REP or a KRB-ERROR.
    pub message: Vec<u8>,
    /// The client as the directory spells it, or as the request spells it if the client is unknown.
    pub client: Option<Principal>,
    /// The requested service; empty if the request does not name one.
    pub service: String,
    /// The ticket's encryption type, or the error.
    pub result: Result<Etype, KrbErrorCode>,
    /// The failed logons of the client's account since its last successful one.
    pub bad_count: u32,
}

impl Directory {
    /// Decides a request for a ticket and counts it. A wrong pre-authentication is a failed logon. Like a failed NTLM
    /// logon, it can lock the account out. A successful pre-authentication resets the count.
    ///
    /// Session keys, confounders and, at the first request, the keys of `krbtgt` are drawn from `entropy`.
    /// `requires_checksum` is a rule of the DC that is asked ([`KdcConfig::requires_checksum`]).
    pub fn ticket(&mut self, request: &[u8], entropy: &Entropy, now: FileTime, requires_checksum: bool) -> Ticket {
        let krbtgt = self.krbtgt(entropy);
        let rules = KdcConfig { requires_checksum, ..self.kdc.clone() };
        let nonces = kdc::Nonces {
            session_key: entropy.bytes(),
            ticket_confounder: entropy.bytes(),
            reply_confounder: entropy.bytes(),
        };
        let answer = kdc::answer(&rules, &At { directory: self, krbtgt, now }, request, nonces, now);
        let Outcome { client, server, result, .. } = &answer.outcome;
        let ours = client.as_ref().filter(|client| client.realm.eq_ignore_ascii_case(self.realm()));
        let index = ours.and_then(|client| self.client_index(&client.name).ok());
        if let (Some(index), Some(good)) = (index, proved(&answer.outcome)) {
            self.accounts[index].count(good);
        }
        let account = index.map(|index| &self.accounts[index]);
        Ticket {
            client: match account {
                Some(account) => Some(account.principal.clone()),
                None => client.as_ref().map(|client| Principal::new(&client.realm, &client.name.to_string())),
            },
            service: server.as_ref().map_or_else(String::new, PrincipalName::to_string),
            result: result.as_ref().map(|issued| issued.ticket_etype).map_err(|code| *code),
            bad_count: account.map_or(0, |account| account.bad_count),
            message: answer.message,
        }
    }

    /// Returns the index of the account that a client names: by `sAMAccountName`, which may lack the `$` for a machine,
    /// or by a user principal name.
    ///
    /// # Errors
    /// The error is the realm to ask instead, or `None` if no account has the name.
    fn client_index(&self, name: &PrincipalName) -> Result<usize, Option<&str>> {
        let [name] = name.parts.as_slice() else { return Err(None) };
        let Some(user) = self.local_name("", name) else {
            let suffix = name.rsplit_once('@').map_or("", |(_, suffix)| suffix);
            return Err(self.trusts.iter().find(|trust| trust.is(suffix)).map(Trust::realm));
        };
        let user = user.to_lowercase();
        let index = self.accounts.get_index_of(&user);
        index.or_else(|| self.accounts.get_index_of(&format!("{user}$"))).ok_or(None)
    }

    /// Returns the account for which a ticket for this service is issued: the account with the SPN, or the account with
    /// this name if it has any SPN.
    fn service_account(&self, name: &PrincipalName) -> Service<'_> {
        if let [_] = name.parts.as_slice() {
            let account = self.client_index(name).ok().map(|index| &self.accounts[index]);
            let is_service = |account: &&Account| self.spns.of(account.principal.user()).next().is_some();
            return account.filter(is_service).map_or(Service::Unknown, Service::Account);
        }
        match self.spns.resolve(name) {
            [] => self.foreign_service(name),
            [owner] => self.accounts.get(owner).map_or(Service::Unknown, Service::Account),
            _ => Service::Duplicate,
        }
    }

    /// Returns the realm of a service in a trusted domain, judging by the host's DNS name.
    fn foreign_service(&self, name: &PrincipalName) -> Service<'_> {
        let instance = name.parts.get(1).map_or("", String::as_str);
        let host = instance.split(':').next().unwrap_or(instance);
        let trusts = self.trusts.iter().filter(|trust| trust.has_host(host));
        // If a domain and its child are both trusted, the child has the longer name.
        let nearest = trusts.max_by_key(|trust| trust.realm().len());
        nearest.map_or(Service::Unknown, |trust| Service::Realm(trust.realm()))
    }
}

/// The result of looking up a service's name.
enum Service<'a> {
    Account(&'a Account),
    Realm(&'a str),
    Duplicate,
    Unknown,
}

/// Returns whether the client has proved that it knows its password, or `None` if it has not tried.
fn proved(outcome: &Outcome) -> Option<bool> {
    match outcome.result {
        _ if outcome.exchange != Some(Exchange::As) => None,
        Ok(issued) => (issued.flags & flags::PRE_AUTHENT != 0).then_some(true),
        Err(KrbErrorCode::PREAUTH_FAILED) => Some(false),
        Err(_) => None,
    }
}

/// The directory at a point in time, in the form that the KDC uses.
struct At<'a> {
    directory: &'a Directory,
    krbtgt: Arc<kdc::Account>,
    now: FileTime,
}

impl At<'_> {
    fn found(&self, account: &Account) -> Lookup {
        let Directory { lockout_threshold, delegates, .. } = self.directory;
        let rules = self.directory.key_rules();
        let usable = |etype| !(account.state.protected && etype == Etype::Rc4Hmac);
        let keys = account.keys(&rules).iter().filter(|key| usable(key.key.etype())).copied().collect();
        let name = account.name();
        let delegate = || delegates.contains(&account.principal.user().to_lowercase());
        Lookup::Found(Arc::new(kdc::Account {
            status: account.check("", *lockout_threshold, self.now).err().unwrap_or(NtStatus::SUCCESS),
            iterations: rules.iterations,
            preauth_required: !account.state.no_preauth,
            forwardable: !account.state.sensitive && !account.state.protected,
            ok_as_delegate: delegate(),
            groups: account.groups,
            ..kdc::Account::new(name, keys, &account.salt(rules.realm))
        }))
    }
}

impl Principals for At<'_> {
    fn client(&self, name: &PrincipalName) -> Lookup {
        match self.directory.client_index(name) {
            Ok(index) => self.found(&self.directory.accounts[index]),
            Err(Some(realm)) => Lookup::Referral(realm.to_owned()),
            Err(None) => Lookup::Unknown,
        }
    }

    fn service(&self, name: &PrincipalName) -> Lookup {
        match self.directory.service_account(name) {
            Service::Account(account) => self.found(account),
            Service::Realm(realm) => Lookup::Referral(realm.to_owned()),
            Service::Duplicate => Lookup::Duplicate,
            Service::Unknown => Lookup::Unknown,
        }
    }

    fn krbtgt(&self) -> Arc<kdc::Account> {
        Arc::clone(&self.krbtgt)
    }

    fn trust(&self, realm: &str) -> Option<Arc<kdc::Account>> {
        let trust = self.directory.trusts.iter().find(|trust| trust.is(realm))?;
        Some(trust.account(&self.directory.key_rules()))
    }
}
