//! The authentication of a request, which decides what to send next, given the last answer.
//!
//! ```text
//!            ┌── no token ──▶ Asked ──401, offer──┐         ┌──────── 401, Challenge ──▶ Authenticated ──▶ Done
//! begin ─────┤                                    ├──▶ Negotiated ── 2xx to a probe ───▶ Asked
//!            └── pre-emptive ─────────────────────┤         ▲
//!                                                 └──▶ Wanting ── a ticket, or none ──▶ Negotiated, Asked, Done
//! ```
//! Any other answer, 401 or not, is the answer to the request and ends the exchange. A handshake with a ticket
//! continues only if the server asks for more: another package, a signature, or another clock.

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::http::AuthToken;
use stickler_auth::kerberos::ap;
use stickler_auth::ntlm::initiator::Nonces;
use stickler_model::Leg;

mod exchange;

pub use exchange::Exchange;

/// The next step of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send an HTTP request.
    Send(Send),
    /// Get a ticket for the site. If there is a ticket, switch to this connection, because the token with the ticket is
    /// bound to the connection on which it is sent. Then call [`Exchange::ticket`].
    Ticket(Target),
    /// The last answer is the answer to the request, and there is nothing more to do.
    Answer,
}

/// An HTTP request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The leg of the handshake.
    pub leg: Leg,
    /// The token in the request's `Authorization` field, if it has one.
    pub token: Option<AuthToken>,
    /// The part of the body that the request carries.
    pub body: Body,
    /// The connection on which the request is sent.
    pub connection: Target,
}

/// The part of the body that an HTTP request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The whole body.
    Whole,
    /// No part of the body, which a later request carries.
    Empty,
}

/// The connection on which an HTTP request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The connection in use.
    Same,
    /// A new connection. The connection in use is closed.
    New,
}

/// The parts of an HTTP response that authentication depends on.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The offers in `WWW-Authenticate`; empty if the header is absent or malformed.
    pub offers: &'a [AuthToken],
    /// Whether the connection stays open afterwards.
    pub keeps_alive: bool,
    /// Whether the client leaves an HTTP/2 connection because of this answer, and continues over HTTP/1.1.
    pub leaves_http2: bool,
}

/// The loss of a connection before the first byte of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Whether the connection had delivered an answer before, in which case the server may have closed it without
    /// seeing this request.
    pub proven: bool,
    /// Whether no part of the request was sent.
    pub unsent: bool,
}

/// Supplies the random bytes, the time and the channel binding that a token needs.
pub trait Fresh {
    /// Draws random bytes for an NTLM Authenticate message.
    fn ntlm(&self) -> Nonces;
    /// Draws random bytes for a Kerberos ticket's token.
    fn kerberos(&self) -> ap::Nonces;
    /// Returns the time of the client's clock.
    fn now(&self) -> FileTime;
    /// Returns the channel binding of the connection in use; `None` without TLS.
    fn binding(&self) -> Option<ChannelBinding> {
        None
    }
}

/// The properties of a request's method that authentication depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodKind {
    /// Whether the request may be repeated (RFC 9110 9.2.2).
    pub idempotent: bool,
    /// Whether the method is GET or HEAD, which curl never sends as a probe.
    pub fetches: bool,
}

impl MethodKind {
    /// Returns the properties of a method.
    pub fn of(method: &http::Method) -> Self {
        let fetches = matches!(method.as_str(), "GET" | "HEAD");
        Self { idempotent: method.is_idempotent(), fetches }
    }
}
