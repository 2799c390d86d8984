//! The memory that an event takes, so that a trace can be bounded.

use crate::action::Piece;
use crate::topology::{FileSpec, ServerSpec, UserSpec};
use crate::{Action, Event, Identity, Name, Payload, What};

/// Returns the approximate number of bytes that an event takes: those of its type, and those of the text that a peer or
/// a script can make arbitrarily long. Names and numbers are short and do not count.
pub(crate) fn of(event: &Event) -> usize {
    size_of::<Event>() + text(&event.what)
}

fn text(what: &What) -> usize {
    match what {
        What::Action(action) => action.weight(),
        What::RequestStarted { method, path, .. } => method.len() + path.len(),
        What::CookieReceived { value, .. }
        | What::CookieSent { value, .. }
        | What::ClientClaimed { value, .. }
        | What::ServerTrusted { value, .. }
        | What::SenderNamed { name: value, .. } => value.len(),
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

impl Action {
    /// Returns the approximate number of bytes that the action takes beyond its type: its text, and the lists that it
    /// contains.
    pub fn weight(&self) -> usize {
        match self {
            Self::Start { request, .. } => {
                let field = |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
                let fields: usize = request.headers.iter().map(field).sum();
                let body = if let Payload::Text(text) = &request.body { text.len() } else { 0 };
                request.method.len() + request.path.len() + fields + body
            }
            Self::Crowd(crowd) => crowd.clients.len() * size_of::<Name>() + crowd.path.len(),
            Self::SendRaw(raw) => raw.bytes.iter().map(|piece| size_of::<Piece>() + piece.length()).sum(),
            Self::AddClient(client) => {
                client.identity.as_ref().map_or(0, credentials) + client.host.as_ref().map_or(0, String::len)
            }
            Self::SwitchUser(_, identity) => credentials(identity),
            Self::Configure(server) => weight(server),
            _ => 0,
        }
    }
}

/// Returns the approximate number of bytes that the settings of a server take, except for its name.
fn weight(server: &ServerSpec) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + text.len()).sum::<usize>();
    let accounts = server.accounts.iter().map(|user| size_of::<UserSpec>() + user.name.len() + user.password.len());
    let file = |file: &FileSpec| {
        let readers = file.readers.iter().map(|reader| size_of::<Name>() + reader.as_str().len());
        size_of::<FileSpec>() + file.name.len() + readers.sum::<usize>()
    };
    let site = &server.site;
    size_of::<ServerSpec>()
        + accounts.sum::<usize>()
        + site.files.iter().map(file).sum::<usize>()
        + texts(&site.anonymous.paths)
        + texts(&site.anonymous.methods)
        + texts(&site.protection.service_names)
}

fn credentials(identity: &Identity) -> usize {
    identity.principal.as_str().len() + identity.password.len()
}
