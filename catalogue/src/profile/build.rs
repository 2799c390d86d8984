//! From a file's values to rules.

use std::ops::Range;
use std::time::Duration;

use stickler_lb_core::health::rule::{CheckRule, Expect, FailureTarget, PassiveRule, Probe};
use stickler_lb_core::policy::composed::{Connect, Lost, PreferLast, RetryRule, Rules};
use stickler_lb_core::policy::per_connection::FlowRules;
use stickler_lb_core::policy::persist::{CookieRule, Mask, PersistRule, SourceRule};
use stickler_lb_core::policy::pin::{Applied, Coupling, Extent, Host, PinKey, PinRule, Schemes, Streams, Trigger};
use stickler_lb_core::policy::pool::{Order, Overflow, PoolRule, Share};
use stickler_lb_core::policy::select::{Algorithm, HashKey, SelectRule, Selection};
use stickler_lb_core::{Layer, List, ProxyProtocol, Text};
use toml::Spanned;

use super::read::{ProfileError, Reader};
use super::{Profile, schema, summary};
use crate::{Carriage, Mechanism, mechanisms};

type Read<T> = Result<T, ProfileError>;
type Span = Range<usize>;

/// All profiles of a file.
pub(super) fn file(text: &str, path: &str) -> Read<Vec<Profile>> {
    let file: schema::File = toml::from_str(text)
        .map_err(|error| ProfileError::at(path, text, &error.span().unwrap_or_default(), error.message().to_owned()))?;
    let mut profiles: Vec<Profile> = Vec::new();
    for raw in file.profile {
        let (name, span) = (raw.get_ref().name.get_ref().clone(), raw.get_ref().name.span());
        let mut reader = Reader::new(text, path);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(reader.wrong(&span, "a profile's name is 1 to 64 lower-case letters, digits, `-` or `.`"));
        }
        let taken = profiles.iter().any(|other| other.name == name) || mechanisms().iter().any(|it| it.name == name);
        if taken {
            return Err(reader.wrong(&span, format!("there is another profile or mechanism called `{name}`")));
        }
        profiles.push(profile(&mut reader, raw)?);
    }
    Ok(profiles)
}

fn profile(reader: &mut Reader<'_>, raw: Spanned<schema::Raw>) -> Read<Profile> {
    let (whole, mut raw) = (raw.span(), raw.into_inner());
    let layer = reader.choose("layer", &raw.layer, &[("L4", Layer::L4), ("L7", Layer::L7)])?;
    let Some(section) = raw.select.take() else {
        return Err(
            reader.wrong(&whole, "`select` is missing: say how a backend is chosen, or what is assumed and why")
        );
    };
    let select_span = section.span();
    let select = select(reader, section)?;
    // Sound for any farm: weights are a pattern that is repeated.
    let fits = Selection::new(&select, select.weights.len().max(2), layer, stickler_model::Entropy::new(0, "profile"));
    fits.map_err(|error| reader.wrong(&select_span, error.to_string()))?;
    let check = raw.check.take().map(|section| check(reader, section)).transpose()?;
    let passive = raw.passive.take().map(|section| passive(reader, section)).transpose()?;
    let name = raw.name.get_ref().clone();
    let summary = summary(&raw.product, &raw.versions, &raw.config);
    let mut mechanism = match layer {
        Layer::L4 => {
            let carriage = carriage(reader, &mut raw)?;
            Mechanism { carriage, ..Mechanism::l4_by(name.clone(), summary, flow_rules(reader, select, &mut raw)?) }
        }
        Layer::L7 => {
            if let Some(carriage) = &raw.carriage {
                return Err(reader.wrong(&carriage.span(), "`carriage` belongs to L4: at L7 there are two connections"));
            }
            Mechanism::l7_by(name.clone(), summary, rules(reader, select, &mut raw, &whole)?)
        }
    };
    (mechanism.checks, mechanism.passive) = (check, passive);
    let schema::Raw { group, product, versions, config, notes, .. } = raw;
    let facts = std::mem::take(&mut reader.facts);
    Ok(Profile { name, group, product, versions, config, notes, facts, mechanism })
}

fn carriage(reader: &mut Reader<'_>, raw: &mut schema::Raw) -> Read<Carriage> {
    let splice = |proxy_protocol| Carriage::Splice { proxy_protocol };
    let words = [
        ("source-nat", Carriage::SourceNat),
        ("destination-nat", Carriage::DestinationNat),
        ("direct-return", Carriage::DirectReturn),
        ("splice", splice(None)),
        ("splice-proxy-v1", splice(Some(ProxyProtocol::V1))),
        ("splice-proxy-v2", splice(Some(ProxyProtocol::V2))),
    ];
    Ok(reader.word("carriage", raw.carriage.take(), &words)?.unwrap_or_default())
}

fn flow_rules(reader: &mut Reader<'_>, select: SelectRule, raw: &mut schema::Raw) -> Read<FlowRules> {
    let l7_only = [
        (raw.pool.as_ref().map(Spanned::span), "pool"),
        (raw.pin.as_ref().map(Spanned::span), "pin"),
        (raw.retry.as_ref().map(Spanned::span), "retry"),
        (raw.prefer_last.as_ref().map(Spanned::span), "prefer_last"),
        (raw.strip.as_ref().map(Spanned::span), "strip"),
    ];
    if let Some((span, what)) = l7_only.into_iter().find_map(|(span, what)| Some((span?, what))) {
        return Err(reader.wrong(&span, format!("`{what}` belongs to L7: at L4 a connection stays where it is")));
    }
    let span = raw.persist.as_ref().map(Spanned::span);
    let source = match raw.persist.take().map(|section| persist(reader, section)).transpose()? {
        None => None,
        Some(PersistRule::Source(source)) => Some(source),
        Some(PersistRule::Cookie(_)) => {
            return Err(reader.wrong(&span.unwrap_or_default(), "a cookie is not seen at L4: use `source`"));
        }
    };
    let close_on_down = reader.plain("close_on_down", raw.close_on_down.take())?.unwrap_or(false);
    let fails_open = reader.plain("fails_open", raw.fails_open.take())?.unwrap_or(false);
    Ok(FlowRules { select, source, close_on_down, fails_open })
}

fn rules(reader: &mut Reader<'_>, select: SelectRule, raw: &mut schema::Raw, whole: &Span) -> Read<Rules> {
    let persist = raw.persist.take().map(|section| persist(reader, section)).transpose()?;
    let last =
        [("never", PreferLast::Never), ("after-challenge", PreferLast::AfterChallenge), ("always", PreferLast::Always)];
    let prefer_last = reader.word("prefer_last", raw.prefer_last.take(), &last)?.unwrap_or(PreferLast::Never);
    let pool = raw.pool.take().map(|section| pool(reader, section)).transpose()?;
    let pin = raw.pin.take().map(|section| pin(reader, section)).transpose()?;
    let (pin, own_idle) = pin.map_or((None, None), |(pin, idle)| (Some(pin), idle));
    let Some(section) = raw.retry.take() else {
        return Err(reader.wrong(whole, "`retry` is missing: say what is tried again, or what is assumed and why"));
    };
    let retry = retry(reader, section)?;
    let strip =
        reader.plain("strip", raw.strip.take())?.map(|names| Schemes { names: list(names), ..Schemes::HAPROXY });
    let close_on_down = reader.plain("close_on_down", raw.close_on_down.take())?.unwrap_or(false);
    let fails_open = reader.plain("fails_open", raw.fails_open.take())?.unwrap_or(false);
    let rules = Rules {
        select,
        persist,
        prefer_last,
        pool,
        pin,
        own_idle,
        strip,
        retry,
        close_on_down,
        fails_open,
        ..Rules::PLAIN
    };
    rules.check().map_err(|error| reader.wrong(whole, error.to_string()))?;
    Ok(rules)
}

fn select(reader: &mut Reader<'_>, section: Spanned<schema::Select>) -> Read<SelectRule> {
    let (span, section) = (section.span(), section.into_inner());
    let words = [
        ("round-robin", Algorithm::RoundRobin),
        ("weighted-round-robin", Algorithm::WeightedRoundRobin),
        ("random", Algorithm::Random { draws: 1 }),
        ("random-2", Algorithm::Random { draws: 2 }),
        ("least-connections", Algorithm::LeastConnections),
        ("source-hash", Algorithm::Hash(HashKey::Source)),
        ("consistent-source-hash", Algorithm::ConsistentHash(HashKey::Source)),
        ("uri-hash", Algorithm::Hash(HashKey::Uri { query: false })),
        ("5-tuple-hash", Algorithm::Hash(HashKey::FiveTuple)),
    ];
    let algorithm = reader.needed_word("select.algorithm", section.algorithm, &span, &words)?;
    let weights = reader.plain("select.weights", section.weights)?.unwrap_or_default();
    let max_connections = reader.plain("select.max_connections", section.max_connections)?;
    Ok(SelectRule { weights: weights.into(), max_connections, ..SelectRule::new(algorithm) })
}

fn persist(reader: &mut Reader<'_>, section: Spanned<schema::Persist>) -> Read<PersistRule> {
    let (span, section) = (section.span(), section.into_inner());
    let by_cookie = reader.needed_word("persist.by", section.by, &span, &[("source", false), ("cookie", true)])?;
    let timeout = reader.time("persist.timeout", section.timeout)?;
    let entries = reader.plain("persist.entries", section.entries)?;
    let v4 = reader.plain("persist.mask", section.mask)?;
    let name = reader.maybe("persist.cookie", section.cookie)?;
    let on_401 = reader.plain("persist.on_401", section.on_401)?;
    let life = reader.time("persist.life", section.life)?;
    let indirect = reader.plain("persist.indirect", section.indirect)?;
    let cookies = name.is_some() || on_401.is_some() || life.is_some() || indirect.is_some();
    let sources = timeout.is_some() || entries.is_some() || v4.is_some();
    let rule = match (by_cookie, name, timeout) {
        (true, Some(name), _) if !sources => PersistRule::Cookie(CookieRule {
            name: name.into_inner().into(),
            on_401: on_401.unwrap_or(true),
            life,
            indirect: indirect.unwrap_or(false),
        }),
        (false, _, Some(timeout)) if !cookies => {
            let mask = v4.map_or(Mask::HOST, |v4| Mask { v4, ..Mask::HOST });
            PersistRule::Source(SourceRule { timeout, entries: entries.unwrap_or(100_000) as usize, mask })
        }
        (true, ..) => {
            return Err(reader.wrong(&span, "a cookie needs `cookie`, its name, and nothing of a source table"));
        }
        (false, ..) => return Err(reader.wrong(&span, "a source table needs `timeout`, and nothing of a cookie")),
    };
    rule.check().map_err(|error| reader.wrong(&span, error.to_string()))?;
    Ok(rule)
}

fn pool(reader: &mut Reader<'_>, section: Spanned<schema::Pool>) -> Read<PoolRule> {
    let (span, section) = (section.span(), section.into_inner());
    let never = Share::Never { slots: 1 };
    let words = [("never", never), ("safe", Share::Safe), ("aggressive", Share::Aggressive), ("always", Share::Always)];
    let share = reader.needed_word("pool.share", section.share, &span, &words)?;
    let share = match (share, reader.plain("pool.slots", section.slots)?) {
        (Share::Never { .. }, Some(slots)) => Share::Never { slots },
        (Share::Never { .. }, None) => {
            return Err(reader.wrong(&span, "`pool.slots` is missing: how many connections a client keeps"));
        }
        (_, Some(_)) => return Err(reader.wrong(&span, "`pool.slots` belongs to `share = never`")),
        (share, None) => share,
    };
    let idle = reader.time("pool.idle", section.idle)?;
    let idle = match (share, idle) {
        (_, Some(idle)) => idle,
        // Private connections live as long as their client.
        (Share::Never { .. }, None) => Duration::from_mins(1),
        _ => return Err(reader.wrong(&span, "`pool.idle` is missing: say it, or what is assumed and why")),
    };
    let shared = PoolRule::shared(idle);
    let order = reader.word("pool.order", section.order, &[("lifo", Order::Lifo), ("fifo", Order::Fifo)])?;
    let overflows = [("close-oldest", Overflow::CloseOldest), ("close-new", Overflow::CloseNew)];
    let source = reader.plain("pool.source_mask", section.source_mask)?;
    Ok(PoolRule {
        share,
        order: order.unwrap_or(shared.order),
        per_key: reader.plain("pool.per_key", section.per_key)?,
        in_all: reader.plain("pool.in_all", section.in_all)?,
        overflow: reader.word("pool.overflow", section.overflow, &overflows)?.unwrap_or(shared.overflow),
        requests: reader.plain("pool.requests", section.requests)?,
        life: reader.time("pool.life", section.life)?,
        source: source.map(|v4| Mask { v4, ..Mask::HOST }),
        ..shared
    })
}

/// The pin, and its idle limit.
fn pin(reader: &mut Reader<'_>, section: Spanned<schema::Pin>) -> Read<(PinRule, Option<Duration>)> {
    let (span, section) = (section.span(), section.into_inner());
    let triggers = [
        ("request", Trigger::Request),
        ("401", Trigger::Response(http::StatusCode::UNAUTHORIZED)),
        ("401-or-407", Trigger::Challenge),
        ("any-response", Trigger::AnyResponse),
    ];
    let extents = [("prefix", Extent::Prefix), ("prefix-and-space", Extent::PrefixAndSpace), ("whole", Extent::Whole)];
    let trigger = reader.needed_word("pin.trigger", section.trigger, &span, &triggers)?;
    let names = reader.needed("pin.schemes", section.schemes, &span)?.into_inner();
    let schemes = Schemes {
        names: list(names),
        exact_case: reader.plain("pin.exact_case", section.exact_case)?.unwrap_or(false),
        extent: reader.word("pin.extent", section.extent, &extents)?.unwrap_or(Extent::Prefix),
    };
    let applied = [("at-once", Applied::AtOnce), ("dedicated", Applied::Dedicated)];
    let hosts = [("pinned", Host::Pinned), ("repicked", Host::Repicked)];
    let keys = [("downstream", PinKey::Downstream), ("client-address", PinKey::Client)];
    let rule = PinRule {
        trigger,
        schemes,
        applied: reader.needed_word("pin.applied", section.applied, &span, &applied)?,
        host: reader.needed_word("pin.host", section.host, &span, &hosts)?,
        key: reader.word("pin.key", section.key, &keys)?.unwrap_or(PinKey::Downstream),
        coupling: Coupling {
            upstream_follows: reader.needed("pin.upstream_follows", section.upstream_follows, &span)?.into_inner(),
            downstream_follows: reader
                .needed("pin.downstream_follows", section.downstream_follows, &span)?
                .into_inner(),
        },
        slots: reader.plain("pin.slots", section.slots)?,
        picks_anyway: reader.plain("pin.picks_anyway", section.picks_anyway)?.unwrap_or(false),
        streams: Streams::Apart,
    };
    Ok((rule, reader.time("pin.idle", section.idle)?))
}

fn retry(reader: &mut Reader<'_>, section: Spanned<schema::Retry>) -> Read<RetryRule> {
    let (span, section) = (section.span(), section.into_inner());
    let same = Connect::Same { retries: 1 };
    let words = [("fail", Connect::Fail), ("same", same), ("other", Connect::Other)];
    let connect = reader.needed_word("retry.connect", section.connect, &span, &words)?;
    let connect = match (connect, reader.plain("retry.retries", section.retries)?) {
        (Connect::Same { .. }, Some(retries)) => Connect::Same { retries },
        (Connect::Same { .. }, None) => return Err(reader.wrong(&span, "`retry.retries` is missing: how often")),
        (_, Some(_)) => return Err(reader.wrong(&span, "`retry.retries` belongs to `connect = same`")),
        (connect, None) => connect,
    };
    let words =
        [("never", Lost::Never), ("idle-race", Lost::IdleRace), ("idempotent", Lost::Idempotent), ("any", Lost::Any)];
    Ok(RetryRule {
        connect,
        lost: reader.needed_word("retry.lost", section.lost, &span, &words)?,
        lost_elsewhere: reader.plain("retry.lost_elsewhere", section.lost_elsewhere)?.unwrap_or(false),
        carries_authenticate: reader.plain("retry.carries_authenticate", section.carries_authenticate)?.unwrap_or(true),
    })
}

fn check(reader: &mut Reader<'_>, section: Spanned<schema::Check>) -> Read<CheckRule> {
    let (span, section) = (section.span(), section.into_inner());
    let words = [("tcp", None), ("http", Some(Expect::Alive)), ("http-2xx", Some(Expect::Success))];
    let expect = reader.needed_word("check.probe", section.probe, &span, &words)?;
    let uri = reader.maybe("check.uri", section.uri)?;
    let uri: Text = uri.map_or_else(|| "/".into(), |uri| uri.into_inner().into());
    let missing = |what: &str| format!("`check.{what}` is missing: say it, or what is assumed and why");
    let interval = reader.time("check.interval", section.interval)?;
    let timeout = reader.time("check.timeout", section.timeout)?;
    let rule = CheckRule {
        probe: expect.map_or(Probe::Tcp, |expect| Probe::Http { uri: uri.clone(), expect }),
        interval: interval.ok_or_else(|| reader.wrong(&span, missing("interval")))?,
        timeout: timeout.ok_or_else(|| reader.wrong(&span, missing("timeout")))?,
        rise: reader.needed("check.rise", section.rise, &span)?.into_inner(),
        fall: reader.needed("check.fall", section.fall, &span)?.into_inner(),
        ..CheckRule::TCP
    };
    if rule.rise == 0 || rule.fall == 0 {
        return Err(reader.wrong(&span, "`check.rise` and `check.fall` are at least 1"));
    }
    if rule.timeout > rule.interval {
        return Err(reader.wrong(&span, "`check.timeout` is longer than `check.interval`: checks do not overlap"));
    }
    if !uri.starts_with('/') || uri.parse::<http::Uri>().is_err() {
        return Err(reader.wrong(&span, "`check.uri` is no path: it starts with `/`, and has no spaces"));
    }
    Ok(rule)
}

fn passive(reader: &mut Reader<'_>, section: Spanned<schema::Passive>) -> Read<PassiveRule> {
    let (span, section) = (section.span(), section.into_inner());
    let missing = |what: &str| format!("`passive.{what}` is missing: say it, or what is assumed and why");
    let fails = reader.needed("passive.fails", section.fails, &span)?;
    let within = reader.time("passive.within", section.within)?;
    let out_for = reader.time("passive.out_for", section.out_for)?;
    let blames = [("carrier", FailureTarget::Carrier), ("picked-last", FailureTarget::PickedLast)];
    let blame = reader.word("passive.blame", section.blame, &blames)?.unwrap_or_default();
    if *fails.get_ref() == 0 {
        return Err(reader.wrong(&fails.span(), "`passive.fails` is at least 1: leave the section out instead"));
    }
    Ok(PassiveRule {
        fails: fails.into_inner(),
        within: within.ok_or_else(|| reader.wrong(&span, missing("within")))?,
        out_for: out_for.ok_or_else(|| reader.wrong(&span, missing("out_for")))?,
        blame,
    })
}

fn list(names: Vec<String>) -> List<Text> {
    names.into_iter().map(Text::Owned).collect()
}
