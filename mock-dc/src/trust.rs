//! A trust with another domain: its names, its secret and keys, and the rules by which replies of the other domain's DC
//! are accepted. The module is pure.

use std::sync::{Arc, OnceLock};

use stickler_auth::kerberos::PrincipalName;
use stickler_auth::kerberos::kdc;
use stickler_auth::kerberos::keys::keys_from_password;
use stickler_auth::logon::LogonReply;
use stickler_auth::status::NtStatus;
use stickler_model::topology::TrustSpec;

use crate::account::KeyRules;
use crate::names::{domain_sid, same_name};

/// A trust with another domain, and the account that both domains keep for it.
pub(crate) struct Trust {
    spec: TrustSpec,
    realm: String,
    /// The other domain's SID.
    sid: String,
    /// The account, which is created at the first use.
    account: OnceLock<Arc<kdc::Account>>,
}

impl Trust {
    pub(crate) fn new(spec: &TrustSpec) -> Self {
        let (realm, sid) = (spec.dns.to_uppercase(), domain_sid(&spec.netbios));
        Self { spec: spec.clone(), realm, sid, account: OnceLock::new() }
    }

    /// Returns the other domain's NetBIOS name.
    pub(crate) fn netbios(&self) -> &str {
        &self.spec.netbios
    }

    /// Returns the other domain's Kerberos realm.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// Returns the secret of the channel between the two domains' DCs.
    pub(crate) fn secret(&self) -> &[u8] {
        self.spec.password.as_bytes()
    }

    /// Returns whether `name` is the other domain's NetBIOS or DNS name.
    pub(crate) fn is(&self, name: &str) -> bool {
        same_name(name, &self.spec.dns) || same_name(name, &self.spec.netbios)
    }

    /// Returns whether a host belongs to the other domain, judging by its DNS name.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        let (host, dns) = (host.to_lowercase(), self.spec.dns.to_lowercase());
        host.strip_suffix(&dns).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Filters a reply of the other domain's DC, which may vouch only for its own users.
    ///
    /// A user whose domain is not the trusted one, by name or by SID, is refused with
    /// STATUS_DOMAIN_TRUST_INCONSISTENT, "the name or security ID (SID) of the domain specified is
    /// inconsistent with the trust information for that domain" (MS-ERREF 2.3.1). SIDs of groups of other domains are
    /// removed (SID filtering, MS-PAC 4.1.2.2). The result is authoritative, since no other DC of this domain knows
    /// better.
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

    /// Returns the trust's account with its Kerberos keys. The keys are the same in both directions, so the salt names
    /// the realms in alphabetical order. Windows keeps two passwords (MS-KILE 3.1.1.2).
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
