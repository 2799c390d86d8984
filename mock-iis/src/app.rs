//! The application behind the authentication: which resource a path names, and what it answers. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use stickler_model::action::AppAnswer;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Tells what the application knows of the request, as JSON ([`AppAnswer`]).
    Echo,
    /// `/bytes/N`: N bytes of the pattern of `Payload::Bytes`.
    Bytes(u64),
    /// `/forbidden` and below: an ACL refuses everybody.
    Forbidden,
    /// `/bytes/` and then no number.
    Missing,
}

impl Resource {
    /// The resource of a path, without its query.
    pub fn of(path: &str) -> Self {
        if let Some(count) = path.strip_prefix("/bytes/") {
            return count.parse().map_or(Self::Missing, Self::Bytes);
        }
        match path.strip_prefix("/forbidden") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Forbidden,
            _ => Self::Echo,
        }
    }
}

/// The application's answer as JSON.
pub fn render(answer: &AppAnswer) -> Bytes {
    // Long enough for most, so that it does not grow as it is written.
    let mut json = Vec::with_capacity(256);
    serde_json::to_writer(&mut json, answer).expect("a vector takes it, and no map key is one that JSON refuses");
    json.into()
}

/// Header text for people: bytes that are not UTF-8 are replaced.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        for (path, resource) in [
            ("/", Resource::Echo),
            ("/forbiddenness", Resource::Echo),
            ("/forbidden", Resource::Forbidden),
            ("/forbidden/x", Resource::Forbidden),
            ("/bytes/10", Resource::Bytes(10)),
            ("/bytes/ten", Resource::Missing),
            ("/bytes/99999999999999999999", Resource::Missing),
        ] {
            assert_eq!(Resource::of(path), resource, "{path}");
        }
    }
}
