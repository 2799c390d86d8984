//! The authenticator of a balancer that ends authentication itself, bound to the downstream
//! connection as IIS binds it, and no server behind it.
//!
//! The balancer's machine is joined to the domain like a server's: its [`WebSite`] says how it
//! authenticates and where the DC is, and its logons are noted under the name in its [`Env`]. Give it
//! a site of the balancer's own name, and join that to the DC.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use lru::LruCache;
use stickler_model::{Env, Principal, REQUEST_ID_HEADER, RequestId};
use stickler_net::Net;

use crate::WebSite;
use crate::answer::challenges;
use crate::authn::{AuthConfig, ConnectionAuth, Decision, Replays, Turn};
use crate::authority::{Authority, Granted};
use crate::credentials::Presented;

/// Who may pass. Downstream connections are told apart by numbers of the balancer's choice.
pub struct FrontEndAuthenticator {
    authority: Authority,
    config: Arc<AuthConfig>,
    replays: Replays,
    /// By the downstream connection's number.
    connections: Mutex<LruCache<u64, ConnectionAuth>>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    /// It is this user's.
    Authenticated(Principal),
    /// It is answered so.
    Refused {
        /// 401, or 400 for a header that no client may send.
        status: StatusCode,
        /// The values of `WWW-Authenticate`: the Challenge, or every scheme, bare.
        challenges: Vec<HeaderValue>,
    },
}

impl FrontEndAuthenticator {
    /// A gate on `net`, which remembers up to [`ServerLimits::sessions`](crate::ServerLimits::sessions) connections.
    pub fn new<N: Net>(net: &N, env: Env, site: Arc<WebSite>) -> Self {
        let (config, capacity) = (Arc::clone(&site.auth), site.limits.sessions);
        let authority = Authority::new(net, env, site);
        Self { authority, config, replays: Replays::default(), connections: Mutex::new(LruCache::new(capacity)) }
    }

    /// Decides on a request on a downstream connection.
    pub async fn authenticate(&self, connection: u64, headers: &HeaderMap) -> AuthOutcome {
        let presented = Presented::read(headers);
        if presented == Presented::Unacceptable {
            return AuthOutcome::Refused { status: StatusCode::BAD_REQUEST, challenges: Vec::new() };
        }
        let id = headers.get(REQUEST_ID_HEADER).and_then(|id| RequestId::parse(id.as_bytes()));
        let turn = |turn: Turn<'_>| self.turn(connection, turn);
        let given = (&presented, headers.contains_key(header::VIA));
        let refused = match self.authority.decide((connection as u32, id), given, turn).await {
            Ok(Granted { user: Some(user), .. }) => return AuthOutcome::Authenticated(user),
            Ok(Granted { user: None, .. }) => None,
            Err(refused) => Some(refused),
        };
        let challenges = challenges(refused.as_ref(), &self.config.schemes);
        AuthOutcome::Refused { status: StatusCode::UNAUTHORIZED, challenges }
    }

    /// A downstream connection is gone, and its user with it.
    pub fn closed(&self, connection: u64) {
        self.connections().pop(&connection);
    }

    fn turn(&self, connection: u64, turn: Turn<'_>) -> Decision {
        let mut connections = self.connections();
        let fresh = || ConnectionAuth::new(Arc::clone(&self.config), &self.replays);
        match turn {
            // One that was closed, or forgotten for others, while its logon was under way stays so.
            Turn::Logon(_) => match connections.get_mut(&connection) {
                Some(auth) => auth.turn(turn),
                None => fresh().turn(turn),
            },
            Turn::Request(_) => connections.get_or_insert_mut(connection, fresh).turn(turn),
        }
    }

    /// A panic elsewhere cannot leave a state half changed in a way that serves: it fails to nobody.
    fn connections(&self) -> MutexGuard<'_, LruCache<u64, ConnectionAuth>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
