//! The directory: a domain, its accounts, and the decision on each logon. Pure.

use std::sync::Arc;

use indexmap::IndexMap;
use stickler_auth::FileTime;
use stickler_auth::kerberos::kdc::{self, KdcConfig};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, SessionKeys, check_target_info};
use stickler_auth::status::NtStatus;
use stickler_model::topology::{DomainSpec, UserSpec};
use stickler_model::{Identity, Principal};

use crate::account::{Account, AccountState, Kind};
use crate::services::Trust;
use crate::spn::SpnTable;

/// RID of the first account that an administrator creates (MS-DTYP 2.4.2.4: below are the built-in ones).
const FIRST_RID: usize = 1_000;

/// A domain with its accounts. Names compare without case.
pub struct Directory {
    pub(crate) netbios: String,
    pub(crate) dns: String,
    /// NetBIOS name of this DC, in replies.
    dc: String,
    /// SID of the domain.
    sid: String,
    level: LmCompatibilityLevel,
    pub(crate) lockout_threshold: Option<u32>,
    guest: bool,
    /// By the account's name in lower case.
    pub(crate) accounts: IndexMap<String, Account>,
    pub(crate) spns: SpnTable,
    /// Accounts trusted for delegation, in lower case.
    pub(crate) delegates: Vec<String>,
    pub(crate) trusts: Vec<Trust>,
    /// The rules of its KDC; the realm is the DNS name in upper case.
    pub(crate) kdc: KdcConfig,
    /// Iterations of string-to-key; `None`: the default of the type.
    pub(crate) iterations: Option<u32>,
    /// The keys of the ticket-granting service, once it has been asked for something.
    pub(crate) krbtgt: Option<Arc<kdc::Account>>,
}

/// How a logon was decided: what goes back, and what a trace should tell.
#[derive(Debug)]
pub struct Logon {
    /// What the server is told.
    pub reply: LogonReply,
    /// The account as the directory spells it, or as the client named it where it is unknown.
    pub account: Principal,
    /// Failed logons that the account has counted since its last good one; 0 where it is unknown.
    pub bad_count: u32,
}

impl Directory {
    /// A domain whose accounts are all enabled and without restrictions.
    pub fn new(spec: &DomainSpec) -> Self {
        let mut directory = Self {
            netbios: spec.netbios.clone(),
            dns: spec.dns.clone(),
            dc: "DC".into(),
            sid: domain_sid(&spec.netbios),
            level: LmCompatibilityLevel::default(),
            lockout_threshold: spec.lockout_threshold,
            guest: false,
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

    /// Adds an account, or replaces the one of that name.
    pub fn add_user(&mut self, user: &UserSpec) {
        self.add_account(Kind::User, &user.name, &user.password);
    }

    pub(crate) fn add_account(&mut self, kind: Kind, name: &str, password: &str) {
        let key = name.to_lowercase();
        let rid = FIRST_RID + self.accounts.get_index_of(&key).unwrap_or(self.accounts.len());
        // 513: Domain Users; 515: Domain Computers.
        let group = if kind == Kind::Machine { 515 } else { 513 };
        let sids = vec![format!("{}-{rid}", self.sid), format!("{}-{group}", self.sid)];
        let principal = Principal::new(&self.netbios, name);
        self.accounts.insert(key, Account::new(kind, principal, password, sids));
    }

    /// Sets which responses the domain takes (`LmCompatibilityLevel`).
    #[must_use]
    pub fn with_level(mut self, level: LmCompatibilityLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets the NetBIOS name that replies carry as their logon server; `DC` unless set.
    #[must_use]
    pub fn with_dc_name(mut self, name: &str) -> Self {
        self.dc = name.to_uppercase();
        self
    }

    /// Enables the Guest account, without a password: unknown users log on as guests.
    #[must_use]
    pub fn with_guest(mut self) -> Self {
        self.guest = true;
        self
    }

    /// The state of an account, to be changed; `None` where there is no such account.
    pub fn account_mut(&mut self, user: &str) -> Option<&mut AccountState> {
        self.accounts.get_mut(&user.to_lowercase()).map(|account| &mut account.state)
    }

    /// Failed logons of an account since its last good one; `None` where there is no such account.
    pub fn bad_count(&self, user: &str) -> Option<u32> {
        self.accounts.get(&user.to_lowercase()).map(|account| account.bad_count)
    }

    /// Ends a lockout, as an administrator does. Whether there is such an account.
    ///
    /// Nothing else ends it: a lockout duration would hide, in a long run, that it ever happened.
    pub fn unlock(&mut self, user: &str) -> bool {
        let account = self.accounts.get_mut(&user.to_lowercase());
        account.map(|account| (account.bad_count, account.state.locked_out) = (0, false)).is_some()
    }

    /// Whether the directory takes these credentials at `now`: the label that a world puts on a
    /// client. No logon: nothing is counted.
    ///
    /// A lockout by *failed logons* does not make good credentials wrong, since a balancer may have
    /// caused it; one that an administrator set does. An account restricted to workstations counts as allowed.
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

    /// Decides a logon, and counts it.
    ///
    /// Order: the response is for the server that asks (MS-APDS 3.1.5.2; a frame for another machine
    /// is refused before any account is looked at, so it counts against none), the domain, the
    /// account's state, the response, Protected Users. Only a wrong response raises the count;
    /// a good logon resets it.
    pub fn logon(&mut self, request: &LogonRequest, now: FileTime) -> Logon {
        let known = self.find(request);
        let target = check_target_info(request, &self.netbios);
        let Some(index) = known else {
            let status = target.err().unwrap_or(NtStatus::NO_SUCH_USER);
            return self.unknown_user(request, status);
        };
        let (threshold, level) = (self.lockout_threshold, self.level);
        let account = &mut self.accounts[index];
        let outcome = target
            .and_then(|()| account.check(&request.workstation, threshold, now))
            .and_then(|()| count(account, request, level))
            .and_then(|keys| if account.state.protected { Err(NtStatus::ACCOUNT_RESTRICTION) } else { Ok(keys) });
        let (account, bad_count) = (&self.accounts[index], self.accounts[index].bad_count);
        let reply = match outcome {
            Ok(keys) => self.success(account, &keys),
            Err(status) => LogonReply { logon_server: self.dc.clone(), ..LogonReply::refused(status, true) },
        };
        Logon { reply, account: account.principal.clone(), bad_count }
    }

    fn success(&self, account: &Account, keys: &SessionKeys) -> LogonReply {
        LogonReply {
            status: NtStatus::SUCCESS,
            authoritative: true,
            session_base_key: keys.session_base_key,
            lm_key: keys.lm_key,
            user_flags: 0,
            effective_name: account.principal.user().to_owned(),
            domain: self.netbios.clone(),
            sids: account.sids.clone(),
            logon_server: self.dc.clone(),
        }
    }

    /// An unknown user is the guest, where that account is enabled; never an anonymous one, which is
    /// for the server to decide. For a domain that is not ours another DC, or the server's own SAM, may know.
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
                // 501: Guest; 514: Domain Guests. There is no password, hence no session key.
                sids: vec![format!("{}-501", self.sid), format!("{}-514", self.sid)],
                logon_server: self.dc.clone(),
                ..LogonReply::default()
            }
        } else {
            LogonReply { logon_server: self.dc.clone(), ..LogonReply::refused(status, ours.is_some()) }
        };
        Logon { reply, account, bad_count: 0 }
    }

    fn find(&self, request: &LogonRequest) -> Option<usize> {
        let user = self.local_name(&request.logon_domain, &request.user)?;
        self.accounts.get_index_of(&user.to_lowercase())
    }

    /// The account's name, where `domain` is this one by either name or empty; a user `name@dns` with
    /// an empty domain is a user principal name. `None` for another domain.
    pub(crate) fn local_name<'a>(&self, domain: &str, user: &'a str) -> Option<&'a str> {
        let ours = |name: &str| same_name(name, &self.netbios) || same_name(name, &self.dns);
        match user.rsplit_once('@') {
            Some((name, suffix)) if domain.is_empty() => ours(suffix).then_some(name),
            _ => (domain.is_empty() || ours(domain)).then_some(user),
        }
    }
}

/// Whether two names are one, without case; the quick comparison suffices for most.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

/// Verifies the response, and counts it.
fn count(account: &mut Account, request: &LogonRequest, level: LmCompatibilityLevel) -> Result<SessionKeys, NtStatus> {
    let outcome = account.secret().verify(request, level);
    account.count(outcome.is_ok());
    outcome
}

/// `S-1-5-21-...` for a domain: one sub-authority from its name (FNV-1a), so that two domains differ.
fn domain_sid(netbios: &str) -> String {
    let hash = netbios
        .to_uppercase()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("S-1-5-21-{hash}-0-0")
}
