//! A trust with another domain: its names, its secret and keys, and what the other domain's DC may say. Pure.

use std::sync::{Arc, OnceLock};

use stickler_auth::kerberos::PrincipalName;
use stickler_auth::kerberos::kdc;
use stickler_auth::kerberos::keys::keys_from_password;
use stickler_auth::logon::LogonReply;
use stickler_auth::status::NtStatus;
use stickler_model::topology::TrustSpec;

use crate::account::KeyRules;
use crate::directory::{Directory, domain_sid, same_name};

impl Directory {
    /// Adds a trust with another domain.
    pub fn add_trust(&mut self, trust: &TrustSpec) {
        self.trusts.push(Trust::new(trust));
    }

    /// The trusted domain that a user is of: by the domain that is named, or by the suffix of a user
    /// principal name without one.
    pub(crate) fn trusted(&self, domain: &str, user: &str) -> Option<&Trust> {
        let suffix = || user.rsplit_once('@').map_or("", |(_, suffix)| suffix);
        let domain = if domain.is_empty() { suffix() } else { domain };
        self.trusts.iter().find(|trust| trust.is(domain))
    }
}

/// A trust, and the account that both domains have for it.
pub(crate) struct Trust {
    spec: TrustSpec,
    realm: String,
    /// SID of the other domain.
    sid: String,
    /// Made when somebody first asks.
    account: OnceLock<Arc<kdc::Account>>,
}

impl Trust {
    pub(crate) fn new(spec: &TrustSpec) -> Self {
        let (realm, sid) = (spec.dns.to_uppercase(), domain_sid(&spec.netbios));
        Self { spec: spec.clone(), realm, sid, account: OnceLock::new() }
    }

    /// The other domain's NetBIOS name.
    pub(crate) fn netbios(&self) -> &str {
        &self.spec.netbios
    }

    /// The other domain's realm.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// The secret of the channel between the two domains' DCs.
    pub(crate) fn secret(&self) -> &[u8] {
        self.spec.password.as_bytes()
    }

    /// Whether this is a name of the other domain.
    pub(crate) fn is(&self, name: &str) -> bool {
        same_name(name, &self.spec.dns) || same_name(name, &self.spec.netbios)
    }

    /// Whether a host belongs to the other domain by its DNS name.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        let (host, dns) = (host.to_lowercase(), self.spec.dns.to_lowercase());
        host.strip_suffix(&dns).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// What is believed of a reply by the other domain's DC, which may vouch for its own users alone.
    ///
    /// A user whose domain, by name or by SID, is not the trusted one is refused with
    /// STATUS_DOMAIN_TRUST_INCONSISTENT, "the name or security ID (SID) of the domain specified is
    /// inconsistent with the trust information for that domain" (MS-ERREF 2.3.1). SIDs of groups of other domains are
    /// taken away (SID filtering, MS-PAC 4.1.2.2). What stays is final: no other DC of ours knows better.
    pub(crate) fn filter(&self, mut reply: LogonReply) -> LogonReply {
        reply.authoritative = true;
        if !reply.status.is_success() {
            return reply;
        }
        let ours = |sid: &String| sid.strip_prefix(&self.sid).is_some_and(|rest| rest.starts_with('-'));
        if !same_name(&reply.domain, self.netbios()) || !reply.sids.first().is_some_and(ours) {
            return LogonReply::refused(NtStatus::DOMAIN_TRUST_INCONSISTENT, true);
        }
        reply.sids.retain(ours);
        reply
    }

    /// Its keys, the same for both directions, so that the salt names the realms in alphabetical order.
    /// (Windows keeps two passwords, MS-KILE 3.1.1.2.)
    pub(crate) fn account(&self, rules: &KeyRules<'_>) -> Arc<kdc::Account> {
        let make = || {
            let (first, last) = (rules.realm.min(&self.realm), rules.realm.max(&self.realm));
            let salt = format!("{first}krbtgt{last}");
            let keys = keys_from_password(&self.spec.password, &salt, 1, rules.etypes, rules.iterations)
                .expect("fails for iterations out of bounds only, which the directory does not take");
            Arc::new(kdc::Account::new(PrincipalName::krbtgt(&self.realm), keys, &salt))
        };
        Arc::clone(self.account.get_or_init(make))
    }
}
