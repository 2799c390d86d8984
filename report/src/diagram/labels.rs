//! What arrows and notes say.

use stickler_model::event::{Closed, Decided, Leg};
use stickler_model::{Principal, RequestId};

use super::layout::brief;

/// The longest path and the longest name of a user or a service in a label, in characters.
const LONGEST: usize = 40;

/// The longest sentence, in characters.
const LONGEST_SENTENCE: usize = 320;

/// Text that somebody else chose, as a part of a label.
pub(super) fn foreign(text: &str) -> String {
    brief(text, LONGEST).into_owned()
}

/// A sentence that has text of others in it.
pub(super) fn sentence(text: &str) -> String {
    brief(text, LONGEST_SENTENCE).into_owned()
}

/// A user, or nobody.
pub(super) fn user(principal: Option<&Principal>) -> String {
    principal.map_or_else(|| "nobody".to_owned(), |principal| foreign(principal.as_str()))
}

/// The request, or that there is no id.
pub(super) fn request(id: Option<RequestId>) -> String {
    id.map_or_else(|| "no id".to_owned(), |id| id.to_string())
}

/// What an HTTP request carries.
pub(super) const fn leg(leg: Leg) -> &'static str {
    match leg {
        Leg::Anonymous => "no token",
        Leg::Negotiate => "NTLM Negotiate",
        Leg::Authenticate => "NTLM Authenticate",
        Leg::Ticket => "Kerberos ticket",
        Leg::Malformed => "malformed token",
    }
}

/// How a connection ended, seen from one side.
pub(super) const fn closed(how: Closed) -> &'static str {
    match how {
        Closed::Here => "is closed",
        Closed::ByPeer => "is closed by the other side",
        Closed::Broken => "is reset, or breaks",
    }
}

/// What a balancer decided, after its name: "lb takes a pooled connection".
pub(super) const fn decided(decided: Decided) -> &'static str {
    match decided {
        Decided::Gate => "answers by itself",
        Decided::Open => "opens a connection",
        Decided::Pinned => "uses the pinned connection",
        Decided::Reuse => "reuses a pooled connection",
        Decided::Wait => "waits for a connection",
        Decided::Reject => "answers with an error",
        Decided::Retry => "tries once more",
        Decided::Pin => "pins the connection to its client",
        Decided::Unpin => "ends the pinning",
        Decided::Pool => "puts the connection into its pool",
        Decided::Expire => "closes an idle connection",
        Decided::TlsFailed => "has no TLS with the server",
        Decided::CloseUpstream => "closes the connection to the server",
        Decided::UpstreamClosed => "has lost an idle connection",
        Decided::CloseDownstream => "closes the connection to the client",
    }
}

/// Whether a decision is about what becomes of a request, and not of a connection afterwards.
pub(super) const fn routes(decided: Decided) -> bool {
    matches!(decided, Decided::Open | Decided::Pinned | Decided::Reuse | Decided::Retry | Decided::Wait)
}

/// An NTSTATUS of a logon; the names are those of MS-ERREF 2.3.1.
pub(super) fn logon(status: u32) -> String {
    let name = match status {
        0 => return "logon is good".to_owned(),
        0xC000_006A => "wrong password",
        0xC000_006D => "logon failure",
        0xC000_0064 => "no such user",
        0xC000_0234 => "account locked out",
        0xC000_0072 => "account disabled",
        0xC000_005E => "no logon servers",
        _ => return format!("refused, NTSTATUS {status:08X}"),
    };
    format!("{name}, NTSTATUS {status:08X}")
}

/// A decision on a ticket: an error code of RFC 4120 7.5.9, or one of SSPI's.
pub(super) fn ticket_error(error: u32) -> String {
    match error {
        25 => "pre-authentication required, KRB-ERROR 25".to_owned(),
        1..128 => format!("KRB-ERROR {error}"),
        _ => format!("refused, {error:08X}"),
    }
}
