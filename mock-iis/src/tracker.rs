//! An acceptor with a table: a filter in front of an application that cannot see the TCP connection, and therefore
//! remembers authenticated clients by a key. The module is pure.
//!
//! The nginx mailing list describes such a filter (Jespa, an HTTP filter for servlets). The key is the client's address
//! and port, taken from the connection or from a header that the proxy sets (`Jespa-Connection-Id`). The filter
//! verifies the handshake properly. Only the key can be wrong: when a proxy uses one connection for several clients,
//! when it forwards a client's own header, or when two proxies in a row make clients share an address. The checks are
//! the two remedies that the thread names: each request must come from the client's address, or must carry a token.
//!
//! A Negotiate leg or a ticket creates an entry. A request without a valid entry is anonymous; it does not change the
//! entry of another client, but its Negotiate leg takes over the key. An entry whose key is the connection is removed
//! when the connection ends. An entry whose key is a header is removed only when the table is full and it has been
//! unused for the longest time, since nobody informs the filter that a client has left.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use lru::LruCache;
use stickler_http1::Lookup;
use stickler_model::Leg;
use stickler_model::sync::Lock;
use stickler_model::topology::{Tracked, TrackedBy, TrackedCheck};

use crate::app::text;
use crate::authn::{AuthConfig, ConnectionAuth, Decision, Replays, Turn};

/// The cookie that carries the token of [`TrackedCheck::Token`].
pub const TOKEN_COOKIE: &str = "acceptor-token";

/// The maximum length of a key or an address that is taken from a header, in bytes. An IPv6 address with a port has 47.
const MAX_TEXT: usize = 128;

/// The table of authenticated clients.
pub struct Tracker {
    /// The header that holds the key; `None` means that the key is the connection's other end.
    header: Option<HeaderName>,
    check: TrackedCheck,
    config: Arc<AuthConfig>,
    replays: Replays,
    sessions: Lock<LruCache<String, Session>>,
    /// The number of logons requested so far.
    logons: AtomicU64,
}

/// The sender of a request, as the request identifies it.
#[derive(Debug)]
pub struct Sender {
    /// The key of the sender's entry.
    pub key: String,
    /// Whether the key was taken from the header.
    pub by_header: bool,
    /// The address or token that the check compares.
    proof: Option<String>,
    /// The number of the logon that the request waits for, or 0.
    logon: AtomicU64,
}

/// A client whose handshake has begun.
struct Session {
    auth: ConnectionAuth,
    /// The proof that each request must present; `None` if there is none, or none yet.
    proof: Option<String>,
    /// The number of the logon in progress. Requests with the same key can arrive over several connections at once. A
    /// reply counts only for the request that asked last.
    logon: u64,
}

/// The error of a header that is longer than any address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header that identifies the client is longer than {MAX_TEXT} bytes")]
pub struct TooLong;

impl Tracker {
    /// Creates an empty table for at most `capacity` clients. If HTTP does not allow the header's name, no request has
    /// the header.
    pub fn new(rule: &Tracked, config: Arc<AuthConfig>, capacity: NonZeroUsize) -> Self {
        let header = match &rule.by {
            TrackedBy::Peer => None,
            TrackedBy::Header(name) => HeaderName::try_from(name.as_str()).ok(),
        };
        let (sessions, logons) = (Lock::new(LruCache::new(capacity)), AtomicU64::new(0));
        Self { header, check: rule.check, config, replays: Replays::default(), sessions, logons }
    }

    /// Identifies the sender of a request with these headers, over a connection from `peer`. If a header occurs twice,
    /// the first one counts, as for a servlet.
    ///
    /// # Errors
    /// [`TooLong`] if a header is longer than any address.
    pub fn sender(&self, headers: &impl Lookup, peer: SocketAddr) -> Result<Sender, TooLong> {
        let header = self.header.as_ref().and_then(|name| headers.first(name.as_str()));
        let key = header.map(|value| short(text(value))).transpose()?;
        let proof = match self.check {
            TrackedCheck::Nothing => None,
            TrackedCheck::ClientAddress => Some(match last_forwarded(headers) {
                Some(address) => short(address)?,
                None => peer.ip().to_string(),
            }),
            TrackedCheck::Token => headers.all("Cookie").find_map(token),
        };
        let by_header = key.is_some();
        Ok(Sender { by_header, key: key.unwrap_or_else(|| peer.to_string()), proof, logon: AtomicU64::new(0) })
    }

    /// Passes the next input to the sender's state machine.
    pub fn turn(&self, sender: &Sender, turn: Turn<'_>) -> Decision {
        let mut sessions = self.sessions.lock();
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
            // The address is known when the handshake begins. A token is issued when the handshake is complete.
            let proof = sender.proof.clone().filter(|_| self.check == TrackedCheck::ClientAddress);
            sessions.put(sender.key.clone(), Session { auth, proof, logon: 0 });
        }
        decision
    }

    /// Returns whether the response that completes a handshake issues a token.
    pub fn gives_tokens(&self) -> bool {
        self.check == TrackedCheck::Token
    }

    /// Requires the sender to present this token from now on.
    pub fn give_token(&self, sender: &Sender, token: String) {
        if let Some(session) = self.sessions.lock().get_mut(&sender.key) {
            session.proof = Some(token);
        }
    }

    /// Removes the entry of a connection that has ended.
    pub fn closed(&self, peer: SocketAddr) {
        if self.header.is_none() {
            self.sessions.lock().pop(&peer.to_string());
        }
    }

    /// Returns the number of clients in the table.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Returns whether the table has no clients.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn short(value: Cow<'_, str>) -> Result<String, TooLong> {
    if value.len() > MAX_TEXT { Err(TooLong) } else { Ok(value.into_owned()) }
}

/// Returns the last entry of `X-Forwarded-For`: the address that the nearest proxy saw.
fn last_forwarded(headers: &impl Lookup) -> Option<Cow<'_, str>> {
    let last = headers.all("X-Forwarded-For").last()?;
    let entry = last.rsplit(|&byte| byte == b',').next()?.trim_ascii();
    (!entry.is_empty()).then(|| text(entry))
}

/// Returns the token in a `Cookie`.
fn token(cookie: &[u8]) -> Option<String> {
    cookie.split(|&byte| byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(TOKEN_COOKIE.as_bytes())?.strip_prefix(b"=")?;
        short(text(value)).ok()
    })
}
