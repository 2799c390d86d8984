//! Long-term keys: how a password becomes them, and how a server keeps them.

use super::crypto::{CryptoError, Etype, Key, UsageKey};
use super::name::{Principal, PrincipalName};
use super::usage;

mod keytab;

pub use keytab::{Keytab, KeytabEntry, KeytabError};

/// The salt of a user's or service account's keys: the realm and the name (MS-KILE 3.1.1.2; RFC 4120
/// 4). The name is spelled as in the directory, `sAMAccountName` with Windows.
pub fn user_salt(realm: &str, name: &PrincipalName) -> String {
    name.parts.iter().fold(realm.to_owned(), |salt, part| salt + part)
}

/// The salt of a machine's keys: the realm, `host`, and its DNS name in lower case (MS-KILE 3.1.1.2).
/// `machine` is the account's name with or without its `$`.
pub fn machine_salt(realm: &str, machine: &str) -> String {
    let name = machine.strip_suffix('$').unwrap_or(machine);
    format!("{realm}host{}.{}", name.to_lowercase(), realm.to_lowercase())
}

/// One key of an account with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongTermKey {
    /// Version of the password that it comes from.
    pub kvno: u32,
    /// The key.
    pub key: Key,
}

/// The keys of `password` for each of `etypes`, in that order.
///
/// # Errors
/// As [`Key::from_password`].
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

/// The keys that a server decrypts tickets with: those of the account that it runs as, whatever name
/// of that account a ticket is for. Derived once, used for every ticket.
#[derive(Clone, Debug, Default)]
pub struct ServiceKeys {
    /// The newest first.
    keys: Vec<ServiceKey>,
}

/// One of [`ServiceKeys`].
#[derive(Clone, Debug)]
pub(crate) struct ServiceKey {
    pub(crate) kvno: u32,
    pub(crate) etype: Etype,
    pub(crate) ticket: UsageKey,
    /// The key itself, for what else is signed with it.
    pub(crate) key: Key,
}

impl ServiceKeys {
    /// The keys of one account: current and older ones.
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

    /// The keys of `principal` in a key table, or all keys for `None`.
    pub fn from_keytab(keytab: &Keytab, principal: Option<&Principal>) -> Self {
        let wanted = |entry: &&KeytabEntry| principal.is_none_or(|principal| entry.principal == *principal);
        let keys: Vec<LongTermKey> = keytab.entries.iter().filter(wanted).map(|entry| entry.key).collect();
        Self::new(&keys)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Those of `etype`, current before older.
    pub(crate) fn candidates(&self, etype: i32) -> impl Iterator<Item = &ServiceKey> {
        self.keys.iter().filter(move |key| key.etype.number() == etype)
    }
}
