//! Explains in words how a product treats connections, from its rules.

use http::StatusCode;
use stickler_lb_core::health::rule::Probe;
use stickler_lb_core::policy::composed::{Connect, Credentials, Lost, OnDown, PreferLast, Rules};
use stickler_lb_core::policy::per_connection::{FlowRules, FlowsOnDown};
use stickler_lb_core::policy::persist::PersistRule;
use stickler_lb_core::policy::pin::{Applied, Extent, Host, PinKey, PinRule, Trigger};
use stickler_lb_core::policy::pool::{Order, PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, HashKey};
use stickler_lb_core::policy::workers::{Landing, WorkerRule};

use stickler_lb_core::{FlowIdle, FlowIdleEnd, HeadRule, Hops, Timers, Upgrades, UpstreamHttp};

use super::description::{Description, Mark, Sentence};
use super::{Citation, Profile};
use crate::mechanism::Kind;
use crate::{Carriage, Mechanism};

/// The consequence of a client's connection that has one connection to a backend for as long as it lasts.
const STAYS: &str = "An authenticated connection stays on its backend, end to end, and belongs to one client: NTLM works, \
                     without affinity. A client's next connection may go to another backend, and authenticates there anew.";

pub(super) fn describe(profile: &Profile) -> Description<'_> {
    let mut told = Description { profile, sentences: Vec::new(), meaning: String::new(), sources: Vec::new() };
    let mechanism = &profile.mechanism;
    let meaning = match &mechanism.kind {
        Kind::PerConnection(rules) => {
            flows(&mut told, rules, mechanism.carriage);
            STAYS.to_owned()
        }
        Kind::Composed(rules) => {
            requests(&mut told, rules);
            if mechanism.hops.tunnels { STAYS.to_owned() } else { meaning(rules) }
        }
    };
    waiting(&mut told, mechanism);
    let Hops { upgrades, tunnels, upstream, falls_back, .. } = mechanism.hops;
    match upstream {
        UpstreamHttp::Http1 => {}
        UpstreamHttp::Alpn => told.say("It speaks HTTP/2 to servers that offer it", &["upstream_http"]),
        UpstreamHttp::Http2 => told.say("It speaks only HTTP/2 to servers", &["upstream_http"]),
    }
    if falls_back {
        told.say("A request for which a server requires HTTP/1.1 is repeated over HTTP/1.1", &["falls_back"]);
    }
    match upgrades {
        Upgrades::Dropped => {}
        Upgrades::Passed => told.say("An upgrade is passed on", &["upgrades"]),
        Upgrades::Broken => {
            told.say("A request to upgrade is passed on, and ends in 502 if the server agrees", &["upgrades"]);
        }
    }
    if tunnels {
        told.say("Everything after the first request of a client's connection passes unread", &["tunnels"]);
    }
    if let Some(rule) = mechanism.head {
        told.say(&heads(rule), &["head.field", "head.whole", "head.fields", "head.status"]);
    }
    health(&mut told, profile);
    told.meaning = meaning;
    told
}

/// Explains the time limits of the data plane that are set.
fn waiting(told: &mut Description<'_>, mechanism: &Mechanism) {
    let Timers { client_idle, answer } = mechanism.timers;
    if let Some(idle) = client_idle {
        let text = format!("A client's connection closes after {} s without a request", idle.as_secs_f64());
        told.say(&text, &["client_idle"]);
    }
    if answer != Timers::default().answer {
        told.say(&format!("It waits {} s for an answer", answer.as_secs_f64()), &["answer"]);
    }
    if let Some(FlowIdle { after, then }) = mechanism.flow_idle {
        let becomes = match then {
            FlowIdleEnd::Closed => "is reset at both ends",
            FlowIdleEnd::ResetOnNext => "is forgotten, and its next packet is answered with a reset",
            FlowIdleEnd::Silent => "is forgotten, and its packets are dropped",
        };
        let text = format!("A connection that carries nothing for {} s {becomes}", after.as_secs_f64());
        told.say(&text, &["idle", "on_idle"]);
    }
}

/// Explains the limits on a head, and what happens to a longer one.
fn heads(HeadRule { field, whole, fields, status }: HeadRule) -> String {
    let limits = [
        field.map(|most| format!("no field of more than {most} bytes")),
        whole.map(|most| format!("no head of more than {most} bytes")),
        fields.map(|most| format!("no more than {most} fields")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    format!("It accepts {}, and answers {} to larger ones", limits.join(", "), status.as_u16())
}

impl Description<'_> {
    /// Adds a sentence that rests on these values.
    fn say(&mut self, sentence: &str, on: &[&str]) {
        let mut marks: Vec<Mark> = Vec::new();
        for fact in self.profile.facts.iter().filter(|fact| on.contains(&&*fact.what)) {
            let mark = match &fact.citation {
                Citation::Assumed { .. } => Mark::Assumed,
                Citation::Known { source, evidence } => {
                    let known = (source.as_str(), *evidence);
                    let at = self.sources.iter().position(|&other| other == known).unwrap_or_else(|| {
                        self.sources.push(known);
                        self.sources.len() - 1
                    });
                    Mark::Source(at + 1)
                }
            };
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        self.sentences.push(Sentence { text: sentence.to_owned(), marks });
    }
}

fn flows(told: &mut Description<'_>, rules: &FlowRules, carriage: Carriage) {
    let how = match carriage {
        Carriage::SourceNat => "It translates addresses, and a backend sees the balancer's",
        Carriage::DestinationNat => "It translates addresses, and a backend sees the client's",
        Carriage::DirectReturn => "Packets go to the backend, and answers bypass the balancer",
        Carriage::Splice { proxy_protocol: None } => "It passes bytes between two connections",
        Carriage::Splice { .. } => {
            "It passes bytes between two connections, and names the client by the PROXY protocol"
        }
    };
    told.say(how, &["carriage"]);
    told.say(
        &format!("Each connection goes to {}", chosen(&rules.select.algorithm)),
        &["select.algorithm", "select.key"],
    );
    if let Some(source) = rules.source {
        let kept =
            format!("A client's address keeps its backend for {} s after the last use", source.timeout.as_secs());
        told.say(&kept, &["persist.by", "persist.timeout"]);
    }
    match rules.on_down {
        FlowsOnDown::Nothing => {}
        FlowsOnDown::Closed => told.say("The connections of a backend that goes down are ended", &["on_down"]),
        FlowsOnDown::Silent => told.say("The packets of a backend that goes down are dropped", &["on_down"]),
        FlowsOnDown::Moved => told.say("The packets of a backend that goes down go to another", &["on_down"]),
    }
    working(told, rules.workers);
}

const fn chosen(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "the next backend in turn",
        Algorithm::WeightedRoundRobin => "the next backend in turn, by weight",
        Algorithm::Random { draws: 0 | 1 } => "a backend drawn at random",
        Algorithm::Random { .. } => "the less loaded of some backends drawn at random",
        Algorithm::LeastConnections => "the backend with the fewest connections in use",
        Algorithm::Hash(key) | Algorithm::ConsistentHash(key) => match key {
            HashKey::Source(mask) if mask.v4 < 32 => "the backend that a hash of the client's network gives",
            HashKey::Source(_) => "the backend that a hash of the client's address gives",
            HashKey::SourceAndPort => "the backend that a hash of the client's address and port gives",
            HashKey::FiveTuple => "the backend that a hash of addresses and ports gives",
            HashKey::Uri { .. } => "the backend that a hash of the URI gives",
            HashKey::Header(_) => "the backend that a hash of a header field gives",
        },
    }
}

fn requests(told: &mut Description<'_>, rules: &Rules) {
    told.say(
        &format!("Each request goes to {}", chosen(&rules.select.algorithm)),
        &["select.algorithm", "select.key", "select.mask", "select.weights"],
    );
    match &rules.persist {
        Some(PersistRule::Source(source)) => {
            let kept =
                format!("A client's address keeps its backend for {} s after the last use", source.timeout.as_secs());
            told.say(&kept, &["persist.by", "persist.timeout", "persist.mask"]);
        }
        Some(PersistRule::Cookie(cookie)) => {
            let when = if cookie.on_401 { "the 401 of a handshake sets it too" } else { "a 401 does not set it" };
            let kept = format!("A cookie `{}` keeps a client on its backend; {when}", cookie.name);
            told.say(&kept, &["persist.by", "persist.cookie", "persist.on_401"]);
        }
        None => {}
    }
    match rules.prefer_last {
        PreferLast::Never => {}
        PreferLast::AfterChallenge => {
            told.say("After a challenge, a client connection stays with its previous backend", &["prefer_last"]);
        }
        PreferLast::Always => told.say("A client connection stays with its previous backend", &["prefer_last"]),
    }
    pooling(told, rules.pool.as_ref(), rules.pin.is_some());
    if let Some(pin) = &rules.pin {
        pinning(told, pin);
    }
    if let Some(idle) = rules.own_idle {
        told.say(
            &format!("A client's private connection closes after {} s without a request", idle.as_secs()),
            &["own_idle"],
        );
    }
    if let Some(schemes) = &rules.strip {
        told.say(&format!("Challenges of {} are removed from answers", schemes.names.join(", ")), &["strip.schemes"]);
    }
    closing(told, rules);
    retries(told, rules);
}

fn pooling(told: &mut Description<'_>, pool: Option<&PoolRule>, pins: bool) {
    let on = &[
        "pool.share",
        "pool.slots",
        "pool.idle",
        "pool.order",
        "pool.in_all",
        "pool.per_key",
        "pool.requests",
        "pool.life",
        "pool.source_mask",
    ];
    let Some(pool) = pool else {
        let unless = if pins { ", unless it is pinned" } else { "" };
        told.say(&format!("An upstream connection carries one request and closes{unless}"), &[]);
        return;
    };
    let order = if pool.order == Order::Lifo { "most recently used first" } else { "longest idle first" };
    let who = match pool.share {
        Share::Never { slots } => {
            let text =
                format!("Each client connection has its own upstream connections, of which at most {slots} are idle");
            told.say(&text, on);
            return;
        }
        Share::Safe => "any client, except with a connection's first request",
        Share::Aggressive => "any client, with a first request only if they were reused before",
        Share::Always if pool.source.is_some_and(|mask| mask.v4 > 0) => "any client of the same masked address",
        Share::Always => "any client",
    };
    told.say(
        &format!("Idle upstream connections are kept for {} s and taken by {who}, {order}", pool.idle.as_secs()),
        on,
    );
}

fn pinning(told: &mut Description<'_>, pin: &PinRule) {
    let message = match pin.trigger {
        Trigger::Request => "A request with `Authorization`".to_owned(),
        Trigger::Response(status) => format!("A {} with a challenge", status.as_u16()),
        Trigger::Challenge => "A 401 or 407 with a challenge".to_owned(),
        Trigger::AnyResponse => "An answer of any status with a challenge".to_owned(),
    };
    let extent = match pin.schemes.extent {
        Extent::Prefix => "at its beginning",
        Extent::PrefixAndSpace => "and a space at its beginning",
        Extent::Whole => "and nothing else",
    };
    let case = if pin.schemes.exact_case { ", in this case only" } else { ", in any case" };
    let names = pin.schemes.names.join(" or ");
    let effect = match pin.applied {
        Applied::AtOnce => "pins the connection that carries it",
        Applied::Dedicated if pin.trigger == Trigger::Request => "opens a connection that only the client uses",
        Applied::Dedicated => "gives the client its own new connection, from the next request on",
    };
    told.say(
        &format!("{message} ({names} {extent}{case}) {effect}"),
        &["pin.trigger", "pin.schemes", "pin.exact_case", "pin.extent", "pin.applied"],
    );
    match pin.host {
        Host::Pinned => told.say("Backend and connection are pinned", &["pin.host"]),
        Host::Repicked => told.say("The backend is still chosen anew for each request", &["pin.host"]),
    }
    let closes = match (pin.coupling.upstream_follows, pin.coupling.downstream_follows) {
        (true, true) if !pin.coupling.when_idle => {
            "The client's close closes the pinned connection; if that is lost during a request, the client's is closed, and if it \
             ends between two requests, it is silently replaced"
        }
        (true, true) => "Each end's close closes the other",
        (true, false) => {
            "The client's close closes the pinned connection; a lost pinned connection is silently replaced"
        }
        (false, true) => "The pinned connection outlives its client; its own close closes the client",
        (false, false) => "The pinned connection outlives its client, and its loss is hidden",
    };
    told.say(closes, &["pin.upstream_follows", "pin.downstream_follows", "pin.when_idle"]);
    if pin.key == PinKey::Client {
        told.say("The pin belongs to the client's address and port", &["pin.key"]);
    }
    if let Some(slots) = pin.slots {
        told.say(
            &format!("At most {slots} connections are pinned, and a further one replaces the one that has been idle for longest"),
            &["pin.slots"],
        );
    }
}

/// Explains the processes or threads, if there are several.
fn working(told: &mut Description<'_>, workers: Option<WorkerRule>) {
    let Some(WorkerRule { count, landing, .. }) = workers else { return };
    let lands = match landing {
        Landing::Hash => "by a hash of its client's address and port",
        Landing::RoundRobin => "in turn",
        Landing::Random => "at random",
        Landing::Idle => "on one without a client, whose pool has the connections of its last client",
    };
    told.say(&format!("It has {count} workers, which get connections {lands}"), &["workers.count", "workers.landing"]);
}

/// Explains what happens to clients and servers, apart from the pool and the pin.
fn closing(told: &mut Description<'_>, rules: &Rules) {
    match rules.credentials {
        Credentials::Ordinary => {}
        Credentials::OwnConnection => told
            .say("A request with `Authorization` opens a connection, which closes after the answer", &["credentials"]),
        Credentials::NeverPooled => {
            told.say(
                "A connection that carried credentials or a challenge closes after the exchange",
                &["credentials"],
            );
        }
        Credentials::NotPassedOn => told.say("`Authorization` is not passed on", &["credentials"]),
    }
    match rules.client_requests {
        None => {}
        Some(1) => told.say("The client's connection closes after each answer", &["client_requests"]),
        Some(most) => {
            told.say(&format!("A client's connection closes after {most} requests"), &["client_requests"]);
        }
    }
    match rules.on_down {
        OnDown::Nothing => {}
        OnDown::Closed => {
            told.say("The connections of clients pinned to a backend that goes down are closed", &["on_down"]);
        }
        OnDown::Moved => told.say("The clients pinned to a backend that goes down move to another", &["on_down"]),
    }
    if rules.drain_moves {
        told.say("The clients pinned to a backend that is drained move to another", &["drain_moves"]);
    }
    working(told, rules.workers);
}

fn retries(told: &mut Description<'_>, rules: &Rules) {
    let connect = match rules.retry.connect {
        Connect::Fail => "A backend that cannot be reached gives an error".to_owned(),
        Connect::Same { retries } => format!("A backend that cannot be reached is tried again, {retries} times"),
        Connect::Other => "A backend that cannot be reached is replaced by another".to_owned(),
    };
    told.say(&connect, &["retry.connect", "retry.retries"]);
    let lost = match rules.retry.lost {
        Lost::Never => "A request whose connection is lost is not sent again",
        Lost::IdleRace => "An idempotent request that loses the race with an idle close is sent again",
        Lost::Idempotent => "An idempotent request whose connection is lost is sent again",
        Lost::Any => "Any request whose connection is lost is sent again",
    };
    told.say(lost, &["retry.lost", "retry.lost_elsewhere", "retry.carries_authenticate"]);
    if rules.retry.pooled {
        told.say("An attempt at another backend takes an idle connection if there is one", &["retry.pooled"]);
    }
    if let Some(status) = rules.retry.unreachable {
        told.say(
            &format!("The client gets {} if a backend cannot be reached", status.as_u16()),
            &["retry.unreachable"],
        );
    }
    if let Some(status) = rules.retry.broken {
        told.say(&format!("The client gets {} if a connection is lost", status.as_u16()), &["retry.broken"]);
    }
}

fn health(told: &mut Description<'_>, profile: &Profile) {
    let on = [
        "check.probe",
        "check.interval",
        "check.after_end",
        "check.timeout",
        "check.rise",
        "check.fall",
        "check.uri",
        "check.statuses",
        "check.find",
    ];
    match &profile.mechanism.checks {
        None => told.say("It has no active health checks", &[]),
        Some(check) => {
            let what = match &check.probe {
                Probe::Tcp => "of the port",
                Probe::Http { expect, .. } if !expect.holds(StatusCode::UNAUTHORIZED) => {
                    "by a request for which a 401 is a failure, so that each server of a protected site is down,"
                }
                Probe::Http { .. } => "by a request for which a 401 is a success",
                Probe::Logon { .. } => "that logs on",
            };
            let (every, rise, fall) = (check.interval.as_secs_f64(), check.rise, check.fall);
            let from = if check.after_end { " after the end of the last" } else { "" };
            told.say(&format!("A check {what} runs every {every} s{from}, fall {fall}, rise {rise}"), &on);
        }
    }
    let fails_open = match &profile.mechanism.kind {
        Kind::PerConnection(rules) => rules.fails_open,
        Kind::Composed(rules) => rules.fails_open,
    };
    if fails_open {
        told.say("While all backends are down, all count as up", &["fails_open"]);
    }
    if let Some(passive) = &profile.mechanism.passive {
        let text = format!(
            "{} on live traffic {} a backend out for {} s",
            if passive.fails == 1 { "1 failure".to_owned() } else { format!("{} failures", passive.fails) },
            if passive.fails == 1 { "keeps" } else { "keep" },
            passive.out_for.as_secs()
        );
        told.say(&text, &["passive.fails", "passive.within", "passive.out_for", "passive.blame"]);
    }
}

/// Explains what the rules mean for a handshake, whose legs must use the same connection, and for the user on that
/// connection afterwards.
fn meaning(rules: &Rules) -> String {
    match rules.credentials {
        Credentials::OwnConnection => {
            return "no leg of a handshake uses the connection of the previous leg: nobody can log on, and nobody is \
                    served as another user."
                .into();
        }
        Credentials::NotPassedOn => return "servers never see credentials: nobody can log on.".into(),
        Credentials::Ordinary | Credentials::NeverPooled => {}
    }
    if rules.client_requests == Some(1) {
        return "the client's connection ends with each leg of a handshake: nobody can log on.".into();
    }
    let by_source = matches!(
        rules.select.algorithm,
        Algorithm::Hash(HashKey::Source(_)) | Algorithm::ConsistentHash(HashKey::Source(_))
    );
    let anew = match &rules.persist {
        Some(PersistRule::Cookie(_)) => "the cookie brings its legs to one backend, if the client keeps cookies",
        Some(PersistRule::Source(_)) => "affinity brings its legs to one backend",
        None if by_source || rules.prefer_last == PreferLast::Always => "affinity brings its legs to one backend",
        None => "the backend is chosen anew for each leg, so it works with one backend, or with affinity",
    };
    match (&rules.pin, &rules.pool) {
        (Some(pin), pool) => pinned_meaning(pin, pool.is_some(), anew),
        (None, None) => {
            "no leg of a handshake uses the connection of the previous leg: nobody can log on, and nobody is \
                         served as another user."
                .into()
        }
        (None, Some(PoolRule { share: Share::Never { .. }, .. })) => {
            format!("connections are never shared between clients, so that nobody is served as another user; {anew}.")
        }
        (None, Some(PoolRule { source: Some(mask), .. })) if mask.v4 == 32 => {
            format!("connections are shared only by clients of one address, who can be served as one another; {anew}.")
        }
        (None, Some(_)) => format!(
            "an authenticated connection returns to the pool, and the next client is served as its user; legs of \
             several clients mix; {anew}."
        ),
    }
}

fn pinned_meaning(pin: &PinRule, pool: bool, anew: &str) -> String {
    let mut parts = vec!["a handshake keeps its connection once it is pinned".to_owned()];
    if pin.host == Host::Repicked {
        parts.push(anew.to_owned());
    }
    if pin.applied == Applied::Dedicated && pin.trigger != Trigger::Request {
        parts.push(
            "the Negotiate leg of a client that begins with it goes over another connection than the next leg, and the logon fails"
                .into(),
        );
    }
    if pin.trigger != Trigger::Request && pool {
        parts.push(
            "a client that logs on without a challenge (one-shot Kerberos) is not pinned, and leaves an \
                    authenticated connection in the pool"
                .into(),
        );
    }
    if pin.schemes.extent == Extent::Whole {
        parts.push("a challenge with a token does not pin".into());
    }
    if !pin.coupling.upstream_follows {
        parts.push("the authenticated connection outlives its client, and can serve another client".into());
    }
    if !pin.coupling.closes_when_idle() {
        parts.push("the client notices the loss of a pinned connection only as a 401".into());
    }
    parts.join("; ") + "."
}
