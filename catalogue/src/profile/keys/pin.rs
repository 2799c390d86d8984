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

/// The rule from which the keys of a pin start.
pub(super) const BLANK: PinRule = PinRule::ON_401;
/// The schemes from which the keys of schemes start.
pub(super) const SCHEMES: Schemes = Schemes::HAPROXY;

pub(super) fn pin<P: Port>(p: &mut P, rule: PinRule) -> Read<PinRule> {
    let PinRule { trigger, schemes: names, applied, host, covers, key, coupling, slots, picks_anyway, streams } = rule;
    let Coupling { upstream_follows, downstream_follows, when_idle } = coupling;
    Ok(PinRule {
        trigger: p.needed("trigger", "Which message pins: a request with `Authorization`, or an answer with a challenge and this status, or with any.", trigger)?,
        schemes: schemes(p, names)?,
        applied: p.needed("applied", "Which connection is pinned: the one that carries the exchange, or a new one, which the request that triggers opens, or the next after an answer that does.", applied)?,
        host: p.needed("host", "Whether the backend is pinned too, or chosen anew for each request.", host)?,
        covers: p.or("covers", "Which of the client's requests the pin is for: all, or those with credentials of its schemes alone, while the others use the pool.", covers, Covers::All)?,
        key: p.or("key", "Whose the pinned connection is: the client's connection's, or its address and port's.", key, PinKey::Downstream)?,
        coupling: Coupling {
            upstream_follows: p.needed("upstream_follows", "Whether the client's close closes the pinned connection. If not, it goes back to the pool, or waits for its key.", upstream_follows)?,
            downstream_follows: p.needed("downstream_follows", "Whether the pinned connection's close closes the client's. If not, the next request goes elsewhere.", downstream_follows)?,
            when_idle: p.or("when_idle", "With `downstream_follows`: whether that holds between two requests, too. If not, only what ends with a request on it closes the client's connection.", when_idle, true)?,
        },
        slots: p.key("slots", "Most connections that are pinned at once; without the key, any number.", slots)?,
        picks_anyway: p.or("picks_anyway", "Whether a request over a pinned connection takes a turn in the selection all the same.", picks_anyway, false)?,
        streams: p.or("streams", "What a request does that finds the pinned connection busy with another stream of HTTP/2: takes a further connection, or its turn.", streams, Streams::Apart)?,
    })
}

pub(super) fn schemes<P: Port>(p: &mut P, schemes: Schemes) -> Read<Schemes> {
    let Schemes { names, exact_case, extent } = schemes;
    Ok(Schemes {
        names: p.needed::<List<_>>("schemes", "One of these is what a value begins with.", names)?,
        exact_case: p.or("exact_case", "Whether case counts.", exact_case, false)?,
        extent: p.or(
            "extent",
            "How much of a value they have to be: its beginning, the same with a space after it, or all of it.",
            extent,
            Extent::Prefix,
        )?,
    })
}
