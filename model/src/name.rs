//! The names of hosts, clients and users.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text::from_text;

/// The name of a host or a client, as the script gives it: `alice`, `lb`, `iis1`, `dc`. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a client or a host of a plan may have this name: letters, digits, `-` and `_` of ASCII, at most
    /// [`MAX_NAME`](crate::bounds::MAX_NAME).
    pub fn is_plain(text: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=crate::bounds::MAX_NAME).contains(&text.len()) && text.bytes().all(plain)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a name", |text| Some(Self::from(text)))
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A security principal in down-level form, `CORP\alice`, which is also the form of `LOGON_USER`.
///
/// Windows ignores case when it compares account names, and so does this type. The type keeps the spelling, and is
/// cheap to clone.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Returns the principal `domain\user`. The domain of a local account is the name of its server.
    pub fn new(domain: &str, user: &str) -> Self {
        Self(format!("{domain}\\{user}").into())
    }

    /// Reads `DOMAIN\user`. Returns `None` if there is no backslash between two non-empty parts.
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, user) = text.split_once('\\')?;
        (!domain.is_empty() && !user.is_empty()).then(|| Self(text.into()))
    }

    /// Returns the name of the domain, or of the server for a local account.
    pub fn domain(&self) -> &str {
        self.0.split_once('\\').map_or("", |(domain, _)| domain)
    }

    /// Returns the name of the account.
    pub fn user(&self) -> &str {
        self.0.split_once('\\').map_or(&*self.0, |(_, user)| user)
    }

    /// Returns `domain\user`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a principal as DOMAIN\\user", Self::parse)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Principal {}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
