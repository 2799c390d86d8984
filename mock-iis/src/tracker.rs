//! An acceptor with a table: a filter in front of an application that cannot see the TCP connection,
//! and so remembers whom it has authenticated by a key. Pure.
//!
//! As the nginx mailing list describes it (Jespa, an HTTP filter for servlets): the key is the
//! client's address and port, taken from the connection or from a header that the proxy sets
//! (`Jespa-Connection-Id`). The handshake is verified for real; what is wrong is only the key, when
//! a proxy uses one connection for several clients, passes a client's own header on, or when two
//! proxies in a row make clients share an address. The two cures that the thread names are the
//! checks: the client's address, or a token, on each request.
//!
//! An entry begins with a Negotiate leg or a ticket. A request without a good entry is nobody's; it does not
//! touch an entry that is another's, but its Negotiate leg takes the key over. Keyed by the
//! connection, an entry goes with it; keyed by a header, only when the table is full and it was
//! unused for longest, since nobody tells the filter that a client has gone.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{COOKIE, HeaderMap, HeaderName};
use lru::LruCache;
use stickler_model::Leg;
use stickler_model::topology::{Tracked, TrackedBy, TrackedCheck};

use crate::app::text;
use crate::authn::{AuthConfig, ConnectionAuth, Decision, Replays, Turn};

/// The cookie that carries the token of [`TrackedCheck::Token`].
pub const TOKEN_COOKIE: &str = "acceptor-token";

/// Longest key or address that is taken from a header, in bytes: an IPv6 address with a port has 47.
const MOST_TEXT: usize = 128;

/// The table, and what it is kept by.
pub struct Tracker {
    /// `None`: the connection's other end.
    header: Option<HeaderName>,
    check: TrackedCheck,
    config: Arc<AuthConfig>,
    replays: Replays,
    sessions: Mutex<LruCache<String, Session>>,
    /// Logons asked for so far.
    logons: AtomicU64,
}

/// What a request says of its sender.
#[derive(Debug)]
pub struct Sender {
    /// The key.
    pub key: String,
    /// Whether the key comes from the header.
    pub by_header: bool,
    /// What the check compares.
    proof: Option<String>,
    /// The number of the logon that the request waits for; 0: none.
    logon: AtomicU64,
}

/// A client, once its handshake has begun.
struct Session {
    auth: ConnectionAuth,
    /// What each request has to prove; `None`: nothing yet, or ever.
    proof: Option<String>,
    /// The number of the logon under way. Requests of one key can come over several connections at
    /// once: a reply counts only for the request that asked last.
    logon: u64,
}

/// A header of the sender's is longer than any address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header that tells one client from another is longer than {MOST_TEXT} bytes")]
pub struct TooLong;

impl Tracker {
    /// An empty table for at most `capacity` clients. A header by a name that HTTP does not allow is
    /// in no request.
    pub fn new(rule: &Tracked, config: Arc<AuthConfig>, capacity: NonZeroUsize) -> Self {
        let header = match &rule.by {
            TrackedBy::Peer => None,
            TrackedBy::Header(name) => HeaderName::try_from(name.as_str()).ok(),
        };
        let (sessions, logons) = (Mutex::new(LruCache::new(capacity)), AtomicU64::new(0));
        Self { header, check: rule.check, config, replays: Replays::default(), sessions, logons }
    }

    /// Who sends a request with these headers, over a connection from `peer`. Of a header that is
    /// there twice the first counts, as for a servlet.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn sender(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Sender, TooLong> {
        let header = self.header.as_ref().and_then(|name| headers.get(name));
        let key = header.map(|value| short(text(value.as_bytes()))).transpose()?;
        let proof = match self.check {
            TrackedCheck::Nothing => None,
            TrackedCheck::ClientAddress => Some(match last_forwarded(headers) {
                Some(address) => short(address)?,
                None => peer.ip().to_string(),
            }),
            TrackedCheck::Token => headers.get_all(COOKIE).iter().find_map(|cookie| token(cookie.as_bytes())),
        };
        let by_header = key.is_some();
        Ok(Sender { by_header, key: key.unwrap_or_else(|| peer.to_string()), proof, logon: AtomicU64::new(0) })
    }

    /// Lets the sender's state machine take its turn.
    pub fn turn(&self, sender: &Sender, turn: Turn<'_>) -> Decision {
        let mut sessions = self.sessions();
        let begins =
            matches!(turn, Turn::Request(request) if matches!(request.presented.leg(), Leg::Negotiate | Leg::Ticket));
        let asked = sender.logon.load(Ordering::Relaxed);
        if let Some(session) = sessions.get_mut(&sender.key)
            && match turn {
                Turn::Request(_) => session.proof.is_none() || session.proof == sender.proof,
                Turn::Logon(_) => session.logon == asked,
            }
        {
            let decision = session.auth.turn(turn);
            if matches!(decision, Decision::NeedLogon(_)) {
                session.logon = self.logons.fetch_add(1, Ordering::Relaxed) + 1;
                sender.logon.store(session.logon, Ordering::Relaxed);
            }
            return decision;
        }
        let mut auth = ConnectionAuth::new(Arc::clone(&self.config), &self.replays);
        let decision = auth.turn(turn);
        if begins {
            // The token is given out at the handshake's end; the address is known from its start.
            let proof = sender.proof.clone().filter(|_| self.check == TrackedCheck::ClientAddress);
            sessions.put(sender.key.clone(), Session { auth, proof, logon: 0 });
        }
        decision
    }

    /// Whether the answer that ends a handshake is to give out a token.
    pub fn gives_tokens(&self) -> bool {
        self.check == TrackedCheck::Token
    }

    /// From now on the sender has to present this token.
    pub fn give_token(&self, sender: &Sender, token: String) {
        if let Some(session) = self.sessions().get_mut(&sender.key) {
            session.proof = Some(token);
        }
    }

    /// A connection is gone.
    pub fn closed(&self, peer: SocketAddr) {
        if self.header.is_none() {
            self.sessions().pop(&peer.to_string());
        }
    }

    /// How many clients it remembers.
    pub fn len(&self) -> usize {
        self.sessions().len()
    }

    /// Whether it remembers nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic elsewhere cannot leave an entry half changed in a way that serves: its state fails to nobody.
    fn sessions(&self) -> MutexGuard<'_, LruCache<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn short(value: Cow<'_, str>) -> Result<String, TooLong> {
    if value.len() > MOST_TEXT { Err(TooLong) } else { Ok(value.into_owned()) }
}

/// The last entry of `X-Forwarded-For`: what the nearest proxy saw.
fn last_forwarded(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.as_bytes();
    let entry = last.rsplit(|&byte| byte == b',').next()?.trim_ascii();
    (!entry.is_empty()).then(|| text(entry))
}

/// The token in a `Cookie`.
fn token(cookie: &[u8]) -> Option<String> {
    cookie.split(|&byte| byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(TOKEN_COOKIE.as_bytes())?.strip_prefix(b"=")?;
        short(text(value)).ok()
    })
}
