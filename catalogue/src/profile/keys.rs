//! The list of all keys of a profile: their names, their meanings, and the rules that they set. This list alone is used
//! to read profiles, to write mechanisms, and to describe the schema. Each rule is taken apart and assembled field by
//! field, so a field without a key does not compile.

mod alternatives;
mod connections;
mod defects;
mod health;
mod pin;

use std::time::Duration;

use stickler_lb_core::health::rule::CheckRule;
use stickler_lb_core::policy::composed::{Defects, HeaderRule, Lost, PreferLast, QueueRule, RetryRule, Rules};
use stickler_lb_core::policy::per_connection::FlowRules;
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pool::{Order, Overflow, PoolRule, Share};
use stickler_lb_core::policy::select::{SelectRule, Selection};
use stickler_lb_core::{Hops, Layer, List, Pipelining, RuleError};

use self::alternatives::{By, CarriageWord, ConnectWord, ShareWord, hashed, selected, split_algorithm};
use super::port::{Port, Read};
use super::value::words;
use crate::Mechanism;
use crate::mechanism::Kind;

words! {
    PreferLast {
        "never" => PreferLast::Never,
        "after-challenge" => PreferLast::AfterChallenge,
        "always" => PreferLast::Always,
    }
    Order { "lifo" => Order::Lifo, "fifo" => Order::Fifo, }
    Overflow { "close-oldest" => Overflow::CloseOldest, "close-new" => Overflow::CloseNew, }
    Pipelining { "in-order" => Pipelining::InOrder, "overtakes" => Pipelining::Overtakes, }
    Lost {
        "never" => Lost::Never,
        "idle-race" => Lost::IdleRace,
        "idempotent" => Lost::Idempotent,
        "any" => Lost::Any,
    }
}

/// Returns a mechanism at this layer that does as little as possible. The keys of a profile change it.
pub(super) fn blank(layer: Layer) -> Mechanism {
    match layer {
        Layer::L4 => Mechanism::l4_by("", "", FlowRules::ROUND_ROBIN),
        Layer::L7 => Mechanism::l7_by("", "", Rules::PLAIN),
    }
}

/// Processes all keys of a mechanism. Its name, number, summary and layer belong to the profile, and its defects are
/// among its rules.
pub(super) fn mechanism<P: Port>(p: &mut P, mechanism: Mechanism) -> Read<Mechanism> {
    let Mechanism {
        name,
        id,
        summary,
        layer,
        kind,
        checks,
        passive,
        carriage,
        ends_authentication,
        pipelining,
        hops,
        timers,
        flow_idle,
        head,
        tls_drifts,
        defects,
    } = mechanism;
    let mut read = Mechanism { name, id, summary, defects, ..blank(layer) };
    match kind {
        Kind::PerConnection(rules) => {
            let carriage = p.or(
                "carriage",
                "The way in which a connection is carried to its backend.",
                CarriageWord::from(carriage),
                CarriageWord::SourceNat,
            )?;
            read.carriage = carriage.into();
            read.flow_idle = connections::flow_idle(p, flow_idle)?;
            read.kind = Kind::PerConnection(flows(p, rules)?);
        }
        Kind::Composed(rules) => {
            read.ends_authentication = p.key(
                "ends_authentication",
                "The request field in which a balancer that authenticates clients itself names the user to the backends.",
                ends_authentication,
            )?;
            read.pipelining = p.or("pipelining", "What happens to a request that arrives before the answer to the previous one. It waits, or it overtakes the other on another connection, which is a defect.", pipelining, Pipelining::InOrder)?;
            read.tls_drifts = p.or(
                "tls_drifts",
                "Whether the connections that are dedicated to a client have lost the authority that they should trust, which is a defect.",
                tls_drifts,
                false,
            )?;
            read.hops = connections::hops(p, hops)?;
            read.timers = connections::timers(p, timers)?;
            let rules = requests(p, *rules)?;
            refuse_unused(p, read.hops, &rules)?;
            read.head = connections::head_section(p, head)?;
            read.kind = Kind::Composed(Box::new(rules));
        }
    }
    read.checks = p.section(
        "check",
        "The active health checks. Without the section there are none.",
        checks,
        CheckRule::TCP,
        health::check,
    )?;
    read.passive = p.section(
        "passive",
        "The effect of failures on live traffic. Without the section they have none.",
        passive,
        health::BLANK,
        health::passive,
    )?;
    Ok(read)
}

/// Refuses sections that would have no effect.
fn refuse_unused<P: Port>(p: &P, hops: Hops, rules: &Rules) -> Read<()> {
    if hops.tunnels && (rules.pool.is_some() || rules.pin.is_some()) {
        let message = "a tunnel from the first request on leaves nothing to pool or to pin: remove these sections";
        return Err(p.wrong(message));
    }
    Ok(())
}

const FAILS_OPEN: &str = "Whether all backends count as up while all are down.";
const SELECT: &str = "The choice of a backend where no affinity decides. The section is required.";
const PERSIST: &str =
    "Affinity: the rule that brings a client back to its backend on any connection. Without the section there is none.";

fn flows<P: Port>(p: &mut P, rules: FlowRules) -> Read<FlowRules> {
    let FlowRules { select, source, on_down, fails_open, none_left, workers } = rules;
    let on_down = connections::flows_on_down(p, on_down)?;
    let none_left = connections::flows_none_left(p, none_left)?;
    let fails_open = p.or("fails_open", FAILS_OPEN, fails_open, false)?;
    let select = p.needed_section("select", SELECT, select, |p, rule| selection(p, rule, Layer::L4))?;
    let rule =
        p.section("persist", PERSIST, source.map(PersistRule::Source), SOURCE, |p, rule| match persist(p, rule)? {
            PersistRule::Cookie(_) => Err(p.wrong("there are no cookies at L4: use `source`")),
            source @ PersistRule::Source(_) => Ok(source),
        })?;
    let source = rule.and_then(|rule| if let PersistRule::Source(source) = rule { Some(source) } else { None });
    let workers = connections::worker_section(p, workers)?;
    Ok(FlowRules { select, source, on_down, fails_open, none_left, workers })
}

fn requests<P: Port>(p: &mut P, rules: Rules) -> Read<Rules> {
    let Rules {
        select,
        services,
        queue,
        persist: persistence,
        prefer_last,
        pool: pooling,
        pin: pinning,
        own_idle,
        strip,
        client_id,
        forwarded_for,
        scrub,
        retry: trying,
        credentials,
        client_requests,
        on_down,
        drain_moves,
        fails_open,
        none_left,
        workers,
        defects: flags,
    } = rules;
    let rules = Rules {
        prefer_last: p.or("prefer_last", "When a request stays with the backend of the previous request on the client's connection. A hash is never overridden.", prefer_last, PreferLast::Never)?,
        own_idle: p.key("own_idle", "The time without a request after which a client's private or pinned connection closes. Without the key, the connection lives as long as its client.", own_idle)?,
        services: p.or("services", "The path prefixes of the services. The backends are distributed to the services in turn.", services, List::Borrowed(&[]))?,
        forwarded_for: p.or("forwarded_for", "Whether the client's address is added to `X-Forwarded-For`.", forwarded_for, false)?,
        scrub: p.key("scrub", "The field that is removed from requests.", scrub)?,
        credentials: connections::credentials(p, credentials)?,
        client_requests: p.key("client_requests", "The maximum number of requests on a client's connection. The answer to the last one closes the connection; with 1, each answer does. Without the key there is no limit.", client_requests)?,
        on_down: connections::on_down(p, on_down)?,
        drain_moves: p.or("drain_moves", "Whether the next requests of clients that are pinned to a drained backend go to another backend.", drain_moves, false)?,
        none_left: connections::none_left(p, none_left)?,
        fails_open: p.or("fails_open", FAILS_OPEN, fails_open, false)?,
        select: p.needed_section("select", SELECT, select, |p, rule| selection(p, rule, Layer::L7))?,
        queue: p.section("queue", "The queue in which requests wait while every backend is full. Without the section they are answered 503.", queue, QueueRule { length: 1 }, queue_rule)?,
        persist: p.section("persist", PERSIST, persistence, SOURCE, persist)?,
        pool: p.section("pool", "The pool of idle upstream connections. Without the section, a connection that is not pinned carries one request.", pooling, PoolRule::shared(Duration::from_mins(1)), pool)?,
        pin: p.section("pin", "Pinning: the messages that pin an upstream connection to the client's connection. Without the section, no message does.", pinning, pin::BLANK, pin::pin)?,
        strip: p.section("strip", "The schemes whose challenges are removed from answers. These challenges still pin.", strip, pin::SCHEMES, pin::schemes)?,
        client_id: p.section("client_id", "The field that tells the backend the client connection of a request, as address and port.", client_id, HeaderRule { name: "X-Client".into(), overwrite: true }, header_rule)?,
        retry: p.needed_section("retry", "The failures that the balancer hides from the client by another attempt. The section is required.", trying, retry)?,
        workers: connections::worker_section(p, workers)?,
        defects: p.section("defects", "The mistakes of products that no rule expresses. Without the section there are none.", Some(flags).filter(|flags| *flags != Defects::NONE), Defects::NONE, defects::defects)?.unwrap_or_default(),
    };
    rules.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rules)
}

fn selection<P: Port>(p: &mut P, rule: SelectRule, layer: Layer) -> Read<SelectRule> {
    let SelectRule { algorithm, weights, max_connections, bound_take_turns } = rule;
    let (word, draws, key) = split_algorithm(algorithm);
    let (key, mask, header) = hashed(key);
    let word = p.needed("algorithm", "The algorithm: backends in turn; in turn by weight (smooth); at random by weight; the backend with the fewest connections in use; or a hash. When a backend goes down, a plain hash moves most keys, while a consistent hash moves only the keys of that backend.", word)?;
    let draws = p.key(
        "draws",
        "With `random`: the number of backends that are drawn, of which the one with the least load serves. Without the key it is one.",
        draws,
    )?;
    let key = p.key(
        "key",
        "With a hash: the value that is hashed. The 5-tuple exists only at L4, URI and header only at L7.",
        key,
    )?;
    let mask = p.key(
        "mask",
        "With the key `source`: the part of the client's address that counts. Without the key, all of it counts.",
        mask,
    )?;
    let header = p.key(
        "header",
        "With the key `header`: the name of the field. Requests without the field go to the backends in turn.",
        header,
    )?;
    let weights = p.or(
        "weights",
        "The weights of the backends, from 0 to 256, repeated over the farm. A backend with weight 0 is never chosen.",
        weights,
        List::Borrowed(&[]),
    )?;
    let max_connections = p.key(
        "max_connections",
        "The maximum number of connections in use on a backend at once. A full backend is skipped.",
        max_connections,
    )?;
    let bound_take_turns = p.or(
        "bound_take_turns",
        "Whether a request (at L4, a connection) that affinity sends to its backend also counts as a turn.",
        bound_take_turns,
        false,
    )?;
    let algorithm = selected(word, draws, key, mask, header).map_err(|wrong| p.wrong(wrong))?;
    let rule = SelectRule { algorithm, weights, max_connections, bound_take_turns };
    let fits = |rule: &SelectRule| -> Result<(), RuleError> {
        Selection::new(rule, rule.weights.len().max(2), layer, stickler_model::Entropy::new(0, "profile")).map(drop)
    };
    fits(&rule).map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rule)
}

/// The source table from which the keys start.
const SOURCE: PersistRule =
    PersistRule::Source(SourceRule { timeout: Duration::from_mins(30), entries: ENTRIES, mask: Mask::HOST });
/// The number of entries of a source table that does not state it.
const ENTRIES: usize = 100_000;

fn persist<P: Port>(p: &mut P, rule: PersistRule) -> Read<PersistRule> {
    let (by, source, cookie) = match rule {
        PersistRule::Source(rule) => (By::Source, Some(rule), None),
        PersistRule::Cookie(rule) => (By::Cookie, None, Some(rule)),
    };
    let (timeout, entries, mask) = source
        .map(|SourceRule { timeout, entries, mask }| {
            (
                Some(timeout),
                u32::try_from(entries).ok().filter(|_| entries != ENTRIES),
                Some(mask).filter(|&mask| mask != Mask::HOST),
            )
        })
        .unwrap_or_default();
    let (name, on_401, life, indirect) = cookie
        .map(|CookieRule { name, on_401, life, indirect }| (Some(name), Some(on_401), life, Some(indirect)))
        .unwrap_or_default();
    let by = p.needed(
        "by",
        "The key of affinity: the client's address, in a table, or a cookie that the balancer inserts.",
        by,
    )?;
    let timeout =
        p.key("timeout", "With `source`, required: the time after which an unused entry is removed.", timeout)?;
    let entries = p.key(
        "entries",
        "With `source`: the maximum number of entries in the table. Without the key it is 100000.",
        entries,
    )?;
    let mask = p.key(
        "mask",
        "With `source`: the part of the client's address that counts. Without the key, all of it counts.",
        mask,
    )?;
    let name = p.key("cookie", "With `cookie`, required: the name of the cookie.", name)?;
    let on_401 =
        p.key("on_401", "With `cookie`: whether a 401 sets the cookie too. Without the key, it does.", on_401)?;
    let life = p.key(
        "life",
        "With `cookie`: the time for which the cookie is valid after it was set. Without the key, it is valid as long as the balancer runs.",
        life,
    )?;
    let indirect = p.key(
        "indirect",
        "With `cookie`: whether the cookie is removed from a request before a backend sees it. Without the key, it is not.",
        indirect,
    )?;
    let cookies = name.is_some() || on_401.is_some() || life.is_some() || indirect.is_some();
    let sources = timeout.is_some() || entries.is_some() || mask.is_some();
    let rule = match (by, name, timeout) {
        (By::Cookie, Some(name), _) if !sources => PersistRule::Cookie(CookieRule {
            name,
            on_401: on_401.unwrap_or(true),
            life,
            indirect: indirect.unwrap_or(false),
        }),
        (By::Source, _, Some(timeout)) if !cookies => PersistRule::Source(SourceRule {
            timeout,
            entries: entries.map_or(ENTRIES, |entries| entries as usize),
            mask: mask.unwrap_or(Mask::HOST),
        }),
        (By::Cookie, ..) => {
            return Err(p.wrong("`by = cookie` needs `cookie`, its name, and no keys of a source table"));
        }
        (By::Source, ..) => return Err(p.wrong("`by = source` needs `timeout`, and no keys of a cookie")),
    };
    rule.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rule)
}

fn pool<P: Port>(p: &mut P, rule: PoolRule) -> Read<PoolRule> {
    let PoolRule { idle, share, order, locations, source, per_key, in_all, overflow, requests, life } = rule;
    let (share, idle) = sharing(p, share, idle)?;
    let shared = PoolRule::shared(idle);
    Ok(PoolRule {
        idle,
        share,
        order: p.or(
            "order",
            "The idle connection that is taken: the one that was used last, or the one that has been idle for longest.",
            order,
            shared.order,
        )?,
        locations: p.or(
            "locations",
            "The path prefixes whose requests share no connection with those of other prefixes.",
            locations,
            List::Borrowed(&[]),
        )?,
        source: p.key(
            "source_mask",
            "The mask of the client's address. Clients whose masked addresses differ share no connection.",
            source,
        )?,
        per_key: p.key(
            "per_key",
            "The maximum number of idle connections to one backend. Without the key there is no limit.",
            per_key,
        )?,
        in_all: p.key(
            "in_all",
            "The maximum number of idle connections in all. Without the key there is no limit.",
            in_all,
        )?,
        overflow: p.or(
            "overflow",
            "The connection that is closed if there are too many.",
            overflow,
            shared.overflow,
        )?,
        requests: p.key(
            "requests",
            "The number of requests after which a connection closes. Without the key there is no limit.",
            requests,
        )?,
        life: p.key(
            "life",
            "The age above which a connection is not kept. Without the key, its age does not matter.",
            life,
        )?,
    })
}

/// Reads or writes which requests may take an idle connection, and how long one is kept.
fn sharing<P: Port>(p: &mut P, share: Share, idle: Duration) -> Read<(Share, Duration)> {
    let (word, slots) = match share {
        Share::Never { slots } => (ShareWord::Never, Some(slots)),
        Share::Safe => (ShareWord::Safe, None),
        Share::Aggressive => (ShareWord::Aggressive, None),
        Share::Always => (ShareWord::Always, None),
    };
    let word = p.needed("share", "The requests that may take an idle connection. With `never`, only those of the same client connection. With `safe`, all except the first request of a client connection. With `aggressive`, such a first request may also take a connection that was reused before. With `always`, all.", word)?;
    let slots = p.key(
        "slots",
        "With `never`, required: the number of idle connections that a client connection keeps.",
        slots,
    )?;
    let idle = p.key("idle", "The time after which an idle connection is closed. It is required except with `never`, where it has no effect: private connections live as long as their client.", Some(idle))?;
    let share = match (word, slots) {
        (ShareWord::Never, Some(slots)) => Share::Never { slots },
        (ShareWord::Never, None) => {
            return Err(p.wrong("`pool.slots` is missing: it is the number of connections that a client keeps"));
        }
        (_, Some(_)) => return Err(p.wrong("`pool.slots` belongs to `share = never`")),
        (ShareWord::Safe, None) => Share::Safe,
        (ShareWord::Aggressive, None) => Share::Aggressive,
        (ShareWord::Always, None) => Share::Always,
    };
    let idle = match (share, idle) {
        (_, Some(idle)) => idle,
        (Share::Never { .. }, None) => Duration::from_mins(1),
        _ => return Err(p.wrong("`pool.idle` is missing: state it, or state what is assumed and why")),
    };
    Ok((share, idle))
}

fn queue_rule<P: Port>(p: &mut P, rule: QueueRule) -> Read<QueueRule> {
    let QueueRule { length } = rule;
    Ok(QueueRule {
        length: p.needed("length", "The maximum number of requests of each service that wait at once.", length)?,
    })
}

fn header_rule<P: Port>(p: &mut P, rule: HeaderRule) -> Read<HeaderRule> {
    let HeaderRule { name, overwrite } = rule;
    Ok(HeaderRule {
        name: p.needed("name", "The name of the field.", name)?,
        overwrite: p.or(
            "overwrite",
            "Whether the balancer replaces the field that the client sent. Otherwise a client can claim another client's connection.",
            overwrite,
            true,
        )?,
    })
}

fn retry<P: Port>(p: &mut P, rule: RetryRule) -> Read<RetryRule> {
    let RetryRule { connect, lost, lost_elsewhere, carries_authenticate, pooled, unreachable, broken } = rule;
    let (word, retries) = ConnectWord::split(connect);
    let word = p.needed(
        "connect",
        "What happens if a backend cannot be reached: the client gets an error, the same backend is tried again, or another one is tried.",
        word,
    )?;
    let retries = p.key("retries", "With `same`, required: the number of further attempts.", retries)?;
    Ok(RetryRule {
        connect: word.join(retries).map_err(|wrong| p.wrong(wrong))?,
        lost: p.needed("lost", "The requests that are sent again if their connection ended without an answer: none; idempotent ones on a connection that was used before; idempotent ones; or all that the balancer still has.", lost)?,
        lost_elsewhere: p.or("lost_elsewhere", "Whether a request that lost its connection goes to another backend.", lost_elsewhere, false)?,
        carries_authenticate: p.or("carries_authenticate", "Whether a request that lost its connection is sent again even if it has NTLM or Negotiate credentials, which belong to the lost connection.", carries_authenticate, true)?,
        pooled: p.or("pooled", "Whether an attempt at another backend may take an idle connection of the pool. Otherwise it opens one.", pooled, false)?,
        unreachable: p.key("unreachable", "The status of the answer to a request whose backend cannot be reached. Without the key it is 502, or 504 after a timeout.", unreachable)?,
        broken: p.key("broken", "The status of the answer to a request whose connection ended without an answer, or with invalid data. Without the key it is 502.", broken)?,
    })
}
