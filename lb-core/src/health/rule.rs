//! What a health check asks, how often, and what it makes of the answers.

use std::time::Duration;

use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use stickler_model::trace;

use crate::{List, Text};

/// Active health checks of every backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRule {
    /// What is asked.
    pub probe: Probe,
    /// From the start of one check to the start of the next.
    pub interval: Duration,
    /// An answer that has not come by then is a failure.
    pub timeout: Duration,
    /// Checks in a row that must succeed before a backend is up. At least 1.
    pub rise: u32,
    /// Checks in a row that must fail before a backend is down. At least 1.
    pub fall: u32,
    /// Each interval is longer or shorter by up to this many percent of it (HAProxy `spread-checks`). At most 50.
    pub jitter: u8,
    /// A backend that came back gets its full share only after this time (HAProxy `slowstart`). Zero: at once.
    pub slow_start: Duration,
}

/// What an active check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Whether the port accepts a connection.
    Tcp,
    /// What an anonymous request is answered.
    Http {
        /// The request's target.
        uri: Text,
        /// The answers that count as alive.
        expect: Expect,
    },
    /// Whether a user can log on, over a connection of the check's own that never serves a client. The agent that
    /// logs on comes from outside: a balancer knows no secrets (`LogonAgent` of `stickler-lb-proxy`).
    Logon {
        /// The request's target.
        uri: Text,
        /// The answer's body has to hold this; empty: anything.
        find: Text,
        /// A user who logged on and lacks permission (403, or 401 after a good logon) counts as alive.
        forbidden_is_up: bool,
    },
}

/// Which answers to an anonymous request count as alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The status of an answer that counts as alive is in one of these ranges.
    pub statuses: List<Statuses>,
    /// The body of such an answer holds this string; an empty string allows any body. A data plane looks at the beginning of a body
    /// (`stickler-lb-proxy`: 64 KiB).
    pub find: Text,
}

/// A range of statuses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// Passive checks: failures on live traffic (nginx `max_fails`, `fail_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveRule {
    /// This many failures ... At least 1.
    pub fails: u32,
    /// ... within this time ...
    pub within: Duration,
    /// ... keep a backend out for this long.
    pub out_for: Duration,
    /// Which backend a failure counts against.
    pub blame: FailureTarget,
}

/// Which backend a failure on live traffic counts against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FailureTarget {
    /// The one that failed.
    #[default]
    Carrier,
    /// The one that was chosen last for any request: a defect of nginx's NTLM modules, which pick a backend and then
    /// send to the pinned one.
    PickedLast,
}

/// These checks cannot be made, or cannot keep what they promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A backend would change its state without a check.
    #[error("the rise and the fall of a health check must be at least 1")]
    NoCount,
    /// There would be no end of checks, or none would ever pass.
    #[error("the interval and the timeout of a health check must be longer than zero")]
    NoTime,
    /// A death would be noticed later than fall x interval + timeout, since checks of a backend do not overlap.
    #[error(
        "a health check's timeout ({timeout:?}) is longer than its interval ({interval:?}): shorten the timeout or lengthen the interval"
    )]
    Late {
        /// The timeout.
        timeout: Duration,
        /// The interval.
        interval: Duration,
    },
    /// Two checks could come at once.
    #[error("the jitter of a health check is {0} %, but must be at most 50 %")]
    Jitter(u8),
    /// No answer could ever count as alive.
    #[error(
        "no answer could show that a backend is alive: give a status from 100 to 999, or a range that begins with its lowest status"
    )]
    Statuses,
    /// Not a request's target in origin form (RFC 9112 3.2.1).
    #[error("a health check cannot request `{0}`: a path starts with `/` and contains no spaces")]
    Uri(Text),
}

impl Statuses {
    /// 200 to 399, what many checks take for success.
    pub const SUCCESS: Self = Self { first: 200, last: 399 };

    /// This status alone.
    pub const fn only(status: StatusCode) -> Self {
        Self { first: status.as_u16(), last: status.as_u16() }
    }
}

impl Expect {
    /// 2xx and 3xx, and the 401 with which a protected site answers.
    pub const ALIVE: Self = Self {
        statuses: List::Borrowed(&[Statuses::SUCCESS, Statuses::only(StatusCode::UNAUTHORIZED)]),
        find: Text::Borrowed(""),
    };
    /// 2xx and 3xx only: HAProxy `option httpchk` without `http-check expect`. Marks every protected site as down.
    pub const SUCCESS: Self = Self { statuses: List::Borrowed(&[Statuses::SUCCESS]), find: Text::Borrowed("") };

    /// This status alone.
    pub fn status(status: StatusCode) -> Self {
        Self { statuses: vec![Statuses::only(status)].into(), find: "".into() }
    }

    fn check(&self) -> Result<(), CheckError> {
        let sound = |range: &Statuses| 100 <= range.first && range.first <= range.last && range.last <= 999;
        if !self.statuses.is_empty() && self.statuses.iter().all(sound) { Ok(()) } else { Err(CheckError::Statuses) }
    }

    /// Whether an answer of this status may count as alive.
    pub fn holds(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| (range.first..=range.last).contains(&status.as_u16()))
    }

    /// Whether this beginning of a body holds the string.
    pub fn is_found_in(&self, body: &[u8]) -> bool {
        holds(body, &self.find)
    }
}

/// Returns whether a body holds a string; each holds the empty one.
pub fn holds(body: &[u8], find: &str) -> bool {
    find.is_empty() || body.windows(find.len()).any(|window| window == find.as_bytes())
}

impl CheckRule {
    /// HAProxy's defaults, with a check of the port: every 2 s, fall 3, rise 2.
    pub const TCP: Self = Self {
        probe: Probe::Tcp,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        jitter: 0,
        slow_start: Duration::ZERO,
    };

    /// Whether it can keep what it promises.
    ///
    /// # Errors
    /// [`CheckError`]: what is wrong, and what to do.
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

    /// What it promises about when a death or a return is noticed. The user of a [`Probe::Logon`] is the world's to add.
    pub fn promise(&self) -> trace::Checks {
        let longest = self.interval + self.interval * u32::from(self.jitter) / 100;
        trace::Checks { interval: longest, timeout: self.timeout, rise: self.rise, fall: self.fall, user: None }
    }
}
