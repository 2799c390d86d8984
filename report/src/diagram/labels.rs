//! Contains the texts of arrows and notes.

use stickler_model::event::{Closed, Decided, Leg};
use stickler_model::{Principal, RequestId};

use super::layout::brief;

/// The maximum length of a path, and of the name of a user or a service, in a label, in characters.
const LONGEST: usize = 40;

/// The maximum length of a sentence, in characters.
const LONGEST_SENTENCE: usize = 320;

/// Returns text that a peer or a script chose, shortened to be a part of a label.
pub(super) fn foreign(text: &str) -> String {
    brief(text, LONGEST).into_owned()
}

/// Returns a sentence that contains text of peers or scripts, shortened to the maximum length.
pub(super) fn sentence(text: &str) -> String {
    brief(text, LONGEST_SENTENCE).into_owned()
}

/// Returns the name of a user, or "nobody".
pub(super) fn user(principal: Option<&Principal>) -> String {
    principal.map_or_else(|| "nobody".to_owned(), |principal| foreign(principal.as_str()))
}

/// Returns the id of a request, or "no id".
pub(super) fn request(id: Option<RequestId>) -> String {
    id.map_or_else(|| "no id".to_owned(), |id| id.to_string())
}

/// Returns the name of the token that an HTTP request carries.
pub(super) const fn leg(leg: Leg) -> &'static str {
    match leg {
        Leg::Anonymous => "no token",
        Leg::Negotiate => "NTLM Negotiate",
        Leg::Authenticate => "NTLM Authenticate",
        Leg::Ticket => "Kerberos ticket",
        Leg::Malformed => "malformed token",
    }
}

/// Returns the way in which a connection ended, as one side saw it.
pub(super) const fn closed(how: Closed) -> &'static str {
    match how {
        Closed::Here => "is closed",
        Closed::ByPeer => "is closed by the other side",
        Closed::Broken => "is reset, or breaks",
    }
}

/// Returns the text of a balancer's decision, which follows the balancer's name: "lb reuses a pooled connection".
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

/// Returns whether a decision is about the route of a request, and not about a connection afterwards.
pub(super) const fn routes(decided: Decided) -> bool {
    matches!(decided, Decided::Open | Decided::Pinned | Decided::Reuse | Decided::Retry | Decided::Wait)
}

/// Returns the text for the NTSTATUS of a logon. The names are those of MS-ERREF 2.3.1.
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

/// Returns the text for the error in a decision on a ticket: an error code of RFC 4120 7.5.9, or one of SSPI.
pub(super) fn ticket_error(error: u32) -> String {
    match error {
        25 => "pre-authentication required, KRB-ERROR 25".to_owned(),
        1..128 => format!("KRB-ERROR {error}"),
        _ => format!("refused, {error:08X}"),
    }
}
