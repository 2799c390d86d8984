//! The authenticator of a balancer that terminates authentication itself. It binds a user to the downstream connection,
//! as IIS does, but has no server behind it.
//!
//! The balancer's machine is joined to the domain like a server. Its [`WebSite`] holds the authentication settings and
//! the addresses of the DCs. Its logons are recorded under the name in its [`Env`]. The authenticator needs a site with
//! the balancer's own name, which must be joined to the domain.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use lru::LruCache;
use stickler_model::sync::Lock;
use stickler_model::{Env, Principal, REQUEST_ID_HEADER, RequestId};
use stickler_net::Net;

use crate::WebSite;
use crate::answer::challenges;
use crate::authn::{AuthConfig, AuthState, ConnectionAuth, Decision, Replays, RequestIdentity, Turn};
use crate::authority::{AuthRequest, Authority};
use crate::credentials::Presented;

/// The maximum length of a token, in characters. A balancer is not http.sys, so its own data plane limits the head.
const TOKEN_LIMIT: usize = 64 * 1024;

/// Authenticates the downstream connections of a balancer, which identifies them by numbers of its choice.
pub struct FrontEndAuthenticator {
    authority: Authority,
    config: Arc<AuthConfig>,
    replays: Replays,
    /// The states of the connections, keyed by their numbers.
    connections: Lock<LruCache<u64, ConnectionAuth>>,
}

/// The outcome of authenticating a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// The request belongs to this user.
    Authenticated(Principal),
    /// The request must be answered with an error.
    Refused {
        /// The status: 401, or 400 for a header that no client may send.
        status: StatusCode,
        /// The values of `WWW-Authenticate`: the Challenge, or every scheme without a token.
        challenges: Vec<HeaderValue>,
    },
}

impl FrontEndAuthenticator {
    /// Creates an authenticator on `net`, which remembers up to
    /// [`ServerLimits::sessions`](crate::ServerLimits::sessions) connections.
    pub fn new<N: Net>(net: &N, env: Env, site: Arc<WebSite>) -> Self {
        let (config, capacity) = (Arc::clone(&site.auth), site.limits.sessions);
        let authority = Authority::new(net, env, site);
        Self { authority, config, replays: Replays::default(), connections: Lock::new(LruCache::new(capacity)) }
    }

    /// Authenticates a request on a downstream connection.
    pub async fn authenticate(&self, connection: u64, headers: &HeaderMap) -> AuthOutcome {
        let presented = Presented::read(headers, TOKEN_LIMIT);
        if presented == Presented::Unacceptable {
            return AuthOutcome::Refused { status: StatusCode::BAD_REQUEST, challenges: Vec::new() };
        }
        let id = headers.get(REQUEST_ID_HEADER).and_then(|id| RequestId::parse(id.as_bytes()));
        let via = headers.contains_key(header::VIA);
        let request = AuthRequest { connection: connection as u32, id, presented: &presented, via };
        let state = DownstreamState { authenticator: self, connection };
        let refused = match self.authority.decide(request, &state).await {
            Ok(RequestIdentity { user: Some(user), .. }) => return AuthOutcome::Authenticated(user),
            Ok(RequestIdentity { user: None, .. }) => None,
            Err(refused) => Some(refused),
        };
        let challenges = challenges(refused.as_ref(), &self.config.schemes);
        AuthOutcome::Refused { status: StatusCode::UNAUTHORIZED, challenges }
    }

    /// Forgets a downstream connection that has ended, and its user.
    pub fn closed(&self, connection: u64) {
        self.connections.lock().pop(&connection);
    }
}

/// The state of one downstream connection.
struct DownstreamState<'a> {
    authenticator: &'a FrontEndAuthenticator,
    connection: u64,
}

impl AuthState for DownstreamState<'_> {
    fn turn(&self, turn: Turn<'_>) -> Decision {
        let FrontEndAuthenticator { config, replays, connections, .. } = self.authenticator;
        let fresh = || ConnectionAuth::new(Arc::clone(config), replays);
        let mut connections = connections.lock();
        match turn {
            // A connection that was closed, or evicted from the table, while its logon was in progress stays forgotten.
            Turn::Logon(_) => match connections.get_mut(&self.connection) {
                Some(auth) => auth.turn(turn),
                None => fresh().turn(turn),
            },
            Turn::Request(_) => connections.get_or_insert_mut(self.connection, fresh).turn(turn),
        }
    }
}
