//! The keys of the pin.

use http::StatusCode;
use stickler_lb_core::List;
use stickler_lb_core::policy::pin::{
    Applied, Coupling, Covers, Extent, Host, PinKey, PinRule, Schemes, Streams, Trigger,
};
use toml::de::DeValue;

use super::super::port::{Port, Read};
use super::super::value::{Value, quoted, words};

words! {
    Applied { "at-once" => Applied::AtOnce, "dedicated" => Applied::Dedicated, }
    Host { "pinned" => Host::Pinned, "repicked" => Host::Repicked, }
    Covers { "all" => Covers::All, "with-credentials" => Covers::WithCredentials, }
    PinKey { "downstream" => PinKey::Downstream, "client-address" => PinKey::Client, }
    Extent { "prefix" => Extent::Prefix, "prefix-and-space" => Extent::PrefixAndSpace, "whole" => Extent::Whole, }
    Streams { "apart" => Streams::Apart, "in-turn" => Streams::InTurn, }
}

impl Value for Trigger {
    fn kind() -> String {
        "`request`, `401-or-407`, `any-response`, or the status of an answer as a string: `401`".into()
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        Some(match value.as_str()? {
            "request" => Self::Request,
            "401-or-407" => Self::Challenge,
            "any-response" => Self::AnyResponse,
            status => Self::Response(StatusCode::from_bytes(status.as_bytes()).ok()?),
        })
    }

    fn toml(&self) -> String {
        match self {
            Self::Request => quoted("request"),
            Self::Challenge => quoted("401-or-407"),
            Self::AnyResponse => quoted("any-response"),
            Self::Response(status) => quoted(status.as_str()),
        }
    }
}

/// The default rule, which the keys of a pin change.
pub(super) const BLANK: PinRule = PinRule::ON_401;
/// The default schemes, which the keys about schemes change.
pub(super) const SCHEMES: Schemes = Schemes::HAPROXY;

pub(super) fn pin<P: Port>(p: &mut P, rule: PinRule) -> Read<PinRule> {
    let PinRule { trigger, schemes: names, applied, host, covers, key, coupling, slots, picks_anyway, streams } = rule;
    let Coupling { upstream_follows, downstream_follows, when_idle } = coupling;
    Ok(PinRule {
        trigger: p.needed("trigger", "The message that pins: a request with `Authorization`; an answer with a challenge and this status, or with any status.", trigger)?,
        schemes: schemes(p, names)?,
        applied: p.needed("applied", "The connection that is pinned: the one that carries the exchange, or a new one. A request that pins opens the new one; if an answer pins, the next request opens it.", applied)?,
        host: p.needed("host", "Whether the backend is pinned too, or is chosen anew for each request.", host)?,
        covers: p.or("covers", "The client's requests to which the pin applies: all, or only those with credentials of the pin's schemes, while the others use the pool.", covers, Covers::All)?,
        key: p.or("key", "The owner of the pinned connection: the client's connection, or the client's address and port.", key, PinKey::Downstream)?,
        coupling: Coupling {
            upstream_follows: p.needed("upstream_follows", "Whether the close of the client's connection closes the pinned connection. Otherwise the latter returns to the pool, or waits for its key.", upstream_follows)?,
            downstream_follows: p.needed("downstream_follows", "Whether the close of the pinned connection closes the client's. Otherwise the next request goes to another connection.", downstream_follows)?,
            when_idle: p.or("when_idle", "With `downstream_follows`: whether this also applies between two requests. Otherwise the client's connection closes only if the pinned one closes during a request.", when_idle, true)?,
        },
        slots: p.key("slots", "The maximum number of connections that are pinned at once. Without the key there is no limit.", slots)?,
        picks_anyway: p.or("picks_anyway", "Whether a request over a pinned connection also takes a turn in the selection.", picks_anyway, false)?,
        streams: p.or("streams", "What a request does if the pinned connection is busy with another HTTP/2 stream: it takes a further connection, or it waits its turn.", streams, Streams::Apart)?,
    })
}

pub(super) fn schemes<P: Port>(p: &mut P, schemes: Schemes) -> Read<Schemes> {
    let Schemes { names, exact_case, extent } = schemes;
    Ok(Schemes {
        names: p.needed::<List<_>>("schemes", "The schemes. A field value has to begin with one of them.", names)?,
        exact_case: p.or("exact_case", "Whether letter case matters.", exact_case, false)?,
        extent: p.or(
            "extent",
            "The part of a value that a scheme has to match: the beginning, the beginning with a space after it, or all of it.",
            extent,
            Extent::Prefix,
        )?,
    })
}
