//! The directory: a domain, its accounts, and its decisions on NTLM logons. The module is pure.

use std::sync::Arc;

use indexmap::IndexMap;
use stickler_auth::FileTime;
use stickler_auth::kerberos::kdc::{self, KdcConfig};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, SessionKeys, check_target_domain, check_target_info};
use stickler_auth::status::NtStatus;
use stickler_model::topology::{ControllerSpec, DomainSpec, TrustSpec, UserSpec};
use stickler_model::{Identity, Principal};

use crate::account::{Account, AccountState, Kind};
use crate::names::{domain_sid, same_name};
use crate::spn::SpnTable;
use crate::trust::Trust;

/// The RID of the first account that an administrator creates. Lower RIDs belong to built-in accounts (MS-DTYP
/// 2.4.2.4).
const FIRST_RID: usize = 1_000;

/// A domain with its accounts. The case of names does not matter.
pub struct Directory {
    pub(crate) netbios: String,
    pub(crate) dns: String,
    /// The NetBIOS name of this DC in replies.
    dc: String,
    /// The domain's SID.
    sid: String,
    level: LmCompatibilityLevel,
    pub(crate) lockout_threshold: Option<u32>,
    guest: bool,
    /// The domain that this DC falsely claims for its users, if it lies ([`Directory::with_claims`]).
    claims: Option<String>,
    /// The accounts, keyed by their names in lower case.
    pub(crate) accounts: IndexMap<String, Account>,
    pub(crate) spns: SpnTable,
    /// The names of the accounts that are trusted for delegation, in lower case.
    pub(crate) delegates: Vec<String>,
    pub(crate) trusts: Vec<Trust>,
    /// The KDC's configuration; the realm is the DNS name in upper case.
    pub(crate) kdc: KdcConfig,
    /// The iterations of string-to-key; `None` means the default of the encryption type.
    pub(crate) iterations: Option<u32>,
    /// The ticket-granting service's account, created at the first request.
    pub(crate) krbtgt: Option<Arc<kdc::Account>>,
}

/// The kind of machine that asks a DC for a logon, as proved by its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A member of the domain, on its own behalf.
    Member,
    /// Another DC of the domain, on behalf of a member.
    Controller,
    /// A DC of the trusted domain with this NetBIOS name, on behalf of a member of that domain.
    Trusted(String),
}

/// The decision of a DC about a logon.
#[derive(Debug)]
pub enum LogonDecision {
    /// The DC has decided the logon itself, and has counted it.
    Decided(Logon),
    /// The user belongs to the trusted domain with this NetBIOS name, whose DC decides.
    Trusted(String),
    /// The password is wrong in this DC's copy, but the PDC emulator may have a newer one and must be asked. The
    /// failure is not counted yet: see [`Directory::count_wrong_password`].
    NeedsPdc(Logon),
}

/// A decided logon: the reply, and the data that the trace records about it.
#[derive(Debug)]
pub struct Logon {
    /// The reply for the asker.
    pub reply: LogonReply,
    /// The account as the directory spells it, or as the client spelled it if it is unknown.
    pub account: Principal,
    /// The account's failed logons since its last successful one; 0 if it is unknown.
    pub bad_count: u32,
}

impl Directory {
    /// Creates a domain whose accounts are all enabled and unrestricted.
    pub fn new(spec: &DomainSpec) -> Self {
        let mut directory = Self {
            netbios: spec.netbios.clone(),
            dns: spec.dns.clone(),
            dc: "DC".into(),
            sid: domain_sid(&spec.netbios),
            level: LmCompatibilityLevel::default(),
            lockout_threshold: spec.lockout_threshold,
            guest: false,
            claims: None,
            accounts: IndexMap::with_capacity(spec.users.len()),
            spns: SpnTable::default(),
            delegates: Vec::new(),
            trusts: Vec::new(),
            kdc: KdcConfig::new(&spec.dns.to_uppercase()),
            iterations: None,
            krbtgt: None,
        };
        spec.users.iter().for_each(|user| directory.add_user(user));
        spec.services.iter().for_each(|service| directory.add_service(service));
        spec.trusts.iter().for_each(|trust| directory.add_trust(trust));
        directory
    }

    /// Creates the copy of the domain held by a DC that replication has not reached: it lacks the accounts in
    /// `of.lacks`, and has an older password for those in `of.outdated`.
    pub fn replica(spec: &DomainSpec, of: &ControllerSpec) -> Self {
        let named = |names: &[String], name: &str| names.iter().any(|listed| same_name(listed, name));
        let mut directory = Self::new(spec);
        for user in &spec.users {
            if named(&of.outdated, &user.name) {
                directory.add_user(&UserSpec { password: format!("{} of before", user.password), ..user.clone() });
            }
        }
        // Removed last, because an account's RID is derived from its position.
        directory.accounts.retain(|name, _| !named(&of.lacks, name));
        directory
    }

    /// Adds a user account, or replaces the one with the same name.
    pub fn add_user(&mut self, user: &UserSpec) {
        self.add_account(Kind::User, &user.name, &user.password).groups = user.groups;
    }

    pub(crate) fn add_account(&mut self, kind: Kind, name: &str, password: &str) -> &mut Account {
        let key = name.to_lowercase();
        let rid = FIRST_RID + self.accounts.get_index_of(&key).unwrap_or(self.accounts.len());
        // The RIDs are 513 (Domain Users) and 515 (Domain Computers).
        let group = if kind == Kind::Machine { 515 } else { 513 };
        let sids = vec![format!("{}-{rid}", self.sid), format!("{}-{group}", self.sid)];
        let principal = Principal::new(&self.netbios, name);
        let (index, _) = self.accounts.insert_full(key, Account::new(kind, principal, password, sids));
        &mut self.accounts[index]
    }

    /// Adds a trust with another domain.
    pub fn add_trust(&mut self, trust: &TrustSpec) {
        self.trusts.push(Trust::new(trust));
    }

    /// Sets the kinds of NTLM response that the domain accepts (`LmCompatibilityLevel`).
    #[must_use]
    pub fn with_level(mut self, level: LmCompatibilityLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets the NetBIOS name that replies carry as the logon server. The default is `DC`.
    #[must_use]
    pub fn with_dc_name(mut self, name: &str) -> Self {
        self.dc = name.to_uppercase();
        self
    }

    /// Enables the Guest account without a password, so that unknown users log on as guests.
    #[must_use]
    pub fn with_guest(mut self) -> Self {
        self.guest = true;
        self
    }

    /// Makes the DC lie: its replies claim that its users belong to the domain with this NetBIOS name.
    #[must_use]
    pub fn with_claims(mut self, netbios: &str) -> Self {
        self.claims = Some(netbios.to_owned());
        self
    }

    /// Returns an account's state for changing, or `None` if there is no such account.
    pub fn account_mut(&mut self, user: &str) -> Option<&mut AccountState> {
        self.accounts.get_mut(&user.to_lowercase()).map(|account| &mut account.state)
    }

    /// Returns an account's failed logons since its last successful one, or `None` if there is no such account.
    pub fn bad_count(&self, user: &str) -> Option<u32> {
        self.accounts.get(&user.to_lowercase()).map(|account| account.bad_count)
    }

    /// Ends an account's lockout, as an administrator does. Returns whether there is such an account.
    ///
    /// Nothing else ends a lockout: in a long run, a lockout duration would hide that the lockout happened.
    pub fn unlock(&mut self, user: &str) -> bool {
        let account = self.accounts.get_mut(&user.to_lowercase());
        account.map(|account| (account.bad_count, account.state.locked_out) = (0, false)).is_some()
    }

    /// Returns whether these credentials are valid at `now`. A world labels its clients with the result. The call is
    /// not a logon, and nothing is counted.
    ///
    /// A lockout by *failed logons* does not make valid credentials invalid, since a balancer may have caused it. A
    /// lockout that an administrator has set makes them invalid. An account that is restricted to workstations counts
    /// as allowed.
    pub fn would_accept(&self, identity: &Identity, now: FileTime) -> bool {
        let Some(user) = self.local_name(identity.principal.domain(), identity.principal.user()) else {
            return false;
        };
        self.accounts.get(&user.to_lowercase()).is_some_and(|account| {
            let workstation = account.state.workstations.first().map_or("", String::as_str);
            account.has_password(&identity.password)
                && !account.state.protected
                && account.state.check(workstation, false, now).is_ok()
        })
    }

    /// Decides a member's logon and counts it, as the domain's only DC does.
    ///
    /// The directory first checks that the response was made for the server that asks (MS-APDS 3.1.5.2). A response for
    /// another machine is refused before any account is looked up, so it counts against no account. Then the directory
    /// checks the domain, the account's state, the response, and membership in Protected Users. Only a wrong response
    /// raises the count of failed logons; a successful logon resets it.
    pub fn logon(&mut self, request: &LogonRequest, now: FileTime) -> Logon {
        let target = self.check_target(request, &Asker::Member);
        let (mut logon, response) = self.examine(request, target, now);
        self.count(&mut logon, response);
        logon
    }

    /// Decides a logon as [`Directory::logon`] does, unless another DC must decide it.
    ///
    /// A member's logon may be forwarded to a trusted domain. A logon from another DC is never forwarded: trusts are
    /// not transitive here, and a logon must not circulate.
    ///
    /// `asks_pdc` says whether there is a PDC emulator that this DC can ask. Such a DC
    /// * asks it before it reports a wrong password, and leaves the counting to it: "if a logon authentication fails at
    ///   a given DC in a domain due to a bad password, the DC will forward the authentication request to the PDC
    ///   emulator"; "account lockout is processed on the PDC emulator" (MS-ADTS 6.1.5.3);
    /// * answers, for an unknown account, that it is not authoritative, since the account may not have been replicated
    ///   yet.
    pub fn decide(&mut self, request: &LogonRequest, asker: &Asker, asks_pdc: bool, now: FileTime) -> LogonDecision {
        let target = self.check_target(request, asker);
        if target.is_ok()
            && *asker == Asker::Member
            && let Some(trust) = self.trusted(&request.logon_domain, &request.user)
        {
            return LogonDecision::Trusted(trust.netbios().to_owned());
        }
        let (mut logon, response) = self.examine(request, target, now);
        if asks_pdc && logon.reply.status == NtStatus::WRONG_PASSWORD {
            return LogonDecision::NeedsPdc(logon);
        }
        if asks_pdc && logon.reply.status == NtStatus::NO_SUCH_USER {
            logon.reply.authoritative = false;
        }
        self.count(&mut logon, response);
        LogonDecision::Decided(logon)
    }

    /// Counts the wrong password of a [`LogonDecision::NeedsPdc`]. This DC decides the logon itself if the PDC emulator
    /// does not answer.
    pub fn count_wrong_password(&mut self, mut logon: Logon) -> Logon {
        self.count(&mut logon, Some(false));
        logon
    }

    /// Checks that the response was made for a server on whose behalf this machine may ask.
    fn check_target(&self, request: &LogonRequest, asker: &Asker) -> Result<(), NtStatus> {
        match asker {
            Asker::Member => check_target_info(request, &self.netbios),
            // The other DC has checked this itself.
            Asker::Controller => Ok(()),
            Asker::Trusted(netbios) => check_target_domain(request, netbios),
        }
    }

    /// Decides a logon without counting it. Also returns whether the response was right, or `None` if it was not
    /// verified.
    fn examine(
        &mut self,
        request: &LogonRequest,
        target: Result<(), NtStatus>,
        now: FileTime,
    ) -> (Logon, Option<bool>) {
        let known = self.find(request);
        let Some(index) = known else {
            let status = target.err().unwrap_or(NtStatus::NO_SUCH_USER);
            return (self.unknown_user(request, status), None);
        };
        let (threshold, level) = (self.lockout_threshold, self.level);
        let account = &mut self.accounts[index];
        let allowed = target.and_then(|()| account.check(&request.workstation, threshold, now));
        let verified = allowed.map(|()| account.secret().verify(request, level));
        let response = verified.as_ref().ok().map(Result::is_ok);
        let account = &self.accounts[index];
        let reply = match verified.flatten() {
            Ok(_) if account.state.protected => self.refused(NtStatus::ACCOUNT_RESTRICTION, true),
            Ok(keys) => self.success(account, &keys),
            Err(status) => self.refused(status, true),
        };
        (Logon { reply, account: account.principal.clone(), bad_count: account.bad_count }, response)
    }

    fn count(&mut self, logon: &mut Logon, response: Option<bool>) {
        let account = self.accounts.get_mut(&logon.account.user().to_lowercase());
        if let (Some(account), Some(good)) = (account, response) {
            account.count(good);
            logon.bad_count = account.bad_count;
        }
    }

    fn refused(&self, status: NtStatus, authoritative: bool) -> LogonReply {
        LogonReply { logon_server: self.dc.clone(), ..LogonReply::refused(status, authoritative) }
    }

    fn success(&self, account: &Account, keys: &SessionKeys) -> LogonReply {
        LogonReply {
            status: NtStatus::SUCCESS,
            authoritative: true,
            session_base_key: keys.session_base_key,
            lm_key: keys.lm_key,
            user_flags: 0,
            effective_name: account.principal.user().to_owned(),
            domain: self.claims.as_ref().unwrap_or(&self.netbios).clone(),
            sids: account.sids.clone(),
            logon_server: self.dc.clone(),
        }
    }

    /// Decides the logon of an unknown user, who is logged on as Guest if that account is enabled. An anonymous user is
    /// never a guest, because the server decides about anonymous users. For a foreign domain the refusal is not
    /// authoritative, since another DC or the server's own SAM may know the user.
    fn unknown_user(&self, request: &LogonRequest, status: NtStatus) -> Logon {
        let ours = self.local_name(&request.logon_domain, &request.user);
        let account = Principal::new(&request.logon_domain, &request.user);
        let guest = self.guest && status == NtStatus::NO_SUCH_USER && !request.user.is_empty();
        let reply = if guest && ours.is_some() {
            LogonReply {
                status: NtStatus::SUCCESS,
                authoritative: true,
                user_flags: LogonReply::GUEST,
                effective_name: "Guest".into(),
                domain: self.netbios.clone(),
                // The RIDs are 501 (Guest) and 514 (Domain Guests). There is no password, and therefore no session key.
                sids: vec![format!("{}-501", self.sid), format!("{}-514", self.sid)],
                logon_server: self.dc.clone(),
                ..LogonReply::default()
            }
        } else {
            self.refused(status, ours.is_some())
        };
        Logon { reply, account, bad_count: 0 }
    }

    fn find(&self, request: &LogonRequest) -> Option<usize> {
        let user = self.local_name(&request.logon_domain, &request.user)?;
        self.accounts.get_index_of(&user.to_lowercase())
    }

    /// Returns the trust with the domain of a user. This is the named domain or, if none is named, the suffix of the
    /// user principal name.
    pub(crate) fn trusted(&self, domain: &str, user: &str) -> Option<&Trust> {
        let suffix = || user.rsplit_once('@').map_or("", |(_, suffix)| suffix);
        let domain = if domain.is_empty() { suffix() } else { domain };
        self.trusts.iter().find(|trust| trust.is(domain))
    }

    /// Returns the name of the account in this domain, or `None` if `domain` is another domain. `domain` may be the
    /// NetBIOS name or the DNS name, or may be empty. If it is empty, a user `name@dns` is a user principal name.
    pub(crate) fn local_name<'a>(&self, domain: &str, user: &'a str) -> Option<&'a str> {
        let ours = |name: &str| same_name(name, &self.netbios) || same_name(name, &self.dns);
        match user.rsplit_once('@') {
            Some((name, suffix)) if domain.is_empty() => ours(suffix).then_some(name),
            _ => (domain.is_empty() || ours(domain)).then_some(user),
        }
    }
}
