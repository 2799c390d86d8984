//! How a connection of a site finds out who sends a request: by its own state, by a table that all
//! connections share, or by a header that it trusts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use stickler_auth::channel_binding::ChannelBinding;
use stickler_model::topology::Acceptor;
use stickler_model::{Env, Principal, RequestId, What};

use crate::WebSite;
use crate::app::text;
use crate::authn::{AuthConfig, Completed, ConnectionAuth, Replays, Unauthorized};
use crate::authority::{Authority, Granted};
use crate::credentials::Presented;
use crate::tracker::{Sender, TOKEN_COOKIE, Tracker};

/// What all connections of a site share.
#[derive(Clone)]
pub(crate) enum Acceptance {
    /// The tickets that the host has seen; for the rest, each has its own state.
    Connection(Arc<AuthConfig>, Replays, Option<ChannelBinding>),
    /// The table.
    Tracked(Arc<Tracker>),
    /// The header's name; `None` where HTTP does not allow it, so that it never comes.
    Trusted(Option<HeaderName>),
}

/// What one connection decides by.
pub(crate) enum Decider {
    /// Its own state.
    Own(Mutex<ConnectionAuth>),
    /// The table.
    Tracked(Arc<Tracker>),
    /// The header.
    Trusted(Option<HeaderName>),
}

/// A request, as far as it matters here.
pub(crate) struct Asked<'a> {
    pub(crate) connection: u32,
    pub(crate) number: u32,
    pub(crate) id: Option<RequestId>,
    pub(crate) peer: SocketAddr,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) presented: &'a Presented,
}

/// Who sends a request.
pub(crate) struct Accepted {
    /// `None`: nobody that is known.
    pub(crate) user: Option<Principal>,
    /// Whether the application can act in the user's name elsewhere.
    pub(crate) delegated: bool,
    /// The handshake that the request ends on its connection.
    pub(crate) completes: Option<Completed>,
    /// A cookie that the answer sets.
    pub(crate) cookie: Option<HeaderValue>,
}

/// Why nobody sends a request.
pub(crate) enum Denied {
    /// It has to authenticate: 401.
    Unauthorized(Unauthorized),
    /// The balancer names no user, and there is nothing to authenticate with here: 403, since a 401
    /// would have to offer a scheme (RFC 9110 15.5.2, 15.5.4).
    Unnamed,
    /// A header is longer than what it stands for can be: 400.
    Unacceptable,
}

impl Acceptance {
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

    /// For a connection just accepted.
    pub(crate) fn decider(&self) -> Decider {
        match self {
            Self::Connection(config, replays, binding) => {
                let auth = ConnectionAuth::new(Arc::clone(config), replays).bound_to(*binding);
                Decider::Own(Mutex::new(auth))
            }
            Self::Tracked(tracker) => Decider::Tracked(Arc::clone(tracker)),
            Self::Trusted(name) => Decider::Trusted(name.clone()),
        }
    }
}

impl Decider {
    /// Finds out who sends a request.
    pub(crate) async fn decide(
        &self,
        env: &Env,
        domain: &str,
        authority: &Authority,
        asked: &Asked<'_>,
    ) -> Result<Accepted, Denied> {
        let (request, given) =
            ((asked.connection, asked.id), (asked.presented, asked.headers.contains_key(header::VIA)));
        match self {
            Self::Own(auth) => {
                // A panic elsewhere cannot leave it half changed in a way that serves: the state fails to nobody.
                let turn =
                    |turn: crate::authn::Turn<'_>| auth.lock().unwrap_or_else(PoisonError::into_inner).turn(turn);
                let decided = authority.decide(request, given, turn).await;
                let Granted { user, delegated, completes } = decided.map_err(Denied::Unauthorized)?;
                Ok(Accepted { user, delegated, completes, cookie: None })
            }
            Self::Tracked(tracker) => {
                let sender = tracker.sender(asked.headers, asked.peer).map_err(|_| Denied::Unacceptable)?;
                if sender.by_header {
                    asked.trusts(env, sender.key.clone());
                }
                let turn = |turn: crate::authn::Turn<'_>| tracker.turn(&sender, turn);
                let decided = authority.decide(request, given, turn).await;
                let Granted { user, delegated, completes } = decided.map_err(Denied::Unauthorized)?;
                let cookie = completes.and_then(|_| give_token(env, tracker, &sender));
                Ok(Accepted { user, delegated, completes: None, cookie })
            }
            Self::Trusted(name) => {
                let value = name.as_ref().and_then(|name| asked.headers.get(name)).map(|value| text(value.as_bytes()));
                let value = value.filter(|value| !value.is_empty()).ok_or(Denied::Unnamed)?;
                asked.trusts(env, value.clone().into_owned());
                let user = Principal::parse(&value).unwrap_or_else(|| Principal::new(domain, &value));
                Ok(Accepted { user: Some(user), delegated: false, completes: None, cookie: None })
            }
        }
    }

    /// Whether a user is tied to the connection.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Forgets what was tied to a connection that is gone.
    pub(crate) fn closed(&self, peer: SocketAddr) {
        if let Self::Tracked(tracker) = self {
            tracker.closed(peer);
        }
    }
}

impl Asked<'_> {
    fn trusts(&self, env: &Env, value: String) {
        let &Self { connection, number, id: request, .. } = self;
        env.record(What::ServerTrusted { connection, number, request, value });
    }
}

/// The cookie with a fresh token, where the table asks for one.
fn give_token(env: &Env, tracker: &Tracker, sender: &Sender) -> Option<HeaderValue> {
    if !tracker.gives_tokens() {
        return None;
    }
    let token = format!("{:032x}", u128::from_le_bytes(env.entropy.bytes()));
    let cookie = HeaderValue::try_from(format!("{TOKEN_COOKIE}={token}; Path=/; HttpOnly"));
    tracker.give_token(sender, token);
    cookie.ok()
}
