//! Local accounts: the server's own security accounts manager. The module is pure.

use indexmap::IndexMap;
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};
use stickler_auth::status::NtStatus;
use stickler_model::topology::UserSpec;

/// The accounts of one machine. Their only state is the password. Lockout and similar states exist only in the
/// directory.
pub struct Sam {
    machine: String,
    level: LmCompatibilityLevel,
    /// The names in their spelling, and the secrets, keyed by the name in lower case.
    accounts: IndexMap<String, (String, StoredSecret)>,
}

impl Sam {
    /// Creates the accounts of `machine`, a NetBIOS name.
    pub fn new(machine: &str, users: &[UserSpec]) -> Self {
        let account = |user: &UserSpec| {
            (user.name.to_lowercase(), (user.name.clone(), StoredSecret::from_password(&user.password, false)))
        };
        Self {
            machine: machine.to_uppercase(),
            level: LmCompatibilityLevel::default(),
            accounts: users.iter().map(account).collect(),
        }
    }

    /// Returns whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Decides a logon.
    ///
    /// The domain that the client named is ignored: a machine treats any unknown domain as its own (MS-NLMP 3.2.5.1.2),
    /// and the caller has already asked a known domain.
    pub fn logon(&mut self, request: &LogonRequest) -> LogonReply {
        let Some((name, secret)) = self.accounts.get_mut(&request.user.to_lowercase()) else {
            return LogonReply::refused(NtStatus::NO_SUCH_USER, true);
        };
        match secret.verify(request, self.level) {
            Ok(keys) => LogonReply {
                status: NtStatus::SUCCESS,
                authoritative: true,
                session_base_key: keys.session_base_key,
                lm_key: keys.lm_key,
                effective_name: name.clone(),
                domain: self.machine.clone(),
                logon_server: self.machine.clone(),
                ..LogonReply::default()
            },
            Err(status) => LogonReply::refused(status, true),
        }
    }
}
