//! The state machine of Windows authentication, which decides who is authenticated on a TCP connection. The module is
//! pure.
//!
//! ```text
//! Anonymous ──first token──▶ Pending ──next token──▶ NeedLogon ──good──▶ Authenticated
//!     ▲   │                     │  ▲                     │                  │  ▲
//!     │   └──── ticket, good ───┼──┼─────────────────────┼──────────────────┼──┘
//!     └── no token, refused ────┘  └──── first token ────┼──────────────────┘
//!     └───────────────────────────── refused ────────────┘
//! ```
//!
//! The scheme `NTLM` carries NTLM; `Negotiate` carries SPNEGO with either package in it, raw NTLM, or raw Kerberos
//! (`handshake`). A ticket needs no DC and takes one leg; `authPersistNonNTLM` says whether it then authenticates the
//! connection, as NTLM always does. [`AuthRules`] holds the switches, including those for behaviour that has not been
//! measured on IIS. [`ConnectionAuth`] is the state machine.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::kerberos::ap::{self, ReplayCache};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::acceptor::AcceptorConfig;
use stickler_auth::spnego::Nonces;
use stickler_model::Principal;
use stickler_model::sync::Lock;

use crate::codes::LogCodes;
use crate::credentials::Presented;

mod connection;
mod handshake;

pub use connection::ConnectionAuth;

/// The tickets that a host has seen. Its connections share them, and they are lost when its process ends.
pub type Replays = Arc<Lock<ReplayCache>>;

/// The configuration of a site's authentication.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The schemes that the site offers, in this order.
    pub schemes: Vec<Scheme>,
    /// Whether a request without credentials is served anonymously.
    pub anonymous: bool,
    /// The codes that appear in the log.
    pub codes: LogCodes,
    /// The NTLM acceptor's configuration.
    pub ntlm: Arc<AcceptorConfig>,
    /// The configuration of the Kerberos acceptor under `Negotiate`; `None` on a machine without a key.
    pub kerberos: Option<Arc<ap::AcceptorConfig>>,
    /// Whether `Negotiate` accepts Kerberos only (the provider `Negotiate:Kerberos`).
    pub kerberos_only: bool,
    /// Pairs of a Kerberos realm, in upper case, and the NetBIOS name of its domain. A user of any other realm gets the
    /// realm as the domain.
    pub domains: Vec<(String, String)>,
    /// The switches of the state machine.
    pub rules: AuthRules,
}

/// The switches of the state machine. Unless a switch is marked as documented, its behaviour is plausible but has *not
/// been measured* on a real IIS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthRules {
    /// Whether only one handshake may be pending per connection, rather than one per scheme.
    pub one_context: bool,
    /// Whether a request without a token drops a pending handshake.
    pub bare_request_drops_context: bool,
    /// Whether a refused token clears the identity as well as the handshake.
    pub failure_clears_identity: bool,
    /// Whether a first token on an authenticated connection clears the identity at once. If not, the next successful
    /// logon replaces it.
    pub negotiate_clears_identity: bool,
    /// Whether the identity lasts for one request only (`authPersistSingleRequest`; documented, false by default).
    pub single_request: bool,
    /// Whether a ticket authenticates the connection and not only its request (`authPersistNonNTLM`; documented).
    pub persist_non_ntlm: bool,
    /// Whether a request with `Via` is the last one of its identity (documented for IIS 6).
    pub via_ends_persistence: bool,
}

impl Default for AuthRules {
    fn default() -> Self {
        Self {
            one_context: true,
            bare_request_drops_context: true,
            failure_clears_identity: true,
            negotiate_clears_identity: true,
            single_request: false,
            persist_non_ntlm: true,
            via_ends_persistence: false,
        }
    }
}

/// The parts of a request that authentication depends on.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The credentials that the request presents.
    pub presented: &'a Presented,
    /// Fresh random bytes, as many as these credentials can require.
    pub nonces: Nonces,
    /// The server's current time.
    pub now: FileTime,
    /// Whether the request has passed a proxy that announces itself with `Via`.
    pub via: bool,
}

/// The next input of a state machine.
#[derive(Clone, Copy)]
pub enum Turn<'a> {
    /// A request; see [`ConnectionAuth::request`].
    Request(Request<'a>),
    /// The reply to a logon; see [`ConnectionAuth::logon`].
    Logon(&'a LogonReply),
}

/// The authentication state that decides on one request, together with the lock that protects it.
///
/// Deciding on a request can take two turns, between which the DC is asked.
pub trait AuthState: Sync {
    /// Takes the next turn. No lock is held when it returns, so the caller may wait for the DC.
    fn turn(&self, turn: Turn<'_>) -> Decision;
}

/// The decision about a request.
#[derive(Debug)]
pub enum Decision {
    /// Process the request for its sender.
    Serve(RequestIdentity),
    /// Answer 401.
    Unauthorized(Unauthorized),
    /// Ask the DC or the SAM, then call [`ConnectionAuth::logon`].
    NeedLogon(LogonRequest),
}

/// The user for whom a request is processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdentity {
    /// The authenticated user; `None` if the request is anonymous.
    pub user: Option<Principal>,
    /// Whether the user has delegated a ticket-granting ticket, with which the application can act on other servers in
    /// the user's name.
    pub delegated: bool,
    /// The handshake that this request completes.
    pub completes: Option<Completed>,
}

/// A completed handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The scheme of the handshake.
    pub scheme: Scheme,
    /// The server's last token, which the response carries; empty if there is none.
    pub token: Vec<u8>,
    /// Whether the handshake authenticates the connection beyond this request.
    pub persists: bool,
    /// The accepted ticket; `None` if the handshake was NTLM.
    pub ticket: Option<TicketSeen>,
}

/// A 401 response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthorized {
    /// The substatus in the log (`sc-substatus`).
    pub substatus: u16,
    /// The Windows error in the log (`sc-win32-status`).
    pub win32: u32,
    /// The token that the response carries, in the request's scheme; `None` means that it offers every scheme of the
    /// site without a token.
    pub challenge: Option<AuthToken>,
    /// Whether the handshake has failed. A token then only gives the reason (KRB-ERROR), and the site's other schemes
    /// are offered beside it.
    pub refused: bool,
    /// The refused ticket, if a ticket was refused.
    pub ticket: Option<TicketSeen>,
}

/// A ticket that was accepted or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSeen {
    /// The user whom the ticket authenticates; `None` if it was refused.
    pub client: Option<Principal>,
    /// The service for which the ticket was issued; empty if that cannot be read.
    pub service: String,
    /// The error: 0 if the ticket was accepted, otherwise the code of the KRB-ERROR, or SSPI's code if Kerberos has
    /// none.
    pub error: u32,
}

impl AuthConfig {
    /// Returns the name under which the application sees a user of a Kerberos realm.
    fn principal(&self, client: &stickler_auth::kerberos::Principal) -> Principal {
        let known = self.domains.iter().find(|(realm, _)| realm.eq_ignore_ascii_case(&client.realm));
        Principal::new(known.map_or(client.realm.as_str(), |(_, netbios)| netbios), &client.name.to_string())
    }
}
