//! Determines the sender of a request: from the state of its connection, from a table that all connections share, or
//! from a header that the site trusts.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use stickler_auth::channel_binding::ChannelBinding;
use stickler_http1::{Fields, Lookup as _};
use stickler_model::sync::Lock;
use stickler_model::topology::Acceptor;
use stickler_model::{Env, Principal, RequestId, What};

use crate::WebSite;
use crate::app::text;
use crate::authn::{AuthConfig, AuthState, ConnectionAuth, Decision, Replays, RequestIdentity, Turn, Unauthorized};
use crate::authority::{AuthRequest, Authority};
use crate::credentials::Presented;
use crate::tracker::{Sender, TOKEN_COOKIE, Tracker};

/// The state that the connections of a site share, by the kind of acceptor.
#[derive(Clone)]
pub(crate) enum Acceptance {
    /// Each connection has its own state. All connections share the tickets that the host has seen.
    Connection(Arc<AuthConfig>, Replays, Option<ChannelBinding>),
    /// All connections use one table.
    Tracked(Arc<Tracker>),
    /// All connections trust the header with this name; `None` if HTTP does not allow the name, so no request has the
    /// header.
    Trusted(Option<HeaderName>),
}

/// The means by which one connection determines the sender.
pub(crate) enum Decider {
    /// The connection's own state.
    Own(Lock<ConnectionAuth>),
    /// The table that all connections share.
    Tracked(Arc<Tracker>),
    /// The trusted header, which has this name.
    Trusted(Option<HeaderName>),
}

/// A request whose sender must be determined.
pub(crate) struct ReceivedRequest<'a> {
    /// The number of the request's connection in the trace.
    pub(crate) connection: u32,
    /// The number of the request on the connection.
    pub(crate) number: u32,
    pub(crate) id: Option<RequestId>,
    /// The address and port of the connection's other end.
    pub(crate) peer: SocketAddr,
    pub(crate) headers: &'a Fields,
    pub(crate) presented: &'a Presented,
}

/// A request that will be processed.
pub(crate) struct Accepted {
    pub(crate) identity: RequestIdentity,
    /// A cookie that the response sets, if any.
    pub(crate) cookie: Option<HeaderValue>,
}

impl Accepted {
    /// Returns an anonymous request, for parts of the site that need no logon.
    pub(crate) fn anonymous() -> Self {
        Self { identity: RequestIdentity { user: None, delegated: false, completes: None }, cookie: None }
    }
}

/// A request that must not be processed.
pub(crate) enum Denied {
    /// The sender must authenticate: 401.
    Unauthorized(Unauthorized),
    /// The balancer names no user, and the site offers no scheme to authenticate with. The answer is 403, since a 401
    /// would have to offer a scheme (RFC 9110 15.5.2, 15.5.4).
    Unnamed,
    /// A header is longer than any valid value: 400.
    Unacceptable,
}

impl Acceptance {
    /// Creates the state that the connections of this site share.
    pub(crate) fn of(site: &WebSite) -> Self {
        match &site.acceptor {
            Acceptor::Tracked(rule) => {
                Self::Tracked(Arc::new(Tracker::new(rule, Arc::clone(&site.auth), site.limits.sessions)))
            }
            Acceptor::TrustedHeader(name) => Self::Trusted(HeaderName::try_from(name.as_str()).ok()),
            Acceptor::Connection | Acceptor::Rogue(_) => {
                Self::Connection(Arc::clone(&site.auth), Replays::default(), site.binding)
            }
        }
    }

    /// Creates the decider of a new connection.
    pub(crate) fn decider(&self) -> Decider {
        match self {
            Self::Connection(config, replays, binding) => {
                let auth = ConnectionAuth::new(Arc::clone(config), replays).bound_to(*binding);
                Decider::Own(Lock::new(auth))
            }
            Self::Tracked(tracker) => Decider::Tracked(Arc::clone(tracker)),
            Self::Trusted(name) => Decider::Trusted(name.clone()),
        }
    }
}

impl Decider {
    /// Determines the sender of a request.
    ///
    /// # Errors
    /// The error determines how the request is refused.
    pub(crate) async fn decide(
        &self,
        authority: &Authority,
        received: &ReceivedRequest<'_>,
    ) -> Result<Accepted, Denied> {
        match self {
            Self::Own(auth) => {
                let identity = authority.decide(received.auth_request(), auth).await.map_err(Denied::Unauthorized)?;
                Ok(Accepted { identity, cookie: None })
            }
            Self::Tracked(tracker) => {
                let sender = tracker.sender(received.headers, received.peer).map_err(|_| Denied::Unacceptable)?;
                if sender.by_header {
                    received.record_trusted(authority.env(), sender.key.clone());
                }
                let state = TrackedState { tracker, sender: &sender };
                let decided = authority.decide(received.auth_request(), &state).await;
                let mut identity = decided.map_err(Denied::Unauthorized)?;
                // The filter does not pass on the end of the handshake: the response may carry a cookie instead.
                let completed = identity.completes.take();
                let cookie = completed.and_then(|_| give_token(authority.env(), tracker, &sender));
                Ok(Accepted { identity, cookie })
            }
            Self::Trusted(name) => {
                let value = name.as_ref().and_then(|name| received.headers.first(name.as_str()));
                let value = value.map(text);
                let value = value.filter(|value| !value.is_empty()).ok_or(Denied::Unnamed)?;
                received.record_trusted(authority.env(), value.clone().into_owned());
                let user = Principal::parse(&value).unwrap_or_else(|| Principal::new(authority.domain(), &value));
                let identity = RequestIdentity { user: Some(user), delegated: false, completes: None };
                Ok(Accepted { identity, cookie: None })
            }
        }
    }

    /// Returns whether a user is authenticated on the connection itself.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Forgets everything that was tied to a connection that has ended.
    pub(crate) fn closed(&self, peer: SocketAddr) {
        if let Self::Tracked(tracker) = self {
            tracker.closed(peer);
        }
    }
}

/// The table's state for the sender of one request.
struct TrackedState<'a> {
    tracker: &'a Tracker,
    sender: &'a Sender,
}

impl AuthState for TrackedState<'_> {
    fn turn(&self, turn: Turn<'_>) -> Decision {
        self.tracker.turn(self.sender, turn)
    }
}

impl ReceivedRequest<'_> {
    fn auth_request(&self) -> AuthRequest<'_> {
        let &Self { connection, id, headers, presented, .. } = self;
        AuthRequest { connection, id, presented, via: headers.first("Via").is_some() }
    }

    fn record_trusted(&self, env: &Env, value: String) {
        let &Self { connection, number, id: request, .. } = self;
        env.record(What::ServerTrusted { connection, number, request, value });
    }
}

/// Gives the sender a fresh token if the table checks tokens, and returns the cookie that carries it.
fn give_token(env: &Env, tracker: &Tracker, sender: &Sender) -> Option<HeaderValue> {
    if !tracker.gives_tokens() {
        return None;
    }
    let token = format!("{:032x}", u128::from_le_bytes(env.entropy.bytes()));
    let cookie = HeaderValue::try_from(format!("{TOKEN_COOKIE}={token}; Path=/; HttpOnly"));
    tracker.give_token(sender, token);
    cookie.ok()
}
