//! What makes one L7 mechanism differ from another.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::error::RuleError;
use super::super::persist::PersistRule;
use super::super::pin::{PinRule, Schemes};
use super::super::pool::{PoolRule, Share};
use super::super::select::{Algorithm, SelectRule};
use super::super::workers::WorkerRule;
use super::defects::Defects;
use crate::{FailureKind, List, Text};

/// The parameters of a balancer that reads HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Which backend a request goes to, where nothing below says otherwise.
    pub select: SelectRule,
    /// Path prefixes, each a service of its own, the longest that fits counts; what fits none is one more service. The
    /// farm is dealt out among the services in turn: with `n` of them, backend `i` serves service `i % n`, where 0 is
    /// the rest. A farm with fewer backends than services serves everything with all of them.
    pub services: List<Text>,
    /// Requests wait while every backend is full ([`SelectRule::max_connections`]). `None`: they are told [`NoneLeft`].
    pub queue: Option<QueueRule>,
    /// What brings a client back to its backend, on any connection. `None`: nothing does.
    pub persist: Option<PersistRule>,
    /// When a downstream connection's requests stay with one backend. A hash is never overridden.
    pub prefer_last: PreferLast,
    /// Idle upstream connections are kept; `None`: an upstream connection that is not pinned carries one request.
    pub pool: Option<PoolRule>,
    /// Some messages pin an upstream connection to the downstream connection. `None`: nothing pins.
    pub pin: Option<PinRule>,
    /// An upstream connection that is a client's own, private or pinned, is closed after this time without a request;
    /// what closes with a pinned one is [`super::super::pin::Coupling`]'s to say. `None`: it lives as long as its client.
    pub own_idle: Option<Duration>,
    /// Challenges of these schemes are taken out of answers. They still pin.
    pub strip: Option<Schemes>,
    /// Tells the backend which client connection a request came by. `None`: nothing does.
    pub client_id: Option<HeaderRule>,
    /// The client's address is added to `X-Forwarded-For`, as its last entry.
    pub forwarded_for: bool,
    /// This header field is taken out of requests, because backends trust whoever stands before them to set it. Not for
    /// a balancer that authenticates clients itself: it sets the field before it asks where the request goes.
    pub scrub: Option<Text>,
    /// What is tried again.
    pub retry: RetryRule,
    /// What a request with credentials does to the connection that carries it, apart from pinning.
    pub credentials: Credentials,
    /// Most requests on a client's connection: the answer to the last one closes it (nginx `keepalive_requests`, 1000). With 1,
    /// each answer does (HAProxy `option httpclose`). `None`: any number.
    pub client_requests: Option<u32>,
    /// What becomes of the clients of a backend that goes down: of those with connections pinned to it.
    pub on_down: OnDown,
    /// The clients that are pinned to a backend go to another one with their next requests when it is drained, where nobody has
    /// authenticated: HAProxy, whose `prefer-last-server` passes over a server that is drained.
    pub drain_moves: bool,
    /// While every backend is down, each is taken for up (AWS ALB); if not, requests are answered as `none_left` says.
    pub fails_open: bool,
    /// The answer to a request while no backend is left.
    pub none_left: NoneLeft,
    /// The balancer's processes or threads; `None`: one.
    pub workers: Option<WorkerRule>,
    /// Defects that no rule expresses.
    pub defects: Defects,
}

/// When a downstream connection's requests stay with the backend of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PreferLast {
    /// Never.
    Never,
    /// From an answer on that matches the pin's trigger: HAProxy, so that a client whose pinned connection is lost
    /// comes back to the same backend.
    AfterChallenge,
    /// Always: HAProxy `option prefer-last-server`.
    Always,
}

/// What a request with credentials (`Authorization`) does to the upstream connection that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// The request is treated as one without credentials.
    Ordinary,
    /// The request opens a connection, which closes after the answer: Apache Traffic Server, `auth_server_session_private` 1, the
    /// default ("closed and not reused").
    OwnConnection,
    /// A connection that has carried such a request, or an answer with `WWW-Authenticate`, closes after that exchange, whether it
    /// was new or came from the pool.
    NeverPooled,
    /// The request goes on without its credentials: Squid, `cache_peer ... originserver` without `login=PASS` (`src/http.cc`,
    /// `copyOneHeaderFromClientsideRequestToUpstreamRequest`).
    NotPassedOn,
}

/// What becomes of the clients of a backend that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OnDown {
    /// Nothing happens to the clients until their requests fail: HAProxy without `on-marked-down`.
    Nothing,
    /// The clients' connections are closed: HAProxy `on-marked-down shutdown-sessions`.
    Closed,
    /// The next requests of the clients go to another backend, where nobody has authenticated.
    Moved,
}

/// What a request is told that has no backend to go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoneLeft {
    /// This status.
    Status(#[serde(with = "crate::status")] StatusCode),
    /// Nothing: the client's connection is closed.
    Closed,
}

/// How requests wait for a full farm. First come, first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRule {
    /// Most requests that wait at once, of each service; one more is answered 503. How long one may wait is the data
    /// plane's limit.
    pub length: u32,
}

/// A header field that a balancer sets to the client's address and port (`10.0.0.1:40000`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// Its name: `Jespa-Connection-Id`.
    pub name: Text,
    /// Whether it replaces what the client sent. If not, a client can claim another's connection.
    pub overwrite: bool,
}

/// Which failures are hidden from the client by another attempt. A connection whose close is coupled is never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// A connection that could not be opened, or on which TLS did not come about. Nothing has been sent, so trying again is
    /// safe for every request.
    pub connect: Connect,
    /// A connection that ended before any byte of an answer came. The request may have been processed.
    pub lost: Lost,
    /// A lost one goes to another backend; if not, to the same.
    pub lost_elsewhere: bool,
    /// A lost one is tried again even if it has NTLM or Negotiate credentials, which belong to the connection that is
    /// gone. Only a balancer that does not look at `Authorization` does so; that is most of them.
    pub carries_authenticate: bool,
    /// An attempt at another backend takes an idle connection of the pool, where a first attempt could; if not, it opens one. It counts
    /// as a client connection's first request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,
    /// What the client is told of a backend that cannot be reached. `None`: 502, or 504 where it took too long. HAProxy, Envoy,
    /// Varnish, httpd and Squid say 503.
    #[serde(with = "crate::status::option", default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<StatusCode>,
    /// What the client is told of a connection that ended without an answer, or with something that is none. `None`: 502. Envoy
    /// and Varnish say 503.
    #[serde(with = "crate::status::option", default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<StatusCode>,
}

/// What is done where a connection could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Connect {
    /// The client is told.
    Fail,
    /// The same backend is tried again, so many times at most. HAProxy `retries`: 3.
    Same {
        /// How often.
        retries: u32,
    },
    /// Another backend is tried, each of the farm at most once. HAProxy `option redispatch`.
    Other,
}

/// Which requests are sent again when their connection ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lost {
    /// None.
    Never,
    /// Idempotent ones (RFC 9110 9.2.2) on a connection that was used before, once: they lost the race with an idle
    /// close, most likely.
    IdleRace,
    /// Idempotent ones on any connection.
    Idempotent,
    /// All that are still at hand. A request that is not idempotent may be processed twice.
    Any,
}

impl RetryRule {
    /// Nothing is tried again.
    pub const NONE: Self = Self {
        connect: Connect::Fail,
        lost: Lost::Never,
        lost_elsewhere: false,
        carries_authenticate: false,
        pooled: false,
        unreachable: None,
        broken: None,
    };
    /// What cannot do harm: another backend where none could be reached, and an idle race without credentials.
    pub const SOUND: Self = Self { connect: Connect::Other, lost: Lost::IdleRace, ..Self::NONE };

    /// What the client is told of a failure that is not hidden from it.
    pub(crate) fn status(&self, kind: FailureKind) -> StatusCode {
        let own = match kind {
            FailureKind::Refused | FailureKind::ConnectTimeout => self.unreachable,
            FailureKind::Lost | FailureKind::Malformed => self.broken,
            FailureKind::Silent | FailureKind::Tls => None,
        };
        own.unwrap_or_else(|| kind.status())
    }
}

impl Rules {
    /// Whether they are whole, for any farm.
    ///
    /// # Errors
    /// A limit is zero, a name is none, or one part means nothing without another.
    pub fn check(&self) -> Result<(), RuleError> {
        let without = |what, without| Err(RuleError::Without { what, without });
        self.pool.as_ref().map_or(Ok(()), PoolRule::check)?;
        self.pin.as_ref().map_or(Ok(()), PinRule::check)?;
        self.strip.as_ref().map_or(Ok(()), |schemes| schemes.check("the stripping of challenges"))?;
        self.workers.as_ref().map_or(Ok(()), WorkerRule::check)?;
        let private = matches!(self.pool, Some(PoolRule { share: Share::Never { .. }, .. }));
        match self.queue {
            Some(QueueRule { length: 0 }) => Err(RuleError::Zero("the length of the queue")),
            Some(_) if self.select.max_connections.is_none() => {
                without("a queue", "a limit of a backend's connections")
            }
            _ if self.prefer_last == PreferLast::AfterChallenge && self.pin.is_none() => {
                without("preferring the last backend after a challenge", "a pin")
            }
            _ if self.own_idle.is_some() && self.pin.is_none() && !private => {
                without("an idle limit of a client's own connections", "a pin or private connections")
            }
            _ if self.client_requests == Some(0) => {
                Err(RuleError::Zero("the number of requests on a client's connection"))
            }
            _ if self.credentials == Credentials::OwnConnection && self.pin.is_some() => {
                Err(RuleError::Contradiction {
                    what: "a connection of its own for each request with credentials",
                    other: "a pin",
                })
            }
            _ if self.defects.pool_steals_pinned && (self.pin.is_none() || self.pool.is_none()) => {
                without("a pool that steals pinned connections", "a pool and a pin")
            }
            _ => Ok(()),
        }
    }

    /// Round robin for each request, each on a connection of its own; nothing is kept and nothing tried again.
    pub const PLAIN: Self = Self {
        select: SelectRule {
            algorithm: Algorithm::RoundRobin,
            weights: List::Borrowed(&[]),
            max_connections: None,
            bound_take_turns: false,
        },
        services: List::Borrowed(&[]),
        queue: None,
        persist: None,
        prefer_last: PreferLast::Never,
        pool: None,
        pin: None,
        own_idle: None,
        strip: None,
        client_id: None,
        forwarded_for: false,
        scrub: None,
        retry: RetryRule::NONE,
        credentials: Credentials::Ordinary,
        client_requests: None,
        on_down: OnDown::Nothing,
        drain_moves: false,
        fails_open: false,
        none_left: NoneLeft::Status(StatusCode::SERVICE_UNAVAILABLE),
        workers: None,
        defects: Defects::NONE,
    };
}
