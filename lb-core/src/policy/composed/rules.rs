//! The rules in which one L7 mechanism differs from another.

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
    /// The choice of a backend for requests that no other rule assigns to one.
    pub select: SelectRule,
    /// Path prefixes, each of which is a separate service. The longest prefix that matches counts; requests that match
    /// none form one more service, number 0. The farm is divided among the services in turn: with `n` services, backend
    /// `i` serves service `i % n`. If there are fewer backends than services, all backends serve all services.
    pub services: List<Text>,
    /// The queue in which requests wait while every backend is full ([`SelectRule::max_connections`]). `None`: such a
    /// request gets [`NoneLeft`].
    pub queue: Option<QueueRule>,
    /// The rule that brings a client back to its backend on any connection. `None`: there is no such rule.
    pub persist: Option<PersistRule>,
    /// The rule by which the requests of a downstream connection stay with one backend. It never overrides a hash.
    pub prefer_last: PreferLast,
    /// The pool of idle upstream connections. `None`: an upstream connection that is not pinned carries one request.
    pub pool: Option<PoolRule>,
    /// The messages that pin an upstream connection to the downstream connection. `None`: no message pins.
    pub pin: Option<PinRule>,
    /// The time without a request after which a client's own upstream connection, private or pinned, is closed.
    /// [`super::super::pin::Coupling`] decides what closes along with a pinned one. `None`: the connection lives as
    /// long as its client.
    pub own_idle: Option<Duration>,
    /// The schemes whose challenges are removed from answers. Such a challenge still pins.
    pub strip: Option<Schemes>,
    /// The header field that tells the backend by which client connection a request came. `None`: no field does.
    pub client_id: Option<HeaderRule>,
    /// Whether the client's address is added to `X-Forwarded-For` as its last entry.
    pub forwarded_for: bool,
    /// The header field that is removed from requests, because backends trust the balancer in front of them to set it.
    /// A balancer that authenticates clients itself does not use this rule: it sets the field before it decides where
    /// the request goes.
    pub scrub: Option<Text>,
    /// The failures after which a request is sent again.
    pub retry: RetryRule,
    /// The effect of a request with credentials on the connection that carries it, apart from pinning.
    pub credentials: Credentials,
    /// The maximum number of requests on a client's connection; the answer to the last one closes it (nginx
    /// `keepalive_requests`, 1000). With 1, each answer does (HAProxy `option httpclose`). `None`: there is no limit.
    pub client_requests: Option<u32>,
    /// The fate of the clients with connections pinned to a backend when that backend goes down.
    pub on_down: OnDown,
    /// Whether draining a backend sends the next requests of the clients that are pinned to it to another backend,
    /// where they have not authenticated. HAProxy does so, because its `prefer-last-server` passes over a server that
    /// is drained.
    pub drain_moves: bool,
    /// Whether every backend counts as up while all are down (AWS ALB). If not, requests are answered as `none_left`
    /// says.
    pub fails_open: bool,
    /// The answer to a request while no backend is left.
    pub none_left: NoneLeft,
    /// The balancer's processes or threads. `None`: the balancer has one.
    pub workers: Option<WorkerRule>,
    /// The defects that no other rule expresses.
    pub defects: Defects,
}

/// The condition under which the requests of a downstream connection stay with the backend of the previous request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PreferLast {
    /// Requests never stay because of the previous one.
    Never,
    /// Requests stay from the first answer on that matches the pin's trigger. HAProxy does so, so a client whose pinned
    /// connection is lost comes back to the same backend.
    AfterChallenge,
    /// Requests always stay (HAProxy `option prefer-last-server`).
    Always,
}

/// The effect of a request with credentials (`Authorization`) on the upstream connection that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// The request is treated as one without credentials.
    Ordinary,
    /// The request opens a connection, which closes after the answer. This is the default of Apache Traffic Server,
    /// `auth_server_session_private` 1 ("closed and not reused").
    OwnConnection,
    /// A connection that has carried such a request, or an answer with `WWW-Authenticate`, closes after that exchange,
    /// whether the connection was new or came from the pool.
    NeverPooled,
    /// The request is forwarded without its credentials: Squid, `cache_peer ... originserver` without `login=PASS`
    /// (`src/http.cc`, `copyOneHeaderFromClientsideRequestToUpstreamRequest`).
    NotPassedOn,
}

/// The fate of the clients of a backend that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OnDown {
    /// Nothing happens until the clients' requests fail (HAProxy without `on-marked-down`).
    Nothing,
    /// The clients' connections are closed (HAProxy `on-marked-down shutdown-sessions`).
    Closed,
    /// The next requests of the clients go to another backend, where they have not authenticated.
    Moved,
}

/// The answer to a request for which no backend is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NoneLeft {
    /// The balancer answers with this status.
    Status(#[serde(with = "crate::status")] StatusCode),
    /// The balancer closes the client's connection without an answer.
    Closed,
}

/// The queue of requests that wait while the farm is full. The first to arrive is the first to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRule {
    /// The maximum number of requests that wait at once for each service; one more is answered 503. The data plane
    /// limits how long a request may wait.
    pub length: u32,
}

/// A header field that a balancer sets to the client's address and port (`10.0.0.1:40000`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The name of the field, for example `Jespa-Connection-Id`.
    pub name: Text,
    /// Whether the field replaces the value that the client sent. If not, a client can claim another client's
    /// connection.
    pub overwrite: bool,
}

/// The failures that another attempt hides from the client. A connection whose close is coupled to its client's is
/// never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// The reaction if a connection could not be opened, or if TLS could not be established on it. Nothing has been
    /// sent then, so trying again is safe for every request.
    pub connect: Connect,
    /// The reaction if a connection ended before the first byte of an answer. The request may have been processed.
    pub lost: Lost,
    /// Whether a request that was lost in this way goes to another backend. If not, it goes to the same one.
    pub lost_elsewhere: bool,
    /// Whether such a request is tried again even if it has NTLM or Negotiate credentials, which belong to the
    /// connection that is gone. Most balancers do so, because they do not examine `Authorization`.
    pub carries_authenticate: bool,
    /// Whether an attempt at another backend takes an idle connection from the pool if a first attempt could do so. If
    /// not, it opens a connection. The attempt counts as the first request of a client connection.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,
    /// The status that tells the client that a backend cannot be reached. `None`: 502, or 504 after a timeout. HAProxy,
    /// Envoy, Varnish, httpd and Squid use 503.
    #[serde(with = "crate::status::option", default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<StatusCode>,
    /// The status that tells the client that a connection ended without an answer or with an invalid one. `None`: 502.
    /// Envoy and Varnish use 503.
    #[serde(with = "crate::status::option", default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<StatusCode>,
}

/// The reaction if a connection could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Connect {
    /// The client gets an error.
    Fail,
    /// The request goes to the same backend again, up to `retries` times. HAProxy's `retries` is 3 by default.
    Same {
        /// The maximum number of further attempts.
        retries: u32,
    },
    /// Another backend is tried, each backend of the farm at most once (HAProxy `option redispatch`).
    Other,
}

/// The requests that are sent again after their connection ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lost {
    /// No request is sent again.
    Never,
    /// Idempotent requests (RFC 9110 9.2.2) on a connection that was used before are sent again once, because they most
    /// likely lost the race with an idle close.
    IdleRace,
    /// Idempotent requests are sent again on any connection.
    Idempotent,
    /// All requests that the balancer still has as a whole are sent again. A request that is not idempotent may then be
    /// processed twice.
    Any,
}

impl RetryRule {
    /// The rule by which nothing is tried again.
    pub const NONE: Self = Self {
        connect: Connect::Fail,
        lost: Lost::Never,
        lost_elsewhere: false,
        carries_authenticate: false,
        pooled: false,
        unreachable: None,
        broken: None,
    };
    /// The rule with harmless retries only: another backend if one cannot be reached, and a second attempt after an
    /// idle-close race without credentials.
    pub const SOUND: Self = Self { connect: Connect::Other, lost: Lost::IdleRace, ..Self::NONE };

    /// Returns the status that tells the client about a failure of this kind.
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
    /// Checks that the rules are complete and consistent for any farm.
    ///
    /// # Errors
    /// A limit is zero, a name is not valid, or one rule has no effect without another.
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

    /// The simplest balancer: round robin for each request, and a new connection for each request. It keeps no
    /// connection and retries nothing.
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
