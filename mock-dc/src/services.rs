//! Services and machines: an administrator's tasks for Kerberos, and the keys of accounts.

use std::sync::Arc;

use stickler_auth::kerberos::crypto::{Key, MAX_ITERATIONS};
use stickler_auth::kerberos::kdc::{self, KdcConfig};
use stickler_auth::kerberos::keys::{Keytab, KeytabEntry, LongTermKey, ServiceKeys};
use stickler_auth::kerberos::{Principal, PrincipalName};
use stickler_model::Entropy;
use stickler_model::topology::ServiceSpec;

use crate::account::{FIRST_KVNO, KeyRules, Kind};
use crate::directory::Directory;
use crate::spn::DuplicateSpn;

impl Directory {
    /// Returns the Kerberos realm: the domain's DNS name in upper case.
    pub fn realm(&self) -> &str {
        &self.kdc.realm
    }

    /// Adds or replaces the account `name$` of a machine that is joined to the domain, and registers its names
    /// `HOST/name` and `HOST/name.dns`.
    ///
    /// The password is the secret in hexadecimal. A Windows machine's password is random too, and never typed.
    pub fn add_machine(&mut self, name: &str, secret: &[u8]) {
        let account = format!("{name}$");
        let password = secret.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        self.add_account(Kind::Machine, &account, &password);
        self.spns.add(&format!("HOST/{name}"), &account);
        self.spns.add(&format!("HOST/{}.{}", name.to_lowercase(), self.dns), &account);
    }

    /// Makes an account a service. The account may be added later, since names are resolved when a ticket is requested.
    pub fn add_service(&mut self, service: &ServiceSpec) {
        service.spns.iter().for_each(|spn| self.spns.add(spn, &service.account));
        if service.trusted_for_delegation {
            self.delegates.push(service.account.to_lowercase());
        }
    }

    /// Registers a service principal name for an account, unless another account has it (`setspn -S`).
    ///
    /// # Errors
    /// Another account has the name. Nothing is changed.
    pub fn register_spn(&mut self, spn: &str, account: &str) -> Result<(), DuplicateSpn> {
        let account = account.to_lowercase();
        let mut accounts = self.spns.owners(spn).to_vec();
        if accounts.iter().any(|owner| *owner != account) {
            accounts.push(account);
            return Err(DuplicateSpn { spn: spn.to_owned(), accounts });
        }
        self.spns.add(spn, &account);
        Ok(())
    }

    /// Removes a service principal name from an account (`setspn -D`). Returns whether the account had it.
    pub fn remove_spn(&mut self, spn: &str, account: &str) -> bool {
        self.spns.remove(spn, account)
    }

    /// Returns the service principal names that several accounts have (`setspn -X`).
    pub fn duplicate_spns(&self) -> Vec<DuplicateSpn> {
        self.spns.duplicates().collect()
    }

    /// Returns the keys with which a service that runs as this account decrypts tickets. The account is, for example,
    /// `svc-web`, or `iis1$` for a service that runs as the machine. Returns `None` if there is no such account.
    pub fn service_keys(&self, account: &str) -> Option<ServiceKeys> {
        self.account_keys(account).map(ServiceKeys::new)
    }

    /// Returns the account's keys as a key table for a real server, with entries for its name, for each of its SPNs,
    /// and for `HTTP/x` and `host/x` if it has `HOST/x`. Returns `None` if there is no such account.
    pub fn keytab(&self, account: &str) -> Option<Keytab> {
        let keys = self.account_keys(account)?;
        let mut names = vec![self.accounts.get(&account.to_lowercase())?.name()];
        for spn in self.spns.of(account) {
            names.push(PrincipalName::parse(spn));
            if let Some(host) = spn.strip_prefix("HOST/") {
                names.extend(["host", "HTTP"].map(|class| PrincipalName::service(class, host)));
            }
        }
        let principals = names.into_iter().map(|name| Principal::new(name, self.realm()));
        let entries = principals.flat_map(|principal| {
            keys.iter().map(move |key| KeytabEntry { principal: principal.clone(), timestamp: 0, key: *key })
        });
        Some(Keytab { entries: entries.collect() })
    }

    /// Returns the keys of all accounts, of the ticket-granting service once it has issued a ticket, and of all trusts.
    /// These keys decrypt every ticket of the domain in a capture of packets.
    pub fn keytab_of_all(&self) -> Keytab {
        let mut entries: Vec<KeytabEntry> =
            self.accounts.keys().filter_map(|name| self.keytab(name)).flat_map(|keytab| keytab.entries).collect();
        let trusts = self.trusts.iter().map(|trust| trust.account(&self.key_rules()));
        for account in self.krbtgt.iter().cloned().chain(trusts) {
            let principal = Principal::new(account.name.clone(), self.realm());
            let entry = |key: &LongTermKey| KeytabEntry { principal: principal.clone(), timestamp: 0, key: *key };
            entries.extend(account.keys.iter().map(entry));
        }
        Keytab { entries }
    }

    fn account_keys(&self, account: &str) -> Option<&[LongTermKey]> {
        let account = self.accounts.get(&account.to_lowercase())?;
        Some(account.keys(&self.key_rules()))
    }

    /// Returns the rules by which this domain derives keys.
    pub(crate) fn key_rules(&self) -> KeyRules<'_> {
        KeyRules { realm: &self.kdc.realm, etypes: &self.kdc.etypes, iterations: self.iterations }
    }

    /// Sets the KDC's configuration: ticket lifetimes, and the encryption types for which every account has a key. The
    /// realm is kept. This method must be called before any key is used.
    #[must_use]
    pub fn with_kdc(mut self, rules: KdcConfig) -> Self {
        let realm = self.kdc.realm;
        self.kdc = KdcConfig { realm, ..rules };
        self
    }

    /// Sets the iterations of string-to-key, which the KDC tells its clients; Windows supports only 4096. Fewer
    /// iterations make a world with many users faster. This method must be called before any key is used.
    #[must_use]
    pub fn with_iterations(mut self, iterations: u32) -> Self {
        self.iterations = Some(iterations.clamp(1, MAX_ITERATIONS));
        self
    }

    /// Returns the ticket-granting service's account. Its keys are drawn from `entropy` at the first call.
    pub(crate) fn krbtgt(&mut self, entropy: &Entropy) -> Arc<kdc::Account> {
        let rules = &self.kdc;
        let make = || {
            let key = |etype| LongTermKey { kvno: FIRST_KVNO, key: Key::from_random(etype, &entropy.bytes()) };
            let keys = rules.etypes.iter().map(|etype| key(*etype)).collect();
            Arc::new(kdc::Account::new(PrincipalName::krbtgt(&rules.realm), keys, &rules.realm))
        };
        Arc::clone(self.krbtgt.get_or_insert_with(make))
    }
}
