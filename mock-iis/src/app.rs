//! The application behind the authentication: the resources that paths name, and its answers. The module is pure.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use stickler_model::Principal;
use stickler_model::action::AppAnswer;
use stickler_model::site::slow_page;
use stickler_model::topology::FileSpec;

/// The resource that a path names. The case of letters does not matter, as on Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `/`, a page directly below it (`/inbox`), and every path below `/api/`, `/echo/`, `/public/` and `/shop/`. The
    /// answer describes, as JSON ([`AppAnswer`]), the request as the application sees it.
    Echo,
    /// `/bytes/N`: N bytes of the pattern of `Payload::Bytes`.
    Bytes(u64),
    /// `/slow/SECONDS`: the answer of `Echo`, after that time ([`slow_page`]).
    Slow(Duration),
    /// `/forbidden` and every path below it: an ACL refuses every user.
    Forbidden,
    /// `/files/` and a name: a file that is opened as the user.
    File,
    /// `/hop`: the application sends a request to a second server in the user's name.
    Hop,
    /// `/socket`: the answer of `Echo`, or a WebSocket. The WebSocket first sends that answer, and then echoes each
    /// message.
    Socket,
    /// Any other path.
    Missing,
}

/// The folders whose pages describe the request.
const ECHOING: [&str; 4] = ["api", "echo", "public", "shop"];

/// The folder of the files.
const FILES: &str = "files";

impl Resource {
    /// Returns the resource that a path, without its query, names.
    pub fn of(path: &str) -> Self {
        let Some((folder, rest)) = split(path) else { return Self::Missing };
        let is = |name: &str| folder.eq_ignore_ascii_case(name);
        match rest {
            _ if is("forbidden") => Self::Forbidden,
            Some(count) if is("bytes") => count.parse().map_or(Self::Missing, Self::Bytes),
            Some(_) if is("slow") => slow_page(path).map_or(Self::Missing, Self::Slow),
            Some(_) if is(FILES) => Self::File,
            None if is("hop") => Self::Hop,
            None if is("socket") => Self::Socket,
            None => Self::Echo,
            Some(_) if ECHOING.into_iter().any(is) => Self::Echo,
            Some(_) => Self::Missing,
        }
    }
}

/// Splits a path into its first part and the rest.
fn split(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.strip_prefix('/')?;
    Some(path.split_once('/').map_or((path, None), |(folder, rest)| (folder, Some(rest))))
}

/// Opens the file that a path names, impersonating `user`.
pub fn open(files: &[FileSpec], path: &str, user: Option<&Principal>) -> Opened {
    let name = split(path).and_then(|(_, name)| name).unwrap_or_default();
    match files.iter().find(|file| file.name.eq_ignore_ascii_case(name)) {
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

/// Returns the user whom a second server sees if the application sends a request to it on behalf of `user`. The
/// application has no secret of the user, only a token for this machine. Therefore neither NTLM nor a ticket can
/// authenticate the user to another machine, unless the user has delegated a ticket-granting ticket.
pub fn second_hop(user: Option<&Principal>, delegated: bool) -> String {
    user.filter(|_| delegated).map_or_else(|| "anonymous".to_owned(), ToString::to_string)
}

/// Writes the application's answer as JSON.
pub fn render(answer: &AppAnswer) -> Bytes {
    // The capacity is sufficient for most answers, so the buffer does not grow.
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
            ("/socket", Resource::Socket),
            ("/socket/1", Resource::Missing),
            ("/sockets", Resource::Echo),
            ("/inbox", Resource::Echo),
            ("/inbox/1", Resource::Missing),
            ("/byte/10", Resource::Missing),
            ("/Files/plan", Resource::File),
            ("/files", Resource::Echo),
            ("/echo/a/b", Resource::Echo),
            ("/api/orders", Resource::Echo),
            ("/slow/90", Resource::Slow(Duration::from_secs(90))),
            ("/slow/0.5", Resource::Slow(Duration::from_millis(500))),
            ("/slow/3601", Resource::Missing),
            ("/slow/-1", Resource::Missing),
            ("/slow/inf", Resource::Missing),
            ("/slow/", Resource::Missing),
            ("*", Resource::Missing),
            ("/bytes/10", Resource::Bytes(10)),
            ("/bytes/ten", Resource::Missing),
            ("/bytes/99999999999999999999", Resource::Missing),
        ] {
            assert_eq!(Resource::of(path), resource, "{path}");
        }
    }
}
