//! The keys of health checks.

use std::time::Duration;

use stickler_lb_core::health::rule::{CheckRule, Expect, FailureTarget, PassiveRule, Probe, Statuses};
use stickler_lb_core::{List, Text};

use super::super::port::{Port, Read};
use super::super::value::words;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeWord {
    Tcp,
    Http,
    Logon,
}

words! {
    ProbeWord { "tcp" => ProbeWord::Tcp, "http" => ProbeWord::Http, "logon" => ProbeWord::Logon, }
    FailureTarget { "carrier" => FailureTarget::Carrier, "picked-last" => FailureTarget::PickedLast, }
}

/// The rule from which the keys of passive checks start.
pub(super) const BLANK: PassiveRule = PassiveRule {
    fails: 1,
    within: Duration::from_secs(10),
    out_for: Duration::from_secs(10),
    blame: FailureTarget::Carrier,
};

/// The parts of a probe, each present if its kind has it.
#[derive(Default)]
struct Parts {
    uri: Option<Text>,
    statuses: Option<List<Statuses>>,
    find: Option<Text>,
    forbidden_is_up: Option<bool>,
}

fn split(probe: Probe) -> (ProbeWord, Parts) {
    let some = |text: Text, default: &str| Some(text).filter(|text| text != default);
    match probe {
        Probe::Tcp => (ProbeWord::Tcp, Parts::default()),
        Probe::Http { uri, expect: Expect { statuses, find } } => {
            let (uri, find) = (some(uri, "/"), some(find, ""));
            (ProbeWord::Http, Parts { uri, statuses: Some(statuses), find, forbidden_is_up: None })
        }
        Probe::Logon { uri, find, forbidden_is_up } => {
            let (uri, find) = (some(uri, "/"), some(find, ""));
            (ProbeWord::Logon, Parts { uri, statuses: None, find, forbidden_is_up: Some(forbidden_is_up) })
        }
    }
}

fn join(word: ProbeWord, parts: Parts) -> Result<Probe, &'static str> {
    let Parts { uri, statuses, find, forbidden_is_up } = parts;
    match word {
        _ if statuses.is_some() != (word == ProbeWord::Http) => {
            Err("`check.statuses`, which answers are alive, belongs to `probe = http`, which needs it")
        }
        _ if forbidden_is_up.is_some() && word != ProbeWord::Logon => {
            Err("`check.forbidden_is_up` belongs to `probe = logon`")
        }
        ProbeWord::Tcp if uri.is_some() || find.is_some() => {
            Err("`check.uri` and `check.find` belong to a probe by a request")
        }
        ProbeWord::Tcp => Ok(Probe::Tcp),
        ProbeWord::Http => Ok(Probe::Http {
            uri: uri.unwrap_or_else(|| "/".into()),
            expect: Expect { statuses: statuses.unwrap_or_default(), find: find.unwrap_or_default() },
        }),
        ProbeWord::Logon => Ok(Probe::Logon {
            uri: uri.unwrap_or_else(|| "/".into()),
            find: find.unwrap_or_default(),
            forbidden_is_up: forbidden_is_up.unwrap_or(true),
        }),
    }
}

pub(super) fn check<P: Port>(p: &mut P, rule: CheckRule) -> Read<CheckRule> {
    let CheckRule { probe, interval, timeout, rise, fall, jitter, slow_start } = rule;
    let (word, parts) = split(probe);
    let word = p.needed(
        "probe",
        "Whether the port accepts a connection, what an anonymous request is answered, or whether a user can log on.",
        word,
    )?;
    let parts = Parts {
        uri: p.key("uri", "What a request asks for; without the key, `/`.", parts.uri)?,
        statuses: p.key("statuses", "With `http`, needed: the answers that count as alive.", parts.statuses)?,
        find: p.key("find", "The answer's body has to hold this, in its first 64 KiB; without the key, anything.", parts.find)?,
        forbidden_is_up: p.key("forbidden_is_up", "With `logon`: whether a user who logged on and lacks permission counts as alive; without the key, it does.", parts.forbidden_is_up)?,
    };
    let rule = CheckRule {
        probe: join(word, parts).map_err(|wrong| p.wrong(wrong))?,
        interval: p.needed("interval", "From the start of one check to the start of the next.", interval)?,
        timeout: p.needed(
            "timeout",
            "An answer that has not come by then is a failure; not longer than the interval.",
            timeout,
        )?,
        rise: p.needed("rise", "Checks in a row that must succeed before a backend is up, from 1.", rise)?,
        fall: p.needed("fall", "Checks in a row that must fail before a backend is down, from 1.", fall)?,
        jitter: p.or(
            "jitter",
            "Each interval is longer or shorter by up to this many percent of it, at most 50.",
            jitter,
            0,
        )?,
        slow_start: p.or(
            "slow_start",
            "A backend that came back gets its full share only after this time.",
            slow_start,
            Duration::ZERO,
        )?,
    };
    rule.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rule)
}

pub(super) fn passive<P: Port>(p: &mut P, rule: PassiveRule) -> Read<PassiveRule> {
    let PassiveRule { fails, within, out_for, blame } = rule;
    let fails = p.needed("fails", "This many failures ...", fails)?;
    if fails == 0 {
        return Err(p.wrong("`passive.fails` is at least 1: leave the section out instead"));
    }
    Ok(PassiveRule {
        fails,
        within: p.needed("within", "... within this time ...", within)?,
        out_for: p.needed("out_for", "... keep a backend out for this long.", out_for)?,
        blame: p.or(
            "blame",
            "Which backend a failure counts against: that which failed, or that which was chosen last for any request.",
            blame,
            FailureTarget::Carrier,
        )?,
    })
}
