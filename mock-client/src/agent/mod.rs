//! One request's way through authentication: what to send next, given what came back.
//!
//! ```text
//!            ┌── no token ──▶ Asked ──401, offer──┐         ┌──────── 401, Challenge ──▶ Authenticated ──▶ Done
//! begin ─────┤                                    ├──▶ Negotiated ── 2xx to a probe ───▶ Asked
//!            └── pre-emptive ─────────────────────┤         ▲
//!                                                 └──▶ Wanting ── a ticket, or none ──▶ Negotiated, Asked, Done
//! ```
//! Any other answer ends it: that is the request's answer, 401 or not. A handshake with a ticket goes
//! on only if the server asks for more: for another package, for a signature, for another clock.

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::AuthToken;
use stickler_auth::kerberos::ap;
use stickler_auth::ntlm::initiator::Nonces;
use stickler_model::Leg;

mod exchange;

pub use exchange::Exchange;

/// What there is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Send(Send),
    /// Get a ticket for the site, have this connection where there is one, and call [`Exchange::ticket`]: a ticket's token
    /// is bound to the connection that it goes out on.
    Ticket(On),
    /// Nothing: the answer that just came is the request's answer.
    Answer,
}

/// An HTTP request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Which leg it is.
    pub leg: Leg,
    /// What its `Authorization` carries.
    pub token: Option<AuthToken>,
    /// What it carries of the body.
    pub body: Body,
    /// Where it goes.
    pub connection: On,
}

/// What an HTTP request carries of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole,
    /// Nothing, where it would carry something later.
    Empty,
}

/// Where an HTTP request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The connection in use.
    Same,
    /// A new connection; the one in use is closed.
    New,
}

/// What matters of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its status.
    pub status: u16,
    /// What its `WWW-Authenticate` offers; empty where the header is absent or malformed.
    pub offers: &'a [AuthToken],
    /// Whether the connection stays open after it.
    pub keeps_alive: bool,
}

/// How a connection was lost before a byte of the answer came.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// Whether the connection had served an answer before: then the server may have closed it
    /// without knowing of this request.
    pub proven: bool,
    /// Whether nothing of the request was sent.
    pub unsent: bool,
}

/// Random bytes, the time and the connection's binding, as a token needs them.
pub trait Fresh {
    /// For an Authenticate.
    fn ntlm(&self) -> Nonces;
    /// For a ticket.
    fn kerberos(&self) -> ap::Nonces;
    /// Now, by the client's clock.
    fn now(&self) -> FileTime;
    /// That of the connection in use, where it has TLS.
    fn binding(&self) -> Option<ChannelBinding> {
        None
    }
}

/// What matters of a request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodKind {
    /// Whether it may be repeated (RFC 9110 9.2.2).
    pub idempotent: bool,
    /// GET and HEAD, which curl never sends as a probe.
    pub fetches: bool,
}

impl MethodKind {
    /// The kind of this method.
    pub fn of(method: &http::Method) -> Self {
        let fetches = matches!(method.as_str(), "GET" | "HEAD");
        Self { idempotent: method.is_idempotent(), fetches }
    }
}
