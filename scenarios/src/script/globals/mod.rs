//! The functions that a script calls.
//!
//! * [`mod@sites`]: the description of the site.
//! * [`mod@clients`]: single clients. [`mod@crowds`]: clients that send requests at the same time.
//! * [`mod@answers`]: pending requests, and expectations.
//! * [`mod@world`]: time and faults.
//! * [`mod@observed`]: the promises of the balancer, counters and logs.
//! * this module: the groups in which the language reference shows the functions.

#![expect(clippy::unnecessary_wraps, reason = "Starlark wants a Result of every function")]

mod answers;
mod clients;
mod crowds;
mod observed;
mod sites;
mod world;

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use stickler_model::bounds::MIN_TIMER;

use super::errors::ScriptError;
use crate::site::Unknown;

/// A group of functions that belong together.
pub(super) struct Group {
    /// The subject of the group, as a heading.
    pub(super) title: &'static str,
    /// A text about all functions of the group.
    pub(super) about: &'static str,
    /// The function that adds them to the language.
    pub(super) functions: fn(&mut GlobalsBuilder),
}

/// All functions, in the order in which the reference shows them.
pub(super) const GROUPS: [Group; 7] = [
    Group {
        title: "Clients",
        about: "Each client has its own host and address, unless `at` specifies another client. All of these functions take the options of \
                every client, which are listed below.",
        functions: clients::clients,
    },
    Group { title: "Crowds", about: "Many clients that send requests at the same time.", functions: crowds::crowds },
    Group {
        title: "Answers and expectations",
        about: "An expectation that does not hold is recorded with its place, and the script continues.",
        functions: answers::answers,
    },
    Group {
        title: "The site",
        about: "Servers are called `iis1`, `iis2` and so on, the balancer `lb`, the DC `dc`. Without `site()`, there are two servers that \
                offer NTLM in a domain `CORP`, with its standard directory.",
        functions: sites::sites,
    },
    Group {
        title: "Time",
        about: "Time passes only while the script waits for an answer, or calls one of these functions.",
        functions: world::time,
    },
    Group {
        title: "Faults and changes",
        about: "Faults, their repair, and other changes. A result that a fault touched does not count against the balancer.",
        functions: world::faults,
    },
    Group {
        title: "Observations",
        about: "The declarations of the balancer, and the counters and logs so far.",
        functions: observed::observed,
    },
];

/// Returns a timer that a script gives in seconds. Zero is refused, since it would switch the timer off or let it
/// expire at once.
pub(super) fn timer(argument: &'static str, seconds: f64, most: Duration) -> Result<Duration, ScriptError> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| (MIN_TIMER..=most).contains(time));
    time.ok_or_else(|| ScriptError::Timer { argument, given: seconds.to_string(), high: most.as_secs() })
}

pub(super) fn in_range(argument: &'static str, given: i64, low: u64, high: u64) -> Result<u64, ScriptError> {
    let number = u64::try_from(given).ok().filter(|number| (low..=high).contains(number));
    number.ok_or_else(|| ScriptError::OutOfRange { argument, given: given.to_string(), low, high })
}

/// Returns the value that a name stands for.
pub(super) fn one_of<T: Copy>(kind: &'static str, given: &str, known: &[(&str, T)]) -> Result<T, Unknown> {
    let found = known.iter().find(|(name, _)| *name == given).map(|&(_, value)| value);
    found.ok_or_else(|| Unknown {
        kind,
        given: given.into(),
        known: known.iter().map(|&(name, _)| name.to_owned()).collect(),
    })
}
