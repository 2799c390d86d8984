//! One account: its secret, its state, and the logons that this state forbids.

use std::sync::OnceLock;

use stickler_auth::FileTime;
use stickler_auth::kerberos::PrincipalName;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::keys::{LongTermKey, keys_from_password, machine_salt, user_salt};
use stickler_auth::ntlm::crypto::ntowf_v1;
use stickler_auth::ntlm::verify::StoredSecret;
use stickler_auth::status::NtStatus;
use stickler_model::Principal;

/// The settings of an account that an administrator controls. By default, a user may log on at any time, from anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// Whether the account is enabled.
    pub enabled: bool,
    /// Whether the account is locked out by the administrator. Lockout by failed logons is counted separately.
    pub locked_out: bool,
    /// The time at which the account expires; `None` means never.
    pub expires: Option<FileTime>,
    /// The time at which the password expires; `None` means never.
    pub password_expires: Option<FileTime>,
    /// Whether the user must change the password before logging on.
    pub must_change: bool,
    /// The hours during which the user may log on.
    pub hours: LogonHours,
    /// The NetBIOS names of the workstations from which the user may log on. An empty list means any.
    pub workstations: Vec<String>,
    /// Whether the user is a member of Protected Users, who may not use NTLM at all, and may use neither RC4 nor
    /// delegation with Kerberos.
    pub protected: bool,
    /// Whether a ticket-granting ticket is issued without pre-authentication (`DONT_REQ_PREAUTH`).
    pub no_preauth: bool,
    /// Whether the account is sensitive, so that its tickets cannot be forwarded (`NOT_DELEGATED`).
    pub sensitive: bool,
}

impl Default for AccountState {
    fn default() -> Self {
        Self {
            enabled: true,
            locked_out: false,
            expires: None,
            password_expires: None,
            must_change: false,
            hours: LogonHours::ALWAYS,
            workstations: Vec::new(),
            protected: false,
            no_preauth: false,
            sensitive: false,
        }
    }
}

impl AccountState {
    /// Checks whether the account may log on at this time at all, before its password is verified.
    ///
    /// The checks are made in the order of Windows DCs (MS-APDS 3.1.5.2.1, MS-SAMR 3.1.1.8): an account that is
    /// disabled *and* locked out is reported as disabled. `locked_out` says whether failed logons locked it.
    ///
    /// # Errors
    /// The status of the first check that fails.
    pub fn check(&self, workstation: &str, locked_out: bool, now: FileTime) -> Result<(), NtStatus> {
        let past = |time: Option<FileTime>| time.is_some_and(|time| time <= now);
        let checks = [
            (!self.enabled, NtStatus::ACCOUNT_DISABLED),
            (past(self.expires), NtStatus::ACCOUNT_EXPIRED),
            (self.locked_out || locked_out, NtStatus::ACCOUNT_LOCKED_OUT),
            (!self.hours.allow(now), NtStatus::INVALID_LOGON_HOURS),
            (past(self.password_expires), NtStatus::PASSWORD_EXPIRED),
            (self.must_change, NtStatus::PASSWORD_MUST_CHANGE),
            (!self.allows_workstation(workstation), NtStatus::INVALID_WORKSTATION),
        ];
        checks.into_iter().find(|(fails, _)| *fails).map_or(Ok(()), |(_, status)| Err(status))
    }

    /// Returns whether the account may log on from this workstation. The name may begin with backslashes, which
    /// `NetrLogon` clients send.
    fn allows_workstation(&self, workstation: &str) -> bool {
        let name = workstation.trim_start_matches('\\');
        self.workstations.is_empty() || self.workstations.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

/// The hours of the week in which an account may log on, as 168 bits. The first bit means Sunday 00:00 to 01:00 UTC.
/// The lowest bit of each byte comes first (MS-SAMR 2.2.6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogonHours([u8; 21]);

impl LogonHours {
    /// All hours of the week.
    pub const ALWAYS: Self = Self([0xff; 21]);
    /// No hour of the week.
    pub const NEVER: Self = Self([0; 21]);

    /// Takes the value of the attribute `logonHours`.
    pub const fn new(bits: [u8; 21]) -> Self {
        Self(bits)
    }

    /// Returns whether logons are allowed in the hour of `now`.
    pub fn allow(&self, now: FileTime) -> bool {
        // FILETIME begins on Monday, 1601-01-01; the bits begin on Sunday.
        let hour = (now.0 / (3600 * FileTime::TICKS_PER_SECOND) + 24) % 168;
        self.0[(hour / 8) as usize] & (1 << (hour % 8)) != 0
    }
}

/// The key version number of a password that was never changed, as Active Directory counts.
pub(crate) const FIRST_KVNO: u32 = 2;

/// The kind of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person, or a service.
    User,
    /// A computer; the account's name ends in `$`.
    Machine,
}

/// The rules by which a domain derives Kerberos keys.
pub(crate) struct KeyRules<'a> {
    /// The domain's Kerberos realm.
    pub(crate) realm: &'a str,
    /// The encryption types for which every account has a key.
    pub(crate) etypes: &'a [Etype],
    /// The iterations of string-to-key; `None` means the default of the encryption type.
    pub(crate) iterations: Option<u32>,
}

/// An account of the directory: its state, its secret, and its failed logons.
pub(crate) struct Account {
    pub(crate) principal: Principal,
    pub(crate) sids: Vec<String>,
    pub(crate) state: AccountState,
    /// The number of failed logons since the last successful one.
    pub(crate) bad_count: u32,
    /// The number of domain local groups of which the account is a member.
    pub(crate) groups: u16,
    kind: Kind,
    password: String,
    secret: StoredSecret,
    nt_hash: [u8; 16],
    /// The Kerberos keys, which are derived at their first use because that takes milliseconds.
    keys: OnceLock<Vec<LongTermKey>>,
}

impl Account {
    /// Creates an account without an LM hash, the default since Windows Vista (`NoLMHash`).
    pub(crate) fn new(kind: Kind, principal: Principal, password: &str, sids: Vec<String>) -> Self {
        let nt_hash = ntowf_v1(password);
        let secret = StoredSecret::from_hashes(nt_hash, None);
        let (state, password, keys) = (AccountState::default(), password.to_owned(), OnceLock::new());
        Self { principal, sids, state, bad_count: 0, groups: 0, kind, password, secret, nt_hash, keys }
    }

    /// Returns the stored secret. It is mutable because a verification may fill its cache.
    pub(crate) fn secret(&mut self) -> &mut StoredSecret {
        &mut self.secret
    }

    /// Returns whether this is the account's password. The call is not a logon, and nothing is counted.
    pub(crate) fn has_password(&self, password: &str) -> bool {
        ntowf_v1(password) == self.nt_hash
    }

    /// Checks the account's state for a logon from this workstation; `threshold` is the domain's lockout threshold.
    pub(crate) fn check(&self, workstation: &str, threshold: Option<u32>, now: FileTime) -> Result<(), NtStatus> {
        self.state.check(workstation, threshold.is_some_and(|limit| self.bad_count >= limit), now)
    }

    /// Counts the result of a password check.
    pub(crate) fn count(&mut self, good: bool) {
        self.bad_count = if good { 0 } else { self.bad_count.saturating_add(1) };
    }

    /// Returns the account's name in its realm.
    pub(crate) fn name(&self) -> PrincipalName {
        PrincipalName::user(self.principal.user())
    }

    /// Returns the salt of the account's Kerberos keys.
    pub(crate) fn salt(&self, realm: &str) -> String {
        match self.kind {
            Kind::User => user_salt(realm, &self.name()),
            Kind::Machine => machine_salt(realm, self.principal.user()),
        }
    }

    /// Returns the account's Kerberos keys. `rules` must be the same at every call: the keys are derived once.
    pub(crate) fn keys(&self, rules: &KeyRules<'_>) -> &[LongTermKey] {
        self.keys.get_or_init(|| {
            let salt = self.salt(rules.realm);
            keys_from_password(&self.password, &salt, FIRST_KVNO, rules.etypes, rules.iterations)
                .expect("fails for iterations out of bounds only, which the directory does not take")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: FileTime = FileTime::from_unix_nanos(1_700_000_000_000_000_000); // Tue 2023-11-14 22:13 UTC

    #[test]
    fn the_first_check_that_fails_names_the_status() {
        let mut state = AccountState {
            enabled: false,
            locked_out: true,
            expires: Some(NOON),
            password_expires: Some(NOON),
            must_change: true,
            hours: LogonHours::NEVER,
            workstations: vec!["PC1".into()],
            ..AccountState::default()
        };
        let mut check = |mend: fn(&mut AccountState)| {
            let status = state.check("pc2", false, NOON).err();
            mend(&mut state);
            status
        };
        assert_eq!(check(|s| s.enabled = true), Some(NtStatus::ACCOUNT_DISABLED));
        assert_eq!(check(|s| s.expires = Some(FileTime(NOON.0 + 1))), Some(NtStatus::ACCOUNT_EXPIRED));
        assert_eq!(check(|s| s.locked_out = false), Some(NtStatus::ACCOUNT_LOCKED_OUT));
        assert_eq!(check(|s| s.hours = LogonHours::ALWAYS), Some(NtStatus::INVALID_LOGON_HOURS));
        assert_eq!(check(|s| s.password_expires = None), Some(NtStatus::PASSWORD_EXPIRED));
        assert_eq!(check(|s| s.must_change = false), Some(NtStatus::PASSWORD_MUST_CHANGE));
        assert_eq!(check(|s| s.workstations.push("PC2".into())), Some(NtStatus::INVALID_WORKSTATION));
        assert_eq!(check(|_| ()), None);
    }

    #[test]
    fn failed_logons_lock_an_account_as_an_administrator_would() {
        assert_eq!(AccountState::default().check("", true, NOON), Err(NtStatus::ACCOUNT_LOCKED_OUT));
    }

    #[test]
    fn the_hours_begin_on_sunday_in_utc() {
        // Tuesday 22:13: hour 2 * 24 + 22 = 70 of the week, bit 6 of byte 8.
        let mut bits = [0; 21];
        bits[8] = 1 << 6;
        assert!(LogonHours::new(bits).allow(NOON));
        assert!(!LogonHours::new(bits).allow(FileTime(NOON.0 + 3600 * FileTime::TICKS_PER_SECOND)));
    }

    #[test]
    fn a_workstation_compares_without_case_and_backslashes() {
        let state = AccountState { workstations: vec!["PC1".into()], ..AccountState::default() };
        assert_eq!(state.check(r"\\pc1", false, NOON), Ok(()));
        assert_eq!(state.check("", false, NOON), Err(NtStatus::INVALID_WORKSTATION));
    }
}
