//! The keys about connections: those of clients, of servers that go down, of workers, and of hops.

use http::StatusCode;
use stickler_lb_core::policy::composed::{Credentials, NoneLeft, OnDown};
use stickler_lb_core::policy::per_connection::{self as flows, FlowsOnDown};
use stickler_lb_core::policy::workers::{Landing, Turns, WorkerRule};
use stickler_lb_core::{FlowIdle, FlowIdleEnd, HeadRule, Hops, Timers, Upgrades, UpstreamHttp};
use toml::de::DeValue;

use super::super::port::{Port, Read};
use super::super::value::{Value, quoted, words};

words! {
    Credentials {
        "ordinary" => Credentials::Ordinary,
        "own-connection" => Credentials::OwnConnection,
        "never-pooled" => Credentials::NeverPooled,
        "not-passed-on" => Credentials::NotPassedOn,
    }
    OnDown { "nothing" => OnDown::Nothing, "closed" => OnDown::Closed, "moved" => OnDown::Moved, }
    FlowsOnDown {
        "nothing" => FlowsOnDown::Nothing,
        "closed" => FlowsOnDown::Closed,
        "silent" => FlowsOnDown::Silent,
        "moved" => FlowsOnDown::Moved,
    }
    FlowIdleEnd {
        "closed" => FlowIdleEnd::Closed,
        "reset-on-next" => FlowIdleEnd::ResetOnNext,
        "silent" => FlowIdleEnd::Silent,
    }
    UpstreamHttp { "http1" => UpstreamHttp::Http1, "alpn" => UpstreamHttp::Alpn, "http2" => UpstreamHttp::Http2, }
    flows::NoneLeft { "refused" => flows::NoneLeft::Refused, "dropped" => flows::NoneLeft::Dropped, }
    Landing {
        "hash" => Landing::Hash,
        "round-robin" => Landing::RoundRobin,
        "random" => Landing::Random,
        "idle" => Landing::Idle,
    }
    Turns { "own" => Turns::Own, "shared" => Turns::Shared, }
    Upgrades { "dropped" => Upgrades::Dropped, "passed" => Upgrades::Passed, "broken" => Upgrades::Broken, }
}

impl Value for NoneLeft {
    fn kind() -> String {
        "a status, or `closed`".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str() {
            Some("closed") => Some(Self::Closed),
            Some(_) => None,
            None => StatusCode::read(value).map(Self::Status),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Status(status) => status.toml(),
            Self::Closed => quoted("closed"),
        }
    }
}

pub(super) fn credentials<P: Port>(p: &mut P, rule: Credentials) -> Read<Credentials> {
    p.or("credentials", "The rule for a request with `Authorization`. With `ordinary`, it is like any other. With `own-connection`, it opens a connection, which closes after the answer. With `never-pooled`, the connection that carried it or a challenge closes after the exchange. With `not-passed-on`, it goes without its credentials.", rule, Credentials::Ordinary)
}

pub(super) fn on_down<P: Port>(p: &mut P, rule: OnDown) -> Read<OnDown> {
    p.or("on_down", "At L7, what happens to clients with connections pinned to a backend that goes down: nothing; their connections are closed; or their next requests go to another backend.", rule, OnDown::Nothing)
}

pub(super) fn flows_on_down<P: Port>(p: &mut P, rule: FlowsOnDown) -> Read<FlowsOnDown> {
    p.or("on_down", "At L4, what happens to the connections of a backend that goes down: nothing; they end on both sides; their packets are dropped; or their packets go to another backend, while a splice ends them.", rule, FlowsOnDown::Nothing)
}

pub(super) fn none_left<P: Port>(p: &mut P, rule: NoneLeft) -> Read<NoneLeft> {
    p.or(
        "none_left",
        "At L7, the answer to a request if no backend is left.",
        rule,
        NoneLeft::Status(StatusCode::SERVICE_UNAVAILABLE),
    )
}

pub(super) fn flows_none_left<P: Port>(p: &mut P, rule: flows::NoneLeft) -> Read<flows::NoneLeft> {
    p.or("none_left", "At L4, what happens to a connection if no backend is left.", rule, flows::NoneLeft::Refused)
}

pub(super) fn worker_section<P: Port>(p: &mut P, rule: Option<WorkerRule>) -> Read<Option<WorkerRule>> {
    let blank = WorkerRule { count: 1, landing: Landing::Hash, turns: Turns::Own };
    p.section("workers", "The balancer's processes or threads, each with its own pool. Without the section there is one.", rule, blank, |p, rule| {
        let WorkerRule { count, landing, turns } = rule;
        let rule = WorkerRule {
            count: p.needed("count", "The number of workers, at least 1.", count)?,
            landing: p.needed("landing", "The worker that gets a client's connection: by a hash of the client's address and port; each worker in turn; any worker; or the first worker without a client (prefork), whose pool has the connections of its last client.", landing)?,
            turns: p.or("turns", "Whether each worker takes its own turns among the backends, or all workers share them.", turns, Turns::Own)?,
        };
        rule.check().map_err(|error| p.wrong(&error.to_string()))?;
        Ok(rule)
    })
}

pub(super) fn hops<P: Port>(p: &mut P, hops: Hops) -> Read<Hops> {
    let Hops { passes_connection, upgrades, tunnels, upstream, falls_back } = hops;
    let hops = Hops {
        passes_connection: p.or("passes_connection", "Whether the client's `Connection` field is passed on.", passes_connection, false)?,
        upgrades: p.or("upgrades", "The rule for a request to upgrade. With `dropped`, it is forwarded without the upgrade. With `passed`, it is forwarded, and after a 101 both connections become a tunnel. With `broken`, it is forwarded, and a 101 ends in 502.", upgrades, Upgrades::Dropped)?,
        tunnels: p.or("tunnels", "Whether a client's connection is a tunnel from its first request on, so that everything after it passes unread.", tunnels, false)?,
        upstream: p.or("upstream_http", "The version of HTTP towards the backends: HTTP/1.1; HTTP/2 if a backend agrees to it by ALPN; or HTTP/2 alone, with or without TLS.", upstream, UpstreamHttp::Http1)?,
        falls_back: p.or("falls_back", "Whether a request that a backend resets with HTTP_1_1_REQUIRED is repeated over HTTP/1.1. Otherwise it ends in 502.", falls_back, false)?,
    };
    if hops.falls_back && hops.upstream == UpstreamHttp::Http1 {
        return Err(p.wrong("`falls_back` has no effect without HTTP/2 towards the backends: set `upstream_http`, or remove `falls_back`"));
    }
    if hops.tunnels && hops.upstream != UpstreamHttp::Http1 {
        return Err(p.wrong("a tunnel passes bytes on unread: remove `upstream_http`"));
    }
    Ok(hops)
}

pub(super) fn timers<P: Port>(p: &mut P, timers: Timers) -> Read<Timers> {
    let Timers { client_idle, answer } = timers;
    Ok(Timers {
        client_idle: p.key("client_idle", "The time without a request after which a client's connection closes. Without the key, it lives as long as its client keeps it.", client_idle)?,
        answer: p.or("answer", "The time in which a backend has to begin its answer. After it, the client gets 504.", answer, Timers::default().answer)?,
    })
}

pub(super) fn flow_idle<P: Port>(p: &mut P, rule: Option<FlowIdle>) -> Read<Option<FlowIdle>> {
    let (after, then) = rule.map(|FlowIdle { after, then }| (after, then)).unzip();
    let after = p.key(
        "idle",
        "At L4, the time after which a connection that carries nothing is removed. Without the key, none is.",
        after,
    )?;
    let then = p.key("on_idle", "With `idle`, required: the end of an idle connection. Both sides are reset; or it is forgotten, and its next packet is answered with a reset; or it is forgotten, and its packets are dropped.", then)?;
    match (after, then) {
        (None, None) => Ok(None),
        (Some(after), Some(then)) => Ok(Some(FlowIdle { after, then })),
        _ => Err(p.wrong("`idle` and `on_idle` belong together")),
    }
}

pub(super) fn head_section<P: Port>(p: &mut P, rule: Option<HeadRule>) -> Read<Option<HeadRule>> {
    p.section("head", "The limits of the head of a request. Without the section, only Stickler's own limits apply: 64 KiB and 100 fields, and the status 431.", rule, HeadRule::NONE, |p, rule| {
        let HeadRule { field, whole, fields, status } = rule;
        let rule = HeadRule {
            field: p.key("field", "The maximum length of a field in bytes: its name, a colon, a space and its value.", field)?,
            whole: p.key("whole", "The maximum length of the head in bytes: the request line, all fields, and their line ends.", whole)?,
            fields: p.key("fields", "The maximum number of fields.", fields)?,
            status: p.or("status", "The status of the answer to a request that exceeds a limit. The client's connection closes after it.", status, HeadRule::NONE.status)?,
        };
        rule.check().map_err(|error| p.wrong(&error.to_string()))?;
        Ok(rule)
    })
}
