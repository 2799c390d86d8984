//! What a balancer that reads HTTP is asked, and may answer.
//!
//! One request goes through these calls, each made at most once unless noted:
//!
//! ```text
//! request ──▶ Route ──▶ response ──▶ Bond ──▶ finished ──▶ Finish
//!    ▲           │
//!    │ Wait      └──▶ failed ──▶ Route (again, for a retry, an error answer or a close)
//! ```
//!
//! An upstream connection that ends at any other moment is reported by [`L7Policy::upstream_closed`], a downstream
//! connection by [`L7Policy::downstream_closed`]. What is unsolicited (idle limits, waiting requests) is polled.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use stickler_model::Time;

use crate::BackendAware;

/// The number of a downstream connection, from 1, in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownstreamId(pub u32);

/// The number of an upstream connection, from 1, in the order in which they were decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u32);

/// A request's head as it came from the client, hop-by-hop fields removed.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// Method.
    pub method: &'a Method,
    /// Target, in origin form or `*`.
    pub uri: &'a Uri,
    /// End-to-end fields.
    pub headers: &'a HeaderMap,
    /// The client's end of the downstream connection.
    pub client: SocketAddr,
    /// What that connection speaks.
    pub protocol: Protocol,
}

/// What a downstream connection speaks. The policy sees the same requests either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1: one request at a time.
    #[default]
    Http1,
    /// HTTP/2: each stream brings a request, and several are open at a time.
    Http2 {
        /// The stream's place in the connection's table of open streams, from 0: the first that was free. It tells the
        /// open streams of one connection apart, and nothing more: each connection counts anew.
        stream: u32,
    },
}

impl Protocol {
    /// The stream's place, where there are streams.
    pub const fn stream(self) -> Option<u32> {
        match self {
            Self::Http1 => None,
            Self::Http2 { stream } => Some(stream),
        }
    }
}

/// A final answer's head as it came from the backend, hop-by-hop fields removed.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// Status, 200 or above.
    pub status: StatusCode,
    /// End-to-end fields.
    pub headers: &'a HeaderMap,
    /// Whether the backend said that it will close the connection after this answer.
    pub closes: bool,
}

/// One request on its way: which downstream connection it came by, and which upstream connection carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Where it came from.
    pub downstream: DownstreamId,
    /// What carries it.
    pub upstream: UpstreamId,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Over the upstream connection that belongs to this downstream connection.
    Pinned(UpstreamId),
    /// Over this idle upstream connection.
    Reuse(UpstreamId),
    /// Over a new upstream connection to the backend with this index in the farm. Its number is the one offered
    /// with the question; a number that is not taken is offered again.
    Open(usize),
    /// Nowhere yet: ask again after [`Work::Resume`]. The data plane bounds the wait and then answers 503.
    Wait,
    /// To nobody: the balancer answers with this status itself.
    Reject(StatusCode),
    /// To nobody: the downstream connection is closed without an answer, and no further request of it is put to the
    /// policy.
    CloseDownstream,
}

/// What an answer's head does to the bond between a downstream and an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// From now on the upstream connection belongs to this downstream connection alone.
    Pin,
    /// It no longer does.
    Unpin,
    /// As it was.
    Keep,
}

/// What becomes of an upstream connection after a complete exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It waits for its owner's next request.
    Keep,
    /// It waits for anybody's next request.
    Pool,
    /// It is closed.
    Close,
}

/// Why a request got no answer from the upstream connection that it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection could not be opened: refused, unreachable, reset.
    Refused,
    /// The connection was not open within its time limit.
    ConnectTimeout,
    /// The connection ended, and no byte of an answer had come: on a reused one, likely an idle-close race.
    Lost,
    /// Something came that is not an answer, or not a whole one.
    Malformed,
    /// No answer came within its time limit.
    Silent,
    /// The connection is open, but TLS on it did not come about: another authority, another name, no TLS at all.
    Tls,
}

impl FailureKind {
    /// The status of a balancer's answer that reports it: RFC 9110 15.6.3 (502) and 15.6.5 (504).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Refused | Self::Lost | Self::Malformed | Self::Tls => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// A request that got no answer.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Why.
    pub kind: FailureKind,
    /// How many upstream connections were tried for it so far, this one included; from 1.
    pub attempts: u32,
    /// The request, where the data plane still holds the whole of it and can send it once more.
    pub again: Option<RequestHead<'a>>,
}

/// A change to a message's header section, made after hop-by-hop fields are gone.
///
/// Those of a request are made again when it is retried, so they should not [`Edit::Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// This field has this one value.
    Set(HeaderName, HeaderValue),
    /// One more line of this field (`Set-Cookie`).
    Append(HeaderName, HeaderValue),
    /// This field is gone.
    Remove(HeaderName),
}

impl Edit {
    /// Makes the change.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value)),
            Self::Append(name, value) => drop(headers.append(name, value)),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// A verdict on a message, and what to change in its header section. An empty list costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<V> {
    /// What is decided.
    pub verdict: V,
    /// What to change before the message is passed on.
    pub edits: Vec<Edit>,
}

impl<V> From<V> for Decision<V> {
    fn from(verdict: V) -> Self {
        Self { verdict, edits: Vec::new() }
    }
}

/// What a policy wants done that no message asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Close this upstream connection. The policy has forgotten it already.
    CloseUpstream(UpstreamId),
    /// Close this downstream connection, after the answer under way if there is one. No further request of it is put to
    /// the policy, not even one that has arrived by then, or that was told to [`Route::Wait`].
    CloseDownstream(DownstreamId),
    /// Ask again about the request of this downstream connection that was told to [`Route::Wait`]; about each, where
    /// it has several.
    Resume(DownstreamId),
}

/// The decisions of a balancer that reads HTTP.
///
/// The data plane (`serve_l7` of `stickler-lb-proxy`) calls it under one lock and obeys. Pure: the same calls give the same
/// answers. A downstream connection has one exchange at a time: the next request is put to the policy when the one before
/// was reported finished, failed or closed, or was answered by the balancer itself. The streams of an HTTP/2 connection take
/// turns, too, unless [`L7Policy::takes_streams`].
pub trait L7Policy: BackendAware<Work = Work> {
    /// Whether it can decide on several requests of one downstream connection at a time, which only HTTP/2 brings
    /// ([`Protocol::Http2`]). If not, each waits for the one before it. Asked once, at the start.
    fn takes_streams(&self) -> bool {
        false
    }

    /// A request's head has come. `fresh` is the number that a [`Route::Open`] will give to the new connection.
    fn request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route>;

    /// A final answer's head has come.
    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond>;

    /// Request and answer are complete on the upstream connection, which is open and idle.
    fn finished(&mut self, now: Time, at: Exchange) -> Finish;

    /// No answer came. The upstream connection is gone. A [`Route::Open`] or [`Route::Reuse`] sends the request once
    /// more; without [`Failure::again`] that is not possible, and becomes the status of its kind.
    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route>;

    /// Whether this upstream connection is some client's own from its first request on, as one opened for that purpose
    /// is: a dedicated transport. Asked before it is opened, and only where that makes a difference to the data plane.
    fn is_dedicated(&self, upstream: UpstreamId) -> bool {
        let _ = upstream;
        false
    }

    /// A downstream connection is gone. Returns the upstream connections to close with it; the policy has forgotten
    /// them. The one that carries an unfinished exchange is always reported by [`L7Policy::upstream_closed`] first.
    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId>;

    /// An upstream connection is gone: idle, or with an exchange that had its answer's head. Returns the downstream
    /// connection to close with it, as [`Work::CloseDownstream`] does.
    fn upstream_closed(&mut self, now: Time, upstream: UpstreamId) -> Option<DownstreamId>;
}

impl fmt::Display for DownstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

impl fmt::Display for UpstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}
