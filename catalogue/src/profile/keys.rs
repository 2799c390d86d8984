//! The list of all keys of a profile: their names, their meanings, and the rules that they set. This list alone is used
//! to read profiles, to write mechanisms, and to describe the schema. Each rule is taken apart and assembled field by
//! field, so that a field without a key does not compile.

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

/// Returns a mechanism at this layer that does as little as possible, from which the keys of a profile start.
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
                "How a connection is carried to its backend.",
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
                "The balancer authenticates clients itself, and names the user to the backends in this request field.",
                ends_authentication,
            )?;
            read.pipelining = p.or("pipelining", "A request that comes before the answer to the one before it waits, or, a defect, overtakes it on another connection.", pipelining, Pipelining::InOrder)?;
            read.tls_drifts = p.or(
                "tls_drifts",
                "A defect: connections that are dedicated to a client have lost the authority that they should trust.",
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
        "Active health checks. Without the section there are none.",
        checks,
        CheckRule::TCP,
        health::check,
    )?;
    read.passive = p.section(
        "passive",
        "What is made of failures on live traffic. Without the section, nothing.",
        passive,
        health::BLANK,
        health::passive,
    )?;
    Ok(read)
}

/// Refuses sections that would have no effect.
fn refuse_unused<P: Port>(p: &P, hops: Hops, rules: &Rules) -> Read<()> {
    if hops.tunnels && (rules.pool.is_some() || rules.pin.is_some()) {
        let message = "a tunnel from the first request leaves nothing to pool or to pin: leave these sections out";
        return Err(p.wrong(message));
    }
    Ok(())
}

const FAILS_OPEN: &str = "Whether every backend is taken for up while all are down.";
const SELECT: &str = "How a backend is chosen for what no affinity decides. The section is needed.";
const PERSIST: &str = "What brings a client back to its backend, on any connection. Without the section, nothing does.";

fn flows<P: Port>(p: &mut P, rules: FlowRules) -> Read<FlowRules> {
    let FlowRules { select, source, on_down, fails_open, none_left, workers } = rules;
    let on_down = connections::flows_on_down(p, on_down)?;
    let none_left = connections::flows_none_left(p, none_left)?;
    let fails_open = p.or("fails_open", FAILS_OPEN, fails_open, false)?;
    let select = p.needed_section("select", SELECT, select, |p, rule| selection(p, rule, Layer::L4))?;
    let rule =
        p.section("persist", PERSIST, source.map(PersistRule::Source), SOURCE, |p, rule| match persist(p, rule)? {
            PersistRule::Cookie(_) => Err(p.wrong("a cookie is not seen at L4: use `source`")),
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
        prefer_last: p.or("prefer_last", "When a client connection's requests stay with the backend of the one before. A hash is never overridden.", prefer_last, PreferLast::Never)?,
        own_idle: p.key("own_idle", "A connection that is a client's own, private or pinned, closes after this time without a request; without the key, it lives as long as its client.", own_idle)?,
        services: p.or("services", "Path prefixes, each a service of its own, among which the farm is dealt out in turn.", services, List::Borrowed(&[]))?,
        forwarded_for: p.or("forwarded_for", "Whether the client's address is added to `X-Forwarded-For`.", forwarded_for, false)?,
        scrub: p.key("scrub", "This field is taken out of requests.", scrub)?,
        credentials: connections::credentials(p, credentials)?,
        client_requests: p.key("client_requests", "Most requests on a client's connection, whose last answer closes it: with 1, each answer does; without the key, any number.", client_requests)?,
        on_down: connections::on_down(p, on_down)?,
        drain_moves: p.or("drain_moves", "Whether clients that are pinned to a backend go to another one, with their next requests, when it is drained.", drain_moves, false)?,
        none_left: connections::none_left(p, none_left)?,
        fails_open: p.or("fails_open", FAILS_OPEN, fails_open, false)?,
        select: p.needed_section("select", SELECT, select, |p, rule| selection(p, rule, Layer::L7))?,
        queue: p.section("queue", "Requests wait while every backend is full. Without the section they are answered 503.", queue, QueueRule { length: 1 }, queue_rule)?,
        persist: p.section("persist", PERSIST, persistence, SOURCE, persist)?,
        pool: p.section("pool", "Idle upstream connections are kept. Without the section, one that is not pinned carries one request.", pooling, PoolRule::shared(Duration::from_mins(1)), pool)?,
        pin: p.section("pin", "Some messages pin an upstream connection to the client's. Without the section, nothing does.", pinning, pin::BLANK, pin::pin)?,
        strip: p.section("strip", "Challenges of these schemes are taken out of answers. They still pin.", strip, pin::SCHEMES, pin::schemes)?,
        client_id: p.section("client_id", "Tells the backend which client connection a request came by, as address and port.", client_id, HeaderRule { name: "X-Client".into(), overwrite: true }, header_rule)?,
        retry: p.needed_section("retry", "Which failures are hidden from the client by another attempt. The section is needed.", trying, retry)?,
        workers: connections::worker_section(p, workers)?,
        defects: p.section("defects", "Mistakes of products that no rule expresses. Without the section there are none.", Some(flags).filter(|flags| *flags != Defects::NONE), Defects::NONE, defects::defects)?.unwrap_or_default(),
    };
    rules.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rules)
}

fn selection<P: Port>(p: &mut P, rule: SelectRule, layer: Layer) -> Read<SelectRule> {
    let SelectRule { algorithm, weights, max_connections, bound_take_turns } = rule;
    let (word, draws, key) = split_algorithm(algorithm);
    let (key, mask, header) = hashed(key);
    let word = p.needed("algorithm", "In turn; in turn by weight, and smoothly; at random by weight; where the fewest connections are in use; or by a hash. When a backend goes, a plain hash moves most keys, and a consistent one that backend's alone.", word)?;
    let draws = p.key(
        "draws",
        "With `random`: so many backends are drawn, and the one with the least load serves; without the key, one.",
        draws,
    )?;
    let key =
        p.key("key", "With a hash: what is hashed. The 5-tuple is known at L4 alone, URI and header at L7.", key)?;
    let mask = p.key(
        "mask",
        "With the key `source`: how much of the client's address counts; without the key, all of it.",
        mask,
    )?;
    let header =
        p.key("header", "With the key `header`: the field's name. A request without it takes its turn.", header)?;
    let weights = p.or(
        "weights",
        "By backend, 0 to 256, repeated over the farm; 0: never chosen.",
        weights,
        List::Borrowed(&[]),
    )?;
    let max_connections = p.key(
        "max_connections",
        "Most connections in use on a backend at once; a full one is passed over.",
        max_connections,
    )?;
    let bound_take_turns = p.or("bound_take_turns", "Whether a request, or at L4 a connection, that affinity has sent to its backend counts as a turn all the same.", bound_take_turns, false)?;
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
    let by = p.needed("by", "By the client's address, in a table, or by a cookie that the balancer inserts.", by)?;
    let timeout =
        p.key("timeout", "With `source`, needed: an entry that is not used for this time is forgotten.", timeout)?;
    let entries = p.key("entries", "With `source`: most entries of the table; without the key, 100000.", entries)?;
    let mask =
        p.key("mask", "With `source`: how much of the client's address counts; without the key, all of it.", mask)?;
    let name = p.key("cookie", "With `cookie`, needed: its name.", name)?;
    let on_401 = p.key("on_401", "With `cookie`: whether a 401 sets it too; without the key, it does.", on_401)?;
    let life = p.key(
        "life",
        "With `cookie`: it counts for this long after it was set; without the key, as long as the balancer runs.",
        life,
    )?;
    let indirect = p.key(
        "indirect",
        "With `cookie`: whether it is taken out of a request before a backend sees it; without the key, it is not.",
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
            return Err(p.wrong("a cookie needs `cookie`, its name, and nothing of a source table"));
        }
        (By::Source, ..) => return Err(p.wrong("a source table needs `timeout`, and nothing of a cookie")),
    };
    rule.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rule)
}

fn pool<P: Port>(p: &mut P, rule: PoolRule) -> Read<PoolRule> {
    let PoolRule { idle, share, order, locations, source, per_key, in_all, overflow, requests, life } = rule;
    let (word, slots) = match share {
        Share::Never { slots } => (ShareWord::Never, Some(slots)),
        Share::Safe => (ShareWord::Safe, None),
        Share::Aggressive => (ShareWord::Aggressive, None),
        Share::Always => (ShareWord::Always, None),
    };
    let word = p.needed("share", "Who may take an idle connection: nobody else; anybody, except with a client connection's first request; the same, but a first request may take one that was reused before; anybody.", word)?;
    let slots = p.key("slots", "With `never`, needed: how many idle ones a client connection keeps.", slots)?;
    let idle = p.key("idle", "An idle connection is closed after this time. Needed, except with `never`, where it has no effect: private connections live as long as their client.", Some(idle))?;
    let share = match (word, slots) {
        (ShareWord::Never, Some(slots)) => Share::Never { slots },
        (ShareWord::Never, None) => {
            return Err(p.wrong("`pool.slots` is missing: how many connections a client keeps"));
        }
        (_, Some(_)) => return Err(p.wrong("`pool.slots` belongs to `share = never`")),
        (ShareWord::Safe, None) => Share::Safe,
        (ShareWord::Aggressive, None) => Share::Aggressive,
        (ShareWord::Always, None) => Share::Always,
    };
    let idle = match (share, idle) {
        (_, Some(idle)) => idle,
        (Share::Never { .. }, None) => Duration::from_mins(1),
        _ => return Err(p.wrong("`pool.idle` is missing: say it, or what is assumed and why")),
    };
    let shared = PoolRule::shared(idle);
    Ok(PoolRule {
        idle,
        share,
        order: p.or("order", "Which one is taken: that used last, or that idle for longest.", order, shared.order)?,
        locations: p.or(
            "locations",
            "Path prefixes; requests of different ones share no connection.",
            locations,
            List::Borrowed(&[]),
        )?,
        source: p.key("source_mask", "Clients whose addresses differ under it share no connection.", source)?,
        per_key: p.key("per_key", "Most idle connections to one backend; without the key, any number.", per_key)?,
        in_all: p.key("in_all", "Most idle connections in all; without the key, any number.", in_all)?,
        overflow: p.or("overflow", "What goes when there are too many.", overflow, shared.overflow)?,
        requests: p.key(
            "requests",
            "A connection closes after so many requests; without the key, after none.",
            requests,
        )?,
        life: p.key(
            "life",
            "A connection that is older is not kept; without the key, its age does not matter.",
            life,
        )?,
    })
}

fn queue_rule<P: Port>(p: &mut P, rule: QueueRule) -> Read<QueueRule> {
    let QueueRule { length } = rule;
    Ok(QueueRule { length: p.needed("length", "Most requests that wait at once, of each service.", length)? })
}

fn header_rule<P: Port>(p: &mut P, rule: HeaderRule) -> Read<HeaderRule> {
    let HeaderRule { name, overwrite } = rule;
    Ok(HeaderRule {
        name: p.needed("name", "The field's name.", name)?,
        overwrite: p.or(
            "overwrite",
            "Whether it replaces what the client sent. If not, a client can claim another's connection.",
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
        "A backend that cannot be reached: the client is told, the same one is tried again, or another.",
        word,
    )?;
    let retries = p.key("retries", "With `same`, needed: how often.", retries)?;
    Ok(RetryRule {
        connect: word.join(retries).map_err(|wrong| p.wrong(wrong))?,
        lost: p.needed("lost", "Which requests are sent again when their connection ended without an answer: none; idempotent ones on a connection that was used before; idempotent ones; all that are still at hand.", lost)?,
        lost_elsewhere: p.or("lost_elsewhere", "Whether a lost one goes to another backend.", lost_elsewhere, false)?,
        carries_authenticate: p.or("carries_authenticate", "Whether a lost one is sent again even if it has NTLM or Negotiate credentials, which belong to the connection that is gone.", carries_authenticate, true)?,
        pooled: p.or("pooled", "Whether an attempt at another backend may take an idle connection of the pool. If not, it opens one.", pooled, false)?,
        unreachable: p.key("unreachable", "What a request is told whose backend cannot be reached; without the key, 502, or 504 where it took too long.", unreachable)?,
        broken: p.key("broken", "What a request is told whose connection ended without an answer, or with something that is none; without the key, 502.", broken)?,
    })
}
