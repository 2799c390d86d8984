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

/// The default rule, which the keys of passive checks change.
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
            Err("`check.statuses` belongs to `probe = http`, which requires it")
        }
        _ if forbidden_is_up.is_some() && word != ProbeWord::Logon => {
            Err("`check.forbidden_is_up` belongs to `probe = logon`")
        }
        ProbeWord::Tcp if uri.is_some() || find.is_some() => {
            Err("`check.uri` and `check.find` belong to a probe that sends a request")
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
    let CheckRule { probe, interval, after_end, timeout, rise, fall, jitter, slow_start } = rule;
    let (word, parts) = split(probe);
    let word = p.needed(
        "probe",
        "The kind of check: whether the port accepts a connection, what an anonymous request is answered, or whether a user can log on.",
        word,
    )?;
    let parts = Parts {
        uri: p.key("uri", "The URI of the request. Without the key it is `/`.", parts.uri)?,
        statuses: p.key("statuses", "With `http`, required: the statuses of a backend that counts as alive.", parts.statuses)?,
        find: p.key("find", "The text that the first 64 KiB of the answer's body have to contain. Without the key, the body does not matter.", parts.find)?,
        forbidden_is_up: p.key("forbidden_is_up", "With `logon`: whether a backend counts as alive if the user logged on but lacks permission. Without the key, it does.", parts.forbidden_is_up)?,
    };
    let rule = CheckRule {
        probe: join(word, parts).map_err(|wrong| p.wrong(wrong))?,
        interval: p.needed("interval", "The time from the start of one check to the start of the next.", interval)?,
        after_end: p.or(
            "after_end",
            "Whether the interval counts from the end of a check instead, so that a check without an answer delays the next one.",
            after_end,
            false,
        )?,
        timeout: p.needed(
            "timeout",
            "The time after which a check without an answer has failed. It may not exceed the interval.",
            timeout,
        )?,
        rise: p.needed(
            "rise",
            "The number of consecutive successful checks after which a backend is up, at least 1.",
            rise,
        )?,
        fall: p.needed(
            "fall",
            "The number of consecutive failed checks after which a backend is down, at least 1.",
            fall,
        )?,
        jitter: p.or(
            "jitter",
            "The maximum random deviation of each interval, in percent of it, at most 50.",
            jitter,
            0,
        )?,
        slow_start: p.or(
            "slow_start",
            "The time after which a backend that came back gets its full share.",
            slow_start,
            Duration::ZERO,
        )?,
    };
    rule.check().map_err(|error| p.wrong(&error.to_string()))?;
    Ok(rule)
}

pub(super) fn passive<P: Port>(p: &mut P, rule: PassiveRule) -> Read<PassiveRule> {
    let PassiveRule { fails, within, out_for, blame } = rule;
    let fails = p.needed("fails", "The number of failures after which a backend is taken out.", fails)?;
    if fails == 0 {
        return Err(p.wrong("`passive.fails` is at least 1: to switch the checks off, remove the section"));
    }
    Ok(PassiveRule {
        fails,
        within: p.needed("within", "The time within which these failures have to occur.", within)?,
        out_for: p.needed("out_for", "The time for which the backend is taken out.", out_for)?,
        blame: p.or(
            "blame",
            "The backend to which a failure is attributed: the one that failed, or the one that was chosen last for any request.",
            blame,
            FailureTarget::Carrier,
        )?,
    })
}
