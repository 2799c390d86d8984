//! Who is on this TCP connection: the state machine of Windows authentication. Pure.
//!
//! ```text
//! Anonymous ──first token──▶ Pending ──next token──▶ NeedLogon ──good──▶ Authenticated
//!     ▲   │                     │  ▲                     │                  │  ▲
//!     │   └──── ticket, good ───┼──┼─────────────────────┼──────────────────┼──┘
//!     └── no token, refused ────┘  └──── first token ────┼──────────────────┘
//!     └───────────────────────────── refused ────────────┘
//! ```
//!
//! Under `NTLM` speaks NTLM; under `Negotiate` SPNEGO with either package in it, raw NTLM, or raw
//! Kerberos (`handshake`). A ticket needs no DC and takes one leg; whether it then authenticates the
//! connection, as NTLM always does, is `authPersistNonNTLM`. [`AuthRules`] holds the switches, and what is
//! not measured on IIS. [`ConnectionAuth`] is the machine.

use std::sync::{Arc, Mutex};

use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::kerberos::ap::{self, ReplayCache};
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::acceptor::AcceptorConfig;
use stickler_auth::spnego::Nonces;
use stickler_model::Principal;

use crate::codes::LogCodes;
use crate::credentials::Presented;

mod connection;
mod handshake;

pub use connection::ConnectionAuth;

/// The tickets that a host has seen: shared by its connections, and gone with its process.
pub type Replays = Arc<Mutex<ReplayCache>>;

/// How a site authenticates.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Schemes offered, in order.
    pub schemes: Vec<Scheme>,
    /// Whether a request without credentials is served anonymously.
    pub anonymous: bool,
    /// What the log says.
    pub codes: LogCodes,
    /// How NTLM is accepted.
    pub ntlm: Arc<AcceptorConfig>,
    /// How Kerberos is accepted under `Negotiate`; `None` on a machine without a key.
    pub kerberos: Option<Arc<ap::AcceptorConfig>>,
    /// Whether `Negotiate` takes no NTLM: the provider `Negotiate:Kerberos`.
    pub kerberos_only: bool,
    /// NetBIOS names of domains by their Kerberos realm, in upper case. A user of any other realm is
    /// named by the realm.
    pub domains: Vec<(String, String)>,
    /// The switches.
    pub rules: AuthRules,
}

/// Switches for behaviour that is plausible and *not measured* on a real IIS, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthRules {
    /// One handshake may be pending per connection. Off: one per scheme.
    pub one_context: bool,
    /// A request without a token drops a pending handshake.
    pub bare_request_drops_context: bool,
    /// A refused token clears handshake and identity. Off: the identity stays.
    pub failure_clears_identity: bool,
    /// A first token on an authenticated connection clears the identity at once. Off: the next good
    /// logon replaces it.
    pub negotiate_clears_identity: bool,
    /// `authPersistSingleRequest` (documented; default false): the identity holds for one request.
    pub single_request: bool,
    /// `authPersistNonNTLM` (documented): a ticket authenticates the connection. Off: its request alone.
    pub persist_non_ntlm: bool,
    /// A request with `Via` is the last of its identity (documented for IIS 6).
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

/// A request, as far as it matters here.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it presents.
    pub presented: &'a Presented,
    /// Fresh random bytes, as far as what it presents can need them.
    pub nonces: Nonces,
    /// Now.
    pub now: FileTime,
    /// Whether it came through a proxy that says so (`Via`).
    pub via: bool,
}

/// What a state machine is given next.
#[derive(Clone, Copy)]
pub enum Turn<'a> {
    /// A request: see [`ConnectionAuth::request`].
    Request(Request<'a>),
    /// The answer to a logon: see [`ConnectionAuth::logon`].
    Logon(&'a LogonReply),
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Decision {
    /// Process it.
    Serve {
        /// As this user; `None`: anonymously.
        user: Option<Principal>,
        /// Whether the user has handed over a ticket-granting ticket, so that the application can act in
        /// their name elsewhere.
        delegated: bool,
        /// The handshake that this request ends.
        completes: Option<Completed>,
    },
    /// Answer 401.
    Unauthorized(Unauthorized),
    /// Ask the DC or the SAM, then call [`ConnectionAuth::logon`].
    NeedLogon(LogonRequest),
}

/// A handshake that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Its scheme.
    pub scheme: Scheme,
    /// The last token, which goes with the answer; empty where there is none.
    pub token: Vec<u8>,
    /// Whether it authenticates the connection beyond this request.
    pub persists: bool,
    /// The ticket that it was, if it was one.
    pub ticket: Option<TicketSeen>,
}

/// A 401 answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthorized {
    /// `sc-substatus`.
    pub substatus: u16,
    /// `sc-win32-status`.
    pub win32: u32,
    /// The token that goes with it, in the request's scheme; `None`: every scheme of the site, bare.
    pub challenge: Option<AuthToken>,
    /// Whether the handshake is over. A token then only says why (KRB-ERROR), and the site's other
    /// schemes go with it.
    pub refused: bool,
    /// The ticket that was refused, if it was one.
    pub ticket: Option<TicketSeen>,
}

/// A ticket that was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSeen {
    /// Whom it authenticates, where it was accepted.
    pub client: Option<Principal>,
    /// The service that it is for; empty where that cannot be read.
    pub service: String,
    /// 0: accepted; else the code of KRB-ERROR, or SSPI's where Kerberos has none.
    pub error: u32,
}

impl AuthConfig {
    /// A user as the application sees it, of a Kerberos realm.
    fn principal(&self, client: &stickler_auth::kerberos::Principal) -> Principal {
        let known = self.domains.iter().find(|(realm, _)| realm.eq_ignore_ascii_case(&client.realm));
        Principal::new(known.map_or(client.realm.as_str(), |(_, netbios)| netbios), &client.name.to_string())
    }
}
