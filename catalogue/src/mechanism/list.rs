//! The list of mechanisms.

use std::sync::LazyLock;
use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::health::rule::{CheckRule, Expect, FailureTarget, PassiveRule, Probe};
use stickler_lb_core::policy::composed::{
    Credentials, HeaderRule, NoneLeft, OnDown, PreferLast, QueueRule, RetryRule, Rules,
};
use stickler_lb_core::policy::per_connection::{FlowRules, FlowsOnDown};
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{Applied, Coupling, Extent, PinKey, PinRule, Schemes, Trigger};
use stickler_lb_core::policy::pool::{Order, PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{FlowIdle, FlowIdleEnd, Hops, ProxyProtocol, Text, Timers, Upgrades, UpstreamHttp, texts};

use super::{Carriage, Mechanism};

/// All mechanisms: at L4; then those that share connections, keep them private, pin them, and check the backends.
pub(super) static MECHANISMS: LazyLock<Vec<Mechanism>> = LazyLock::new(|| {
    [l4(), shared(), selections(), credentials(), private(), pinning(), pin_variants(), checked(), special()].concat()
});

/// The retry rule of nginx 1.22 with `keepalive`, which retries after an error on a cached connection, and of HAProxy
/// with `option redispatch`, which replaces a backend that cannot be reached.
const RETRY: RetryRule = RetryRule { carries_authenticate: true, ..RetryRule::SOUND };
const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));
/// A source table whose entries last longer than a client's pauses in a day's work, with room for a large site.
const SOURCES: SourceRule = SourceRule { timeout: Duration::from_mins(30), entries: 100_000, mask: Mask::HOST };
const COOKIE: CookieRule = CookieRule { name: Text::Borrowed("SERVERID"), on_401: true, life: None, indirect: true };
const FORWARDED_ID: HeaderRule = HeaderRule { name: Text::Borrowed("Jespa-Connection-Id"), overwrite: true };
/// The header from which backends that trust the balancer take a user's name.
const USER_HEADER: Text = Text::Borrowed("X-Remote-User");
/// The passive checks of nginx as shipped: one failure in 10 s keeps a backend out for 10 s.
const PASSIVE: PassiveRule = PassiveRule {
    fails: 1,
    within: Duration::from_secs(10),
    out_for: Duration::from_secs(10),
    blame: FailureTarget::Carrier,
};

fn pooled() -> Rules {
    Rules { pool: Some(POOL), retry: RETRY, ..Rules::PLAIN }
}

fn pinned() -> Rules {
    Rules { pin: Some(PinRule::ON_401), ..pooled() }
}

/// Returns the rules of a sound mechanism with a pin: nothing with credentials is sent twice.
fn pinned_soundly() -> Rules {
    Rules { retry: RetryRule::SOUND, ..pinned() }
}

const fn select(algorithm: Algorithm) -> SelectRule {
    SelectRule::new(algorithm)
}

const fn check(probe: Probe) -> CheckRule {
    CheckRule { probe, ..CheckRule::TCP }
}

fn entry(id: &'static str, mechanism: Mechanism) -> Mechanism {
    Mechanism { id: Some(id.into()), ..mechanism }
}

fn l4() -> Vec<Mechanism> {
    let by = |name, summary, algorithm| {
        Mechanism::l4_by(name, summary, FlowRules { select: select(algorithm), ..FlowRules::ROUND_ROBIN })
    };
    let carried =
        |name, summary, carriage| Mechanism { carriage, ..Mechanism::l4_by(name, summary, FlowRules::ROUND_ROBIN) };
    let splice = |proxy_protocol| Carriage::Splice { proxy_protocol };
    let idle = |name, summary, after, then| Mechanism {
        flow_idle: Some(FlowIdle { after: Duration::from_secs(after), then }),
        ..Mechanism::l4_by(name, summary, FlowRules::ROUND_ROBIN)
    };
    vec![
        entry(
            "M1",
            Mechanism::l4_by(
                "l4-nat",
                "address translation by 5-tuple: round robin for each connection, bytes pass unchanged",
                FlowRules::ROUND_ROBIN,
            ),
        ),
        carried(
            "l4-dnat",
            "destination NAT: the backend sees the client's address; round robin for each connection",
            Carriage::DestinationNat,
        ),
        by("l4-hash", "a hash of the 5-tuple chooses for each connection", Algorithm::Hash(HashKey::FiveTuple)),
        entry(
            "M2",
            Mechanism::l4_by(
                "l4-source",
                "source-address persistence: a client's connections go to one backend until 30 minutes after the last has ended",
                FlowRules { source: Some(SOURCES), ..FlowRules::ROUND_ROBIN },
            ),
        ),
        entry("M3", carried("l4-splice", "bytes are passed between two connections; round robin", splice(None))),
        carried(
            "l4-splice-proxy-v1",
            "a splice that tells the backend the client's address by the PROXY protocol, version 1",
            splice(Some(ProxyProtocol::V1)),
        ),
        carried(
            "l4-splice-proxy-v2",
            "a splice that tells the backend the client's address by the PROXY protocol, version 2",
            splice(Some(ProxyProtocol::V2)),
        ),
        entry(
            "M4",
            carried("l4-dsr", "direct server return: answers bypass the balancer; round robin", Carriage::DirectReturn),
        ),
        idle(
            "l4-silent-when-idle",
            "address translation; a connection that is idle for 4 minutes is forgotten, and its packets are dropped",
            240,
            FlowIdleEnd::Silent,
        ),
        idle(
            "l4-reset-when-idle",
            "address translation; a connection that is idle for 350 s is forgotten, and its next packet is answered with a reset",
            350,
            FlowIdleEnd::ResetOnNext,
        ),
    ]
}

/// Returns the mechanisms whose connections belong to nobody.
#[expect(clippy::too_many_lines, reason = "a list of entries")]
fn shared() -> Vec<Mechanism> {
    let pooling = |name, summary, pool| Mechanism::l7_by(name, summary, Rules { pool: Some(pool), ..pooled() });
    vec![
        entry(
            "M5",
            Mechanism::l7_by(
                "close-per-request",
                "each request goes to the next backend on a new upstream connection, closed after the answer",
                Rules { retry: RETRY, ..Rules::PLAIN },
            ),
        ),
        entry(
            "M6",
            Mechanism::l7_by(
                "shared-pool",
                "each request goes to the next backend on the idle upstream connection that was used last, by any client",
                pooled(),
            ),
        ),
        pooling(
            "shared-pool-fifo",
            "a shared pool that uses the connection that has been idle for longest",
            PoolRule { order: Order::Fifo, ..POOL },
        ),
        pooling(
            "shared-pool-by-location",
            "a shared pool for each of two locations, `/api` and all others",
            PoolRule { locations: texts(&["/api"]), ..POOL },
        ),
        entry(
            "M7",
            Mechanism::l7_by(
                "pool-source",
                "a shared pool, and source-address persistence: clients keep their backend, but not their connection",
                Rules { persist: Some(PersistRule::Source(SOURCES)), ..pooled() },
            ),
        ),
        entry(
            "M8",
            Mechanism::l7_by(
                "pool-cookie",
                "a shared pool, and an inserted cookie: clients keep their backend, but not their connection",
                Rules { persist: Some(PersistRule::Cookie(COOKIE)), ..pooled() },
            ),
        ),
        entry(
            "M10",
            pooling(
                "safe-pool",
                "HAProxy's `http-reuse safe` without its pin: a first request opens a connection, later ones take an idle one",
                PoolRule { share: Share::Safe, idle: Duration::from_secs(5), ..POOL },
            ),
        ),
        entry(
            "M11",
            pooling(
                "no-pool-on-first",
                "httpd's `proxy-initial-not-pooled`: a connection's first request gets a new one, which is then pooled",
                PoolRule { share: Share::Safe, ..POOL },
            ),
        ),
        Mechanism {
            hops: Hops { upstream: UpstreamHttp::Alpn, ..Hops::default() },
            ..Mechanism::l7_by(
                "pool-http2",
                "a shared pool, whose connections speak HTTP/2 to the backends that agree to it by ALPN",
                pooled(),
            )
        },
        workers(
            "pool-workers",
            "a shared pool for each of two workers, which get connections by a hash of the client's address and port",
            WorkerRule { count: 2, landing: Landing::Hash, turns: Turns::Own },
        ),
        workers(
            "pool-prefork",
            "a shared pool for each of 16 processes, which serve one client at a time: the next client uses the same pool",
            WorkerRule { count: 16, landing: Landing::Idle, turns: Turns::Own },
        ),
    ]
}

fn workers(name: &'static str, summary: &'static str, rule: WorkerRule) -> Mechanism {
    Mechanism::l7_by(name, summary, Rules { workers: Some(rule), ..pooled() })
}

/// Returns the mechanisms in which connections that carried credentials are never shared afterwards, and those in which
/// clients' connections are tunnels, from the start or after an upgrade.
fn credentials() -> Vec<Mechanism> {
    vec![
        Mechanism::l7_by(
            "own-connection",
            "a shared pool, but a request with credentials opens a connection, which closes after the answer",
            Rules { credentials: Credentials::OwnConnection, ..pooled() },
        ),
        Mechanism {
            hops: Hops { tunnels: true, ..Hops::default() },
            ..Mechanism::l7_by(
                "tunnel",
                "a client's connection is a tunnel to a backend from its first request on",
                Rules { retry: RetryRule::SOUND, ..Rules::PLAIN },
            )
        },
        Mechanism {
            hops: Hops { upgrades: Upgrades::Passed, ..Hops::default() },
            ..Mechanism::l7_by("pin-upgrades", "pins on a 401, and passes upgrades on", pinned_soundly())
        },
    ]
}

/// Returns the same mechanism with each selection algorithm.
fn selections() -> Vec<Mechanism> {
    let by =
        |name, summary, algorithm| Mechanism::l7_by(name, summary, Rules { select: select(algorithm), ..pooled() });
    vec![
        by("pool-weighted", "a shared pool; smooth weighted round robin 3 : 1", Algorithm::WeightedRoundRobin)
            .weighted(&[3, 1]),
        by("pool-random", "a shared pool; the backend is drawn at random", Algorithm::Random { draws: 1 }),
        by("pool-least", "a shared pool; the backend with the fewest connections in use", Algorithm::LeastConnections),
        by(
            "pool-uri",
            "a shared pool; the backend by a hash of the path",
            Algorithm::Hash(HashKey::Uri { query: false }),
        ),
        by(
            "pool-source-hash",
            "a shared pool; the backend by a consistent hash of the client's address",
            Algorithm::ConsistentHash(HashKey::Source(Mask::HOST)),
        ),
    ]
}

/// Returns the mechanisms in which each client has connections of its own from its first request on.
fn private() -> Vec<Mechanism> {
    let own = |slots| Rules { pool: Some(PoolRule { share: Share::Never { slots }, ..POOL }), ..pooled() };
    let sound = Rules { retry: RetryRule::SOUND, ..own(255) };
    vec![
        entry(
            "M9",
            Mechanism::l7_by(
                "private-slot",
                "one upstream connection for each client connection, lost when the next request picks another backend",
                own(1),
            ),
        ),
        entry(
            "M15",
            Mechanism::l7_by(
                "pool-per-downstream",
                "a pool for each client connection, which nobody else uses; each request chooses a backend anew",
                sound.clone(),
            ),
        ),
        Mechanism::l7_by(
            "pool-per-downstream-source",
            "a pool for each client connection, and source-address persistence for the backend",
            Rules { persist: Some(PersistRule::Source(SOURCES)), ..sound.clone() },
        ),
        Mechanism::l7_by(
            "pool-per-downstream-cookie",
            "a pool for each client connection, and an inserted cookie for the backend",
            Rules { persist: Some(PersistRule::Cookie(COOKIE)), ..sound },
        ),
    ]
}

/// Returns the mechanisms in which some messages pin an upstream connection to the client.
fn pinning() -> Vec<Mechanism> {
    let dedicated = PinRule { applied: Applied::Dedicated, ..PinRule::ON_AUTHORIZATION };
    let coupled =
        Schemes { names: texts(&["NTLM", "Negotiate", "Kerberos"]), exact_case: false, extent: Extent::PrefixAndSpace };
    vec![
        entry(
            "M12",
            Mechanism::l7_by(
                "pin-on-401",
                "a shared pool, but a 401 for NTLM or Negotiate pins backend and connection to the client's connection",
                pinned(),
            ),
        ),
        entry(
            "M13",
            Mechanism::l7_by(
                "pin-next-request",
                "after any answer with a challenge, the next request opens a connection that only the client uses",
                Rules {
                    pin: Some(PinRule {
                        trigger: Trigger::AnyResponse,
                        applied: Applied::Dedicated,
                        ..PinRule::ON_401
                    }),
                    ..pinned_soundly()
                },
            ),
        ),
        entry(
            "M14",
            Mechanism::l7_by(
                "pin-on-authorization",
                "a request with NTLM or Negotiate credentials opens a connection that only the client uses",
                Rules { pin: Some(dedicated.clone()), ..pinned_soundly() },
            ),
        ),
        Mechanism::l7_by(
            "pin-by-address",
            "as pin-on-authorization, but the connection is stored under the client's address and port until the backend closes it",
            Rules {
                pin: Some(PinRule {
                    key: PinKey::Client,
                    coupling: Coupling { upstream_follows: false, ..Coupling::BOTH },
                    ..dedicated
                }),
                ..pinned_soundly()
            },
        ),
        entry(
            "M16",
            Mechanism::l7_by(
                "pin-coupled",
                "Squid: credentials pin the connection that carries them, and each end closes the other",
                Rules { pin: Some(PinRule { schemes: coupled, ..PinRule::ON_AUTHORIZATION }), ..pinned_soundly() },
            ),
        ),
    ]
}

/// Returns the mechanisms that combine pins with other rules.
fn pin_variants() -> Vec<Mechanism> {
    let by = Mechanism::l7_by;
    let on_401 = |change: PinRule| Rules { pin: Some(change), ..pinned_soundly() };
    vec![
        entry(
            "M17",
            Mechanism::l7_by(
                "strip-challenge",
                "pins on a 401, and removes Negotiate from challenges, so that clients fall back to NTLM",
                Rules { strip: Some(Schemes { names: texts(&["Nego"]), ..Schemes::HAPROXY }), ..pinned_soundly() },
            ),
        ),
        entry(
            "M18",
            Mechanism::l7_by(
                "pin-source",
                "pins on a 401, with source-address persistence, which a draining backend keeps",
                Rules { persist: Some(PersistRule::Source(SOURCES)), ..pinned_soundly() },
            ),
        ),
        by(
            "pin-cookie",
            "pins on a 401, and an inserted cookie brings the client back to its backend on another connection",
            Rules { persist: Some(PersistRule::Cookie(COOKIE)), ..pinned_soundly() },
        ),
        by(
            "pin-prefer-last",
            "pins on a 401, and stays with that backend when the pinned connection is lost",
            Rules { prefer_last: PreferLast::AfterChallenge, ..pinned_soundly() },
        ),
        by(
            "pin-least",
            "pins on a 401; the backend with the fewest connections in use",
            Rules { select: select(Algorithm::LeastConnections), ..pinned_soundly() },
        ),
        by(
            "pin-slots",
            "pins at most 100 connections on a 401: one more closes the one that has been idle for longest, and its client",
            on_401(PinRule { slots: Some(100), ..PinRule::ON_401 }),
        ),
        by(
            "pin-idle",
            "pins on a 401, and closes a pinned connection, and its client, after a minute without a request",
            Rules { own_idle: Some(Duration::from_mins(1)), ..pinned_soundly() },
        ),
        Mechanism {
            timers: Timers { client_idle: Some(Duration::from_secs(75)), ..Timers::default() },
            ..by(
                "pin-client-idle",
                "pins on a 401, and closes a client's connection after 75 s without a request",
                pinned_soundly(),
            )
        },
        by(
            "pin-services",
            "pins on a 401, one connection for each of two services, `/api` and all others",
            Rules { services: texts(&["/api"]), ..pinned_soundly() },
        ),
        by(
            "pin-queue",
            "pins on a 401; at most 64 connections are in use on a backend, and more requests wait their turn",
            Rules {
                select: SelectRule { max_connections: Some(64), ..select(Algorithm::RoundRobin) },
                queue: Some(QueueRule { length: 1024 }),
                ..pinned_soundly()
            },
        ),
    ]
}

/// Returns the mechanisms with health checks.
#[expect(clippy::too_many_lines, reason = "a list of entries")]
fn checked() -> Vec<Mechanism> {
    let by = |name, summary, probe| Mechanism {
        checks: Some(check(probe)),
        ..Mechanism::l7_by(name, summary, pinned_soundly())
    };
    let http = |expect| Probe::Http { uri: "/".into(), expect };
    vec![
        entry(
            "M19",
            Mechanism {
                checks: Some(check(Probe::Tcp)),
                ..Mechanism::l7_by(
                    "pin-close-on-down",
                    "pins on a 401; when a check of the port finds a backend down, its clients' connections are closed",
                    Rules { on_down: OnDown::Closed, ..pinned_soundly() },
                )
            },
        ),
        Mechanism {
            checks: Some(check(Probe::Tcp)),
            ..Mechanism::l7_by(
                "pin-moved-on-down",
                "pins on a 401; the clients of a backend that a check of its port finds down move to another, and 502 where \
                 none is left",
                Rules {
                    on_down: OnDown::Moved,
                    none_left: NoneLeft::Status(StatusCode::BAD_GATEWAY),
                    ..pinned_soundly()
                },
            )
        },
        by("pin-checked-tcp", "pins on a 401; a check of the port every 2 s, fall 3, rise 2", Probe::Tcp),
        by(
            "pin-checked-http",
            "pins on a 401; a check by an anonymous request, for which a 401 is a success",
            http(Expect::ALIVE),
        ),
        by(
            "pin-checked-http-2xx",
            "pins on a 401; a check that expects 2xx or 3xx, and finds each backend of a protected site down",
            http(Expect::SUCCESS),
        ),
        by(
            "pin-checked-logon",
            "pins on a 401; a check that logs on over its own connection",
            Probe::Logon { uri: "/".into(), find: "".into(), forbidden_is_up: true },
        ),
        Mechanism {
            passive: Some(PASSIVE),
            ..Mechanism::l7_by(
                "pin-passive",
                "pins on a 401; a failure on live traffic keeps a backend out for 10 s",
                pinned_soundly(),
            )
        },
        Mechanism {
            checks: Some(check(Probe::Tcp)),
            ..Mechanism::l4_by(
                "l4-checked",
                "address translation; a check of the port every 2 s; the flows of a failed backend end",
                FlowRules { on_down: FlowsOnDown::Closed, ..FlowRules::ROUND_ROBIN },
            )
        },
        Mechanism {
            checks: Some(check(Probe::Tcp)),
            ..Mechanism::l4_by(
                "l4-silent-on-down",
                "address translation; a check of the port every 2 s; the packets of a failed backend's flows are dropped",
                FlowRules { on_down: FlowsOnDown::Silent, ..FlowRules::ROUND_ROBIN },
            )
        },
        Mechanism {
            checks: Some(check(Probe::Tcp)),
            ..Mechanism::l4_by(
                "l4-moved-on-down",
                "address translation; a check of the port every 2 s; a failed backend's packets go to another one",
                FlowRules { on_down: FlowsOnDown::Moved, ..FlowRules::ROUND_ROBIN },
            )
        },
    ]
}

/// Returns the mechanisms that name the client or the user to the backend.
fn special() -> Vec<Mechanism> {
    let told = |name, summary, rules: Rules, client_id| {
        let rules = Rules { client_id: Some(client_id), forwarded_for: true, ..rules };
        Mechanism::l7_by(name, summary, rules)
    };
    let closing = Rules { retry: RETRY, ..Rules::PLAIN };
    vec![
        entry(
            "M20",
            Mechanism {
                ends_authentication: Some(USER_HEADER),
                ..Mechanism::l7_by(
                    "auth-at-balancer",
                    "the balancer authenticates clients itself, and names the user to the backends over a shared pool",
                    Rules { pool: Some(POOL), retry: RetryRule::SOUND, ..Rules::PLAIN },
                )
            },
        ),
        Mechanism::l7_by(
            "scrub-identity",
            "pins on a 401, and removes the header that names the user from clients' requests",
            Rules { scrub: Some(USER_HEADER), ..pinned_soundly() },
        ),
        told(
            "client-id",
            "closes per request; a header names the client's connection to an acceptor that keeps a table",
            closing.clone(),
            FORWARDED_ID,
        ),
        told("client-id-pool", "as client-id, over a shared pool", pooled(), FORWARDED_ID),
        told(
            "client-id-trusting",
            "closes per request; if the client sends the header that names the connection, it is passed on",
            closing,
            HeaderRule { overwrite: false, ..FORWARDED_ID },
        ),
    ]
}

impl Mechanism {
    /// Returns the mechanism with these weights, for backends in turn.
    fn weighted(mut self, weights: &[u16]) -> Self {
        if let super::Kind::Composed(rules) = &mut self.kind {
            rules.select.weights = weights.to_vec().into();
        }
        self
    }
}
