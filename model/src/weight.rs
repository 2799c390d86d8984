//! How much memory an event takes, so that a trace can be bounded.

use crate::action::Piece;
use crate::{Action, Event, Payload, What};

/// Returns about how many bytes an event takes: those of its type, and those of the text that a peer or a script can
/// make as long as it likes. Names and numbers are short.
pub(crate) fn of(event: &Event) -> usize {
    size_of::<Event>() + text(&event.what)
}

fn text(what: &What) -> usize {
    match what {
        What::Action(action) => asked(action),
        What::RequestStarted { method, path, .. } => method.len() + path.len(),
        What::CookieReceived { value, .. }
        | What::CookieSent { value, .. }
        | What::ClientClaimed { value, .. }
        | What::ServerTrusted { value, .. } => value.len(),
        What::ClientReceived { user, .. } | What::ServerAnswered { user, .. } => {
            user.as_ref().map_or(0, |user| user.as_str().len())
        }
        What::RequestEnded { error, .. } => error.as_ref().map_or(0, String::len),
        What::ServerLogon { account, .. } | What::DcLogon { account, .. } | What::DcPassedOn { account, .. } => {
            account.as_str().len()
        }
        What::ServerTicket { client, service, .. } | What::DcTicket { client, service, .. } => {
            service.len() + client.as_ref().map_or(0, |client| client.as_str().len())
        }
        _ => 0,
    }
}

fn asked(action: &Action) -> usize {
    match action {
        Action::Start { request, .. } => {
            let fields: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            let body = if let Payload::Text(text) = &request.body { text.len() } else { 0 };
            request.method.len() + request.path.len() + fields + body
        }
        Action::SendRaw(raw) => {
            let length = |piece: &Piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Token(_) => 0,
            };
            raw.bytes.iter().map(length).sum()
        }
        _ => 0,
    }
}
