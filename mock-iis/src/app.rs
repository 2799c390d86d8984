//! The application behind the authentication: the resources that paths name, and its answers. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use stickler_model::Principal;
use stickler_model::action::AppAnswer;
use stickler_model::topology::FileSpec;

/// The resource that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Describes the request as the application sees it, as JSON ([`AppAnswer`]).
    Echo,
    /// `/bytes/N`: N bytes of the pattern of `Payload::Bytes`.
    Bytes(u64),
    /// `/forbidden` and below: an ACL refuses every user.
    Forbidden,
    /// `/files/` and a name: a file that is opened as the user.
    File,
    /// `/hop`: the application sends a request to a second server in the user's name.
    Hop,
    /// `/bytes/` without a number, or a file that does not exist.
    Missing,
}

impl Resource {
    /// Returns the resource that a path, without its query, names.
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

/// The prefix of the paths of files.
const FILES: &str = "/files/";

/// Opens the file that a path names, impersonating `user`.
pub fn open(files: &[FileSpec], path: &str, user: Option<&Principal>) -> Opened {
    let name = path.strip_prefix(FILES).unwrap_or_default();
    match files.iter().find(|file| file.name == name) {
        None => Opened::Missing,
        Some(file) if user.is_some_and(|user| file.readers.contains(user)) => Opened::Read,
        Some(_) => Opened::Refused,
    }
}

/// The result of opening a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The user may read the file.
    Read,
    /// The file's access list refuses the user: 401.3.
    Refused,
    /// The file does not exist.
    Missing,
}

/// Returns the user whom a second server sees if the application sends it a request in the user's name. The application
/// has no secret of the user, only a token for this machine. Neither NTLM nor a ticket can authenticate the user to
/// another machine, unless the user has delegated a ticket-granting ticket.
pub fn second_hop(user: Option<&Principal>, delegated: bool) -> String {
    user.filter(|_| delegated).map_or_else(|| "anonymous".to_owned(), ToString::to_string)
}

/// Writes the application's answer as JSON.
pub fn render(answer: &AppAnswer) -> Bytes {
    // Long enough for most answers, so that the buffer does not grow.
    let mut json = Vec::with_capacity(256);
    serde_json::to_writer(&mut json, answer).expect("a vector takes it, and no map key is one that JSON refuses");
    json.into()
}

/// Decodes the text of a header for display. Bytes that are not UTF-8 are replaced.
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
