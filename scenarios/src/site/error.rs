//! The mistakes in a script's description of its site.

use crate::nearest::nearest;

/// A name that has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} `{given}`{}", hint(.given, .known))]
pub(crate) struct Unknown {
    pub(crate) kind: &'static str,
    pub(crate) given: String,
    /// The names that exist.
    pub(crate) known: Vec<String>,
}

/// A mistake in a script's description of its site, from which therefore no topology follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SiteError {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("there is no user `{user}` in the directory{}; give password= to try this name nevertheless, or user = None for no user", hint(.user, .known))]
    NoSuchUser { user: String, known: Vec<String> },
    #[error("`{0}` is not a valid name: use at most 32 letters, digits, - and _")]
    BadName(String),
    #[error("a server shows a certificate only over TLS: give tls= to site(), or remove certificate=")]
    CertificateWithoutTls,
    #[error("`{0}` is not the path of an anonymous part: such a path begins with /")]
    AnonymousPath(String),
}

/// Returns the hint `; did you mean ...? There are: ...`.
fn hint(given: &str, known: &[String]) -> String {
    let near = nearest(given, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    near.unwrap_or_else(|| format!("; there are: {}", known.join(", ")))
}
