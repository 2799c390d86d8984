//! The trait for a balancer that reads HTTP, and the vocabulary of its decisions.
//!
//! The data plane makes these calls for one request, each at most once unless noted:
//!
//! ```text
//! request ──▶ Route ──▶ response ──▶ Bond ──▶ finished ──▶ Finish
//!    ▲           │
//!    │ Wait      └──▶ failed ──▶ Route (again, for a retry, an error answer or a close)
//! ```
//!
//! [`L7Policy::upstream_closed`] reports an upstream connection that ends at any other moment, and
//! [`L7Policy::downstream_closed`] a downstream connection that ends. Unsolicited work (idle limits, waiting requests)
//! is polled.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use stickler_model::Time;

use crate::BackendAware;

/// The number of a downstream connection. Numbers start at 1 and follow the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownstreamId(pub u32);

/// The number of an upstream connection. Numbers start at 1 and follow the order in which connections were decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u32);

/// The head of a request as it came from the client, without hop-by-hop fields.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// The target of the request, in origin form or `*`.
    pub uri: &'a Uri,
    /// The end-to-end header fields.
    pub headers: &'a HeaderMap,
    /// The client's address and port on the downstream connection.
    pub client: SocketAddr,
    /// The protocol of the downstream connection.
    pub protocol: Protocol,
}

/// The protocol of a downstream connection. The policy sees the same requests in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1: one request at a time.
    #[default]
    Http1,
    /// HTTP/2: each stream brings a request, and several are open at a time.
    Http2 {
        /// The stream's place in the connection's table of open streams, from 0. A new stream gets the first free
        /// place. The place distinguishes the open streams of one connection and nothing more: each connection counts
        /// from 0.
        stream: u32,
    },
}

impl Protocol {
    /// Returns the stream's place for HTTP/2, and `None` for HTTP/1.1.
    pub const fn stream(self) -> Option<u32> {
        match self {
            Self::Http1 => None,
            Self::Http2 { stream } => Some(stream),
        }
    }
}

/// The head of a final answer as it came from the backend, without hop-by-hop fields.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status, 200 or above.
    pub status: StatusCode,
    /// The end-to-end header fields.
    pub headers: &'a HeaderMap,
    /// Whether the backend said that it will close the connection after this answer.
    pub closes: bool,
}

/// One request under way: the downstream connection that it came by, and the upstream connection that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// The downstream connection that the request came by.
    pub downstream: DownstreamId,
    /// The upstream connection that carries the request.
    pub upstream: UpstreamId,
}

/// The decision about where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The request takes the upstream connection that belongs to its downstream connection.
    Pinned(UpstreamId),
    /// The request takes this idle upstream connection.
    Reuse(UpstreamId),
    /// The request takes a new upstream connection to the backend with this index in the farm. The connection gets the
    /// number that came with the question (`fresh`); a number that is not used is offered again.
    Open(usize),
    /// The request waits: the data plane asks again after [`Work::Resume`]. It limits the wait, and then answers 503.
    Wait,
    /// The request goes to no backend: the balancer itself answers with this status.
    Reject(StatusCode),
    /// The request goes to no backend: the downstream connection is closed without an answer, and the policy is asked
    /// about no further request of it.
    CloseDownstream,
}

/// The effect of an answer's head on the bond between a downstream and an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// The upstream connection belongs to this downstream connection alone from now on.
    Pin,
    /// The upstream connection no longer belongs to this downstream connection.
    Unpin,
    /// The bond stays as it was.
    Keep,
}

/// The fate of an upstream connection after a complete exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The connection waits for its owner's next request.
    Keep,
    /// The connection waits for the next request of any client.
    Pool,
    /// The connection is closed.
    Close,
}

/// The reason why a request got no answer from the upstream connection that it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection could not be opened: it was refused or reset, or the backend is unreachable.
    Refused,
    /// The connection was not open within its time limit.
    ConnectTimeout,
    /// The connection ended before any byte of an answer. If it was reused, an idle-close race is the likely cause.
    Lost,
    /// The backend sent something that is not a complete, valid answer.
    Malformed,
    /// The backend did not answer within the time limit.
    Silent,
    /// The connection is open, but TLS could not be established on it: the authority or the name is wrong, or the
    /// backend does not speak TLS.
    Tls,
}

impl FailureKind {
    /// Returns the status with which a balancer reports this failure to the client: 502 (RFC 9110 15.6.3) or 504
    /// (15.6.5).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Refused | Self::Lost | Self::Malformed | Self::Tls => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Describes a request that got no answer.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The number of upstream connections that were tried for the request so far, this one included; at least 1.
    pub attempts: u32,
    /// The head of the request if the data plane still holds the whole request and can send it once more.
    pub again: Option<RequestHead<'a>>,
}

/// A change to a message's header section, made after hop-by-hop fields were removed.
///
/// The edits of a request are applied again when it is retried, and therefore should not be [`Edit::Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Sets this field to this single value.
    Set(HeaderName, HeaderValue),
    /// Adds one more line with this field (`Set-Cookie`).
    Append(HeaderName, HeaderValue),
    /// Removes all lines with this field.
    Remove(HeaderName),
}

impl Edit {
    /// Applies the change to `headers`.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value)),
            Self::Append(name, value) => drop(headers.append(name, value)),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// A decision about a message, with the changes to its header section. An empty list of changes costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<V> {
    /// The decision itself.
    pub verdict: V,
    /// The changes to make before the message is passed on.
    pub edits: Vec<Edit>,
}

impl<V> From<V> for Decision<V> {
    fn from(verdict: V) -> Self {
        Self { verdict, edits: Vec::new() }
    }
}

/// Work that a policy wants done although no message asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Close this upstream connection. The policy has forgotten it already.
    CloseUpstream(UpstreamId),
    /// Close this downstream connection, after the answer under way if there is one. The policy is asked about no
    /// further request of the connection, not even one that has already arrived or that was told to [`Route::Wait`].
    CloseDownstream(DownstreamId),
    /// Ask again about the request of this downstream connection that was told to [`Route::Wait`], or about each of
    /// them if there are several.
    Resume(DownstreamId),
}

/// The decisions of a balancer that reads HTTP. Implement this trait to put a balancer of your own on the bench.
///
/// The data plane (`serve_l7` of `stickler-lb-proxy`) calls the policy under one lock and obeys it. An implementation
/// must be pure: the same calls give the same answers. A downstream connection has one exchange at a time: the data
/// plane asks about the next request only after it has reported the previous one as finished, failed or closed, or
/// after the balancer itself has answered it. The streams of an HTTP/2 connection also take turns unless
/// [`L7Policy::takes_streams`] returns `true`.
pub trait L7Policy: BackendAware<Work = Work> {
    /// Returns whether the policy can decide on several requests of one downstream connection at a time, which only
    /// HTTP/2 brings ([`Protocol::Http2`]). If not, each request waits for the one before it. The data plane asks once,
    /// at the start.
    fn takes_streams(&self) -> bool {
        false
    }

    /// Decides where a request goes, once its head has arrived. `fresh` is the number that a [`Route::Open`] will give
    /// to the new connection.
    fn request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        fresh: UpstreamId,
        head: &RequestHead<'_>,
    ) -> Decision<Route>;

    /// Decides what happens to the bond, once the head of a final answer has arrived.
    fn response(&mut self, now: Time, at: Exchange, head: &ResponseHead<'_>) -> Decision<Bond>;

    /// Decides what happens to the upstream connection, which is open and idle after a complete request and answer.
    fn finished(&mut self, now: Time, at: Exchange) -> Finish;

    /// Decides what happens to a request that got no answer; its upstream connection is gone. A [`Route::Open`] or
    /// [`Route::Reuse`] sends the request once more. Without [`Failure::again`] that is not possible, and the client
    /// gets the status of the failure's kind instead.
    fn failed(&mut self, now: Time, at: Exchange, fresh: UpstreamId, failure: &Failure<'_>) -> Decision<Route>;

    /// Returns whether this upstream connection belongs to one client from its first request on (a dedicated
    /// transport). The data plane asks before it opens the connection, and only if the answer makes a difference to it.
    fn is_dedicated(&self, upstream: UpstreamId) -> bool {
        let _ = upstream;
        false
    }

    /// Tells the policy that a downstream connection is gone. Returns the upstream connections to close with it; the
    /// policy must have forgotten them. If one of them carried an unfinished exchange, [`L7Policy::upstream_closed`]
    /// has always reported that connection before.
    fn downstream_closed(&mut self, now: Time, downstream: DownstreamId) -> Vec<UpstreamId>;

    /// Tells the policy that an upstream connection is gone. The connection was idle, or had an exchange whose answer
    /// had begun. Returns the downstream connection to close with it, which is treated like [`Work::CloseDownstream`].
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
