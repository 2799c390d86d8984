//! Long-term keys: their derivation from a password, and the keys of a server.

use super::crypto::{CryptoError, Etype, Key, UsageKey};
use super::name::{Principal, PrincipalName};
use super::usage;

mod keytab;

pub use keytab::{Keytab, KeytabEntry, KeytabError};

/// Returns the salt of the keys of a user or service account: the realm and the name (MS-KILE 3.1.1.2; RFC 4120 4). The
/// spelling of the name is the directory's, which is `sAMAccountName` on Windows.
pub fn user_salt(realm: &str, name: &PrincipalName) -> String {
    name.parts.iter().fold(realm.to_owned(), |salt, part| salt + part)
}

/// Returns the salt of a machine's keys: the realm, `host`, and its DNS name in lower case (MS-KILE 3.1.1.2). `machine`
/// is the account's name with or without its `$`.
pub fn machine_salt(realm: &str, machine: &str) -> String {
    let name = machine.strip_suffix('$').unwrap_or(machine);
    format!("{realm}host{}.{}", name.to_lowercase(), realm.to_lowercase())
}

/// A key of an account, with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongTermKey {
    /// The version of the password from which the key was derived.
    pub kvno: u32,
    /// The key itself.
    pub key: Key,
}

/// Derives keys from `password` for each of `etypes`, in that order.
///
/// # Errors
/// This function returns the same errors as [`Key::from_password`].
pub fn keys_from_password(
    password: &str,
    salt: &str,
    kvno: u32,
    etypes: &[Etype],
    iterations: Option<u32>,
) -> Result<Vec<LongTermKey>, CryptoError> {
    let key = |etype: &Etype| Key::from_password(*etype, password, salt.as_bytes(), iterations);
    etypes.iter().map(|etype| Ok(LongTermKey { kvno, key: key(etype)? })).collect()
}

/// The keys with which a server decrypts tickets. They are the keys of the account that it runs as, and apply to all
/// names of that account. They are prepared once and used for every ticket.
#[derive(Clone, Debug, Default)]
pub struct ServiceKeys {
    /// The keys, the newest one first.
    keys: Vec<ServiceKey>,
}

/// A key of [`ServiceKeys`] with its prepared usages.
#[derive(Clone, Debug)]
pub(crate) struct ServiceKey {
    pub(crate) kvno: u32,
    pub(crate) etype: Etype,
    pub(crate) ticket: UsageKey,
    /// The key itself, which also makes other signatures.
    pub(crate) key: Key,
}

impl ServiceKeys {
    /// Prepares the current and older keys of one account.
    pub fn new(keys: &[LongTermKey]) -> Self {
        let derive = |entry: &LongTermKey| ServiceKey {
            kvno: entry.kvno,
            etype: entry.key.etype(),
            ticket: entry.key.for_usage(usage::TICKET),
            key: entry.key,
        };
        let mut keys: Vec<ServiceKey> = keys.iter().map(derive).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.kvno));
        Self { keys }
    }

    /// Returns the keys of `principal` in a key table, or all keys if it is `None`.
    pub fn from_keytab(keytab: &Keytab, principal: Option<&Principal>) -> Self {
        let wanted = |entry: &&KeytabEntry| principal.is_none_or(|principal| entry.principal == *principal);
        let keys: Vec<LongTermKey> = keytab.entries.iter().filter(wanted).map(|entry| entry.key).collect();
        Self::new(&keys)
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the keys of `etype`, the current one before older ones.
    pub(crate) fn candidates(&self, etype: i32) -> impl Iterator<Item = &ServiceKey> {
        self.keys.iter().filter(move |key| key.etype.number() == etype)
    }
}
