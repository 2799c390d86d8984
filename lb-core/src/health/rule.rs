//! The parameters of health checks: what a check asks, how often it asks, and which answers count as alive.

use std::time::Duration;

use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use stickler_model::trace;

use crate::{List, Text};

/// The parameters of active health checks, the same for every backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRule {
    /// The kind of check.
    pub probe: Probe,
    /// The time to the start of the next check, from the start of a check or from its end ([`CheckRule::after_end`]).
    pub interval: Duration,
    /// Whether the interval counts from the end of a check (HAProxy, `src/check.c`). A check without an answer then
    /// delays the next one by its time limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_end: bool,
    /// The time after which a check without an answer has failed.
    pub timeout: Duration,
    /// The number of successful checks in a row before a backend is up. At least 1.
    pub rise: u32,
    /// The number of failed checks in a row before a backend is down. At least 1.
    pub fall: u32,
    /// The percentage by which each interval is lengthened or shortened at most, at random (HAProxy `spread-checks`).
    /// At most 50.
    pub jitter: u8,
    /// The time until a backend that came back gets its full share (HAProxy `slowstart`). Zero: the backend gets its
    /// full share at once.
    pub slow_start: Duration,
}

/// The kind of an active check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Checks whether the port accepts a connection.
    Tcp,
    /// Checks the answer to a request without credentials.
    Http {
        /// The request's target.
        uri: Text,
        /// The answers that count as alive.
        expect: Expect,
    },
    /// Checks whether a user can log on, over a connection of the check's own that never serves a client. The agent
    /// that logs on comes from outside, because a balancer knows no secrets (`LogonAgent` of `stickler-lb-proxy`).
    Logon {
        /// The request's target.
        uri: Text,
        /// The string that the answer's body must contain. Empty: any body counts as alive.
        find: Text,
        /// Whether a user who logged on and lacks permission (403, or 401 after a successful logon) counts as alive.
        forbidden_is_up: bool,
    },
}

/// The answers to a request without credentials that count as alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The ranges of statuses that count as alive.
    pub statuses: List<Statuses>,
    /// The string that the body must contain as well; an empty string allows any body. A data plane looks at the
    /// beginning of a body only (`stickler-lb-proxy`: 64 KiB).
    pub find: Text,
}

/// A range of HTTP statuses, including both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    /// The lowest status of the range.
    pub first: u16,
    /// The highest status of the range.
    pub last: u16,
}

/// The parameters of passive checks, which count failures on live traffic (nginx `max_fails`, `fail_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveRule {
    /// The number of failures that take a backend out. At least 1.
    pub fails: u32,
    /// The time within which these failures must occur.
    pub within: Duration,
    /// The time for which the backend is then out.
    pub out_for: Duration,
    /// The backend that a failure counts against.
    pub blame: FailureTarget,
}

/// The backend that a failure on live traffic counts against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FailureTarget {
    /// The failure counts against the backend that failed.
    #[default]
    Carrier,
    /// The failure counts against the backend that was chosen last for any request. This is a defect of nginx's NTLM
    /// modules, which pick a backend and then send the request to the pinned one.
    PickedLast,
}

/// The reason why checks cannot be made, or cannot notice in time what they promise to notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// `rise` or `fall` is zero, so a backend would change its state without a check.
    #[error("the rise and the fall of a health check must be at least 1")]
    NoCount,
    /// The interval or the timeout is zero: checks would follow one another without a pause, or none could succeed.
    #[error("the interval and the timeout of a health check must be longer than zero")]
    NoTime,
    /// The timeout is longer than the interval. A death would be noticed later than fall x interval + timeout, since
    /// the checks of one backend do not overlap.
    #[error(
        "a health check's timeout ({timeout:?}) is longer than its interval ({interval:?}): shorten the timeout or lengthen the interval"
    )]
    Late {
        /// The timeout of the rule.
        timeout: Duration,
        /// The interval of the rule.
        interval: Duration,
    },
    /// The jitter, in percent, is so large that two checks could start at once.
    #[error("the jitter of a health check is {0} %, but must be at most 50 %")]
    Jitter(u8),
    /// The ranges of statuses are empty, so no answer could count as alive.
    #[error(
        "no answer could show that a backend is alive: give a status from 100 to 999, or a range that begins with its lowest status"
    )]
    Statuses,
    /// The request's target is not in origin form (RFC 9112 3.2.1).
    #[error("a health check cannot request `{0}`: a path starts with `/` and contains no spaces")]
    Uri(Text),
}

impl Statuses {
    /// The statuses 200 to 399, which many checks treat as success.
    pub const SUCCESS: Self = Self { first: 200, last: 399 };

    /// Returns the range that contains this status only.
    pub const fn only(status: StatusCode) -> Self {
        Self { first: status.as_u16(), last: status.as_u16() }
    }
}

impl Expect {
    /// The expectation that accepts 2xx, 3xx, and the 401 with which a protected site answers.
    pub const ALIVE: Self = Self {
        statuses: List::Borrowed(&[Statuses::SUCCESS, Statuses::only(StatusCode::UNAUTHORIZED)]),
        find: Text::Borrowed(""),
    };
    /// The expectation that accepts 2xx and 3xx only, as HAProxy's `option httpchk` without `http-check expect` does.
    /// It marks every protected site as down.
    pub const SUCCESS: Self = Self { statuses: List::Borrowed(&[Statuses::SUCCESS]), find: Text::Borrowed("") };

    /// Returns the expectation that accepts this status only.
    pub fn status(status: StatusCode) -> Self {
        Self { statuses: vec![Statuses::only(status)].into(), find: "".into() }
    }

    fn check(&self) -> Result<(), CheckError> {
        let sound = |range: &Statuses| 100 <= range.first && range.first <= range.last && range.last <= 999;
        if !self.statuses.is_empty() && self.statuses.iter().all(sound) { Ok(()) } else { Err(CheckError::Statuses) }
    }

    /// Returns whether an answer with this status may count as alive.
    pub fn holds(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| (range.first..=range.last).contains(&status.as_u16()))
    }

    /// Returns whether this beginning of a body contains the expected string.
    pub fn is_found_in(&self, body: &[u8]) -> bool {
        holds(body, &self.find)
    }
}

/// Returns whether a body contains a string. Every body contains the empty string.
pub fn holds(body: &[u8], find: &str) -> bool {
    find.is_empty() || body.windows(find.len()).any(|window| window == find.as_bytes())
}

impl CheckRule {
    /// HAProxy's defaults for a check of the port: one check every 2 s, fall 3, rise 2.
    pub const TCP: Self = Self {
        probe: Probe::Tcp,
        interval: Duration::from_secs(2),
        after_end: false,
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        jitter: 0,
        slow_start: Duration::ZERO,
    };

    /// Checks that the rule can notice deaths and returns in the time that it promises.
    ///
    /// # Errors
    /// [`CheckError`] says what is wrong, and how to correct it.
    pub fn check(&self) -> Result<(), CheckError> {
        if self.rise == 0 || self.fall == 0 {
            return Err(CheckError::NoCount);
        }
        if self.interval.is_zero() || self.timeout.is_zero() {
            return Err(CheckError::NoTime);
        }
        if self.timeout > self.interval {
            return Err(CheckError::Late { timeout: self.timeout, interval: self.interval });
        }
        if self.jitter > 50 {
            return Err(CheckError::Jitter(self.jitter));
        }
        match &self.probe {
            Probe::Http { uri, .. } | Probe::Logon { uri, .. }
                if uri.parse::<Uri>().is_err() || !uri.starts_with('/') =>
            {
                Err(CheckError::Uri(uri.clone()))
            }
            Probe::Http { expect, .. } => expect.check(),
            _ => Ok(()),
        }
    }

    /// Returns the times within which these checks promise to notice a death or a return. The world adds the user of a
    /// [`Probe::Logon`].
    pub fn promise(&self) -> trace::Checks {
        let longest = self.interval + self.interval * u32::from(self.jitter) / 100;
        let Self { after_end, timeout, rise, fall, .. } = *self;
        trace::Checks { interval: longest, after_end, timeout, rise, fall, user: None }
    }
}
