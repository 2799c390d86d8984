//! The directory: a domain, its accounts, and the decision on each logon. Pure.

use std::sync::Arc;

use indexmap::IndexMap;
use stickler_auth::FileTime;
use stickler_auth::kerberos::kdc::{self, KdcConfig};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, SessionKeys, check_target_domain, check_target_info};
use stickler_auth::status::NtStatus;
use stickler_model::topology::{ControllerSpec, DomainSpec, UserSpec};
use stickler_model::{Identity, Principal};

use crate::account::{Account, AccountState, Kind};
use crate::spn::SpnTable;
use crate::trust::Trust;

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
    /// The domain that it says its users are of, where it lies.
    claims: Option<String>,
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

/// Who asks a DC for a logon, over which channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A member of the domain, for itself.
    Member,
    /// Another DC of the domain, for a member.
    Controller,
    /// A DC of this trusted domain (NetBIOS name), for a member of that.
    Trusted(String),
}

/// What a DC does about a logon.
#[derive(Debug)]
pub enum Course {
    /// It has decided, and counted.
    Decided(Logon),
    /// The user is of this trusted domain (NetBIOS name), whose DC decides.
    Trusted(String),
    /// The password looks wrong here, but the PDC emulator may know a newer one. Nothing is counted yet:
    /// see [`Directory::count_wrong_password`].
    Doubtful(Logon),
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

    /// The same domain as a DC has it that replication has not reached: without the accounts that it lacks,
    /// and with an older password of those that are outdated.
    pub fn replica(spec: &DomainSpec, of: &ControllerSpec) -> Self {
        let named = |names: &[String], name: &str| names.iter().any(|listed| same_name(listed, name));
        let mut directory = Self::new(spec);
        for user in &spec.users {
            if named(&of.outdated, &user.name) {
                directory.add_user(&UserSpec { password: format!("{} of before", user.password), ..user.clone() });
            }
        }
        // Last, since RIDs count the accounts.
        directory.accounts.retain(|name, _| !named(&of.lacks, name));
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

    /// Makes the DC lie: it says that its users are of the domain of this NetBIOS name.
    #[must_use]
    pub fn with_claims(mut self, netbios: &str) -> Self {
        self.claims = Some(netbios.to_owned());
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

    /// Decides a logon of a member, and counts it, as the domain's only DC.
    ///
    /// Order: the response is for the server that asks (MS-APDS 3.1.5.2; a frame for another machine
    /// is refused before any account is looked at, so it counts against none), the domain, the
    /// account's state, the response, Protected Users. Only a wrong response raises the count;
    /// a good logon resets it.
    pub fn logon(&mut self, request: &LogonRequest, now: FileTime) -> Logon {
        let target = self.check_target(request, &Asker::Member);
        let (mut logon, response) = self.examine(request, target, now);
        self.count(&mut logon, response);
        logon
    }

    /// What this DC does about a logon: as [`Directory::logon`], unless another DC knows better.
    ///
    /// A member's logon goes on to a trusted domain. That of another asker never does: trusts are not
    /// transitive here, and a logon does not go in circles.
    ///
    /// `asks_pdc`: whether there is a PDC emulator that this DC can ask. Such a DC
    /// * asks it before it reports a wrong password, and leaves the count to it: "if a logon authentication fails at a
    ///   given DC in a domain due to a bad password, the DC will forward the authentication request to the PDC emulator";
    ///   "account lockout is processed on the PDC emulator" (MS-ADTS 6.1.5.3);
    /// * says of an account that it does not know that it is not authoritative: the account may not have
    ///   reached it.
    pub fn course(&mut self, request: &LogonRequest, asker: &Asker, asks_pdc: bool, now: FileTime) -> Course {
        let target = self.check_target(request, asker);
        if target.is_ok()
            && *asker == Asker::Member
            && let Some(trust) = self.trusted(&request.logon_domain, &request.user)
        {
            return Course::Trusted(trust.netbios().to_owned());
        }
        let (mut logon, response) = self.examine(request, target, now);
        if asks_pdc && logon.reply.status == NtStatus::WRONG_PASSWORD {
            return Course::Doubtful(logon);
        }
        if asks_pdc && logon.reply.status == NtStatus::NO_SUCH_USER {
            logon.reply.authoritative = false;
        }
        self.count(&mut logon, response);
        Course::Decided(logon)
    }

    /// Counts a [`Course::Doubtful`] logon that is decided here after all.
    pub fn count_wrong_password(&mut self, mut logon: Logon) -> Logon {
        self.count(&mut logon, Some(false));
        logon
    }

    /// Whether a response was made for a server that this asker may ask for.
    fn check_target(&self, request: &LogonRequest, asker: &Asker) -> Result<(), NtStatus> {
        match asker {
            Asker::Member => check_target_info(request, &self.netbios),
            // It has checked that itself.
            Asker::Controller => Ok(()),
            Asker::Trusted(netbios) => check_target_domain(request, netbios),
        }
    }

    /// Decides, without counting; and whether the response was right, where it came to that.
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
            self.refused(status, ours.is_some())
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

/// `S-1-5-21-...` for a domain: one sub-authority from its name (FNV-1a), so that two domains differ.
pub(crate) fn domain_sid(netbios: &str) -> String {
    let hash = netbios
        .to_uppercase()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("S-1-5-21-{hash}-0-0")
}
