//! The application behind the authentication: which resource a path names, and what it answers. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use stickler_model::Principal;
use stickler_model::action::AppAnswer;
use stickler_model::topology::FileSpec;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Tells what the application knows of the request, as JSON ([`AppAnswer`]).
    Echo,
    /// `/bytes/N`: N bytes of the pattern of `Payload::Bytes`.
    Bytes(u64),
    /// `/forbidden` and below: an ACL refuses everybody.
    Forbidden,
    /// `/files/` and a name: opened as the user.
    File,
    /// `/hop`: the application asks a second server in the user's name.
    Hop,
    /// `/bytes/` and then no number, or a file that is not there.
    Missing,
}

impl Resource {
    /// The resource of a path, without its query.
    pub fn of(path: &str) -> Self {
        if let Some(count) = path.strip_prefix("/bytes/") {
            return count.parse().map_or(Self::Missing, Self::Bytes);
        }
        if path.starts_with(FILES) {
            return Self::File;
        }
        if path == "/hop" {
            return Self::Hop;
        }
        match path.strip_prefix("/forbidden") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Forbidden,
            _ => Self::Echo,
        }
    }
}

/// Where the files are.
const FILES: &str = "/files/";

/// What impersonation comes to when the file of a path is opened as `user`: it reads, an access list
/// refuses, or there is no such file.
pub fn open(files: &[FileSpec], path: &str, user: Option<&Principal>) -> Opened {
    let name = path.strip_prefix(FILES).unwrap_or_default();
    match files.iter().find(|file| file.name == name) {
        None => Opened::Missing,
        Some(file) if user.is_some_and(|user| file.readers.contains(user)) => Opened::Read,
        Some(_) => Opened::Refused,
    }
}

/// What opening a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It can be read.
    Read,
    /// Its access list refuses the user: 401.3.
    Refused,
    /// It does not exist.
    Missing,
}

/// Whom a second server sees when the application asks it in the user's name. The application has no
/// secret of the user's, only a token for this machine: NTLM cannot go further, nor can a ticket,
/// unless the user's ticket-granting ticket came with it.
pub fn second_hop(user: Option<&Principal>, delegated: bool) -> String {
    user.filter(|_| delegated).map_or_else(|| "anonymous".to_owned(), ToString::to_string)
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
            ("/files/plan", Resource::File),
            ("/hop", Resource::Hop),
            ("/hopscotch", Resource::Echo),
            ("/bytes/10", Resource::Bytes(10)),
            ("/bytes/ten", Resource::Missing),
            ("/bytes/99999999999999999999", Resource::Missing),
        ] {
            assert_eq!(Resource::of(path), resource, "{path}");
        }
    }
}
