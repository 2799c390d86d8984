//! The mistakes that real products made, by name, so that the bench can prove that it catches them.
//!
//! A fault is a change of a mechanism's rules: `pin-on-401+B6` is the sound mechanism with one thing wrong. What rules
//! cannot express is a flag among them ([`stickler_lb_core::policy::composed::Flaws`]), or the data plane's to do
//! ([`stickler_lb_core::Pipelining`], [`Mechanism::tls_drifts`]).

mod list;

use std::fmt;

use crate::{Mechanism, mechanisms};

/// A mistake that can be put on a mechanism.
pub struct Fault {
    /// `B1` to `B20`.
    pub id: &'static str,
    /// A name in words, `host-not-pinned`.
    pub name: &'static str,
    /// What goes wrong, in a line.
    pub summary: &'static str,
    /// Which product had it, and where that is told.
    pub source: &'static str,
    /// Changes the mechanism; an error says why it does not have what the fault breaks.
    apply: fn(&mut Mechanism) -> Result<(), &'static str>,
}

/// Why a fault is not on a mechanism.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There is no such fault.
    #[error("there is no fault called `{name}`; there are B1 to B20, for example `pin-on-401+B6`")]
    Unknown {
        /// The name given, cut to a sensible length.
        name: String,
    },
    /// The mechanism does not have what it breaks.
    #[error("fault {fault} ({name}): {why}, so it cannot sit on `{mechanism}`; it can sit on: {}", .sits_on.join(", "))]
    Inapplicable {
        /// Its number.
        fault: &'static str,
        /// Its name.
        name: &'static str,
        /// The mechanism's name.
        mechanism: &'static str,
        /// What that lacks.
        why: &'static str,
        /// The mechanisms that have it.
        sits_on: Vec<&'static str>,
    },
}

/// All faults, B1 to B20.
pub fn faults() -> &'static [Fault] {
    &list::FAULTS
}

/// The fault with this number (`B6`, `b6`) or name (`host-not-pinned`).
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static Fault, Misfit> {
    let named = |fault: &&Fault| fault.id.eq_ignore_ascii_case(name) || fault.name.eq_ignore_ascii_case(name);
    faults().iter().find(named).ok_or_else(|| Misfit::Unknown { name: name.chars().take(64).collect() })
}

impl Fault {
    /// Its number: 6 for `B6`.
    pub fn number(&self) -> u32 {
        self.id.trim_start_matches('B').parse().unwrap_or(u32::MAX)
    }

    /// Changes a mechanism so that it makes this mistake. Its name stays.
    ///
    /// # Errors
    /// The mechanism does not have what the fault breaks.
    pub fn put_on(&self, mechanism: &mut Mechanism) -> Result<(), Misfit> {
        let (fault, name) = (self.id, self.name);
        let mut changed = mechanism.clone();
        match (self.apply)(&mut changed) {
            Ok(()) => *mechanism = changed,
            Err(why) => {
                let (mechanism, sits_on) = (mechanism.name, self.sits_on());
                return Err(Misfit::Inapplicable { fault, name, mechanism, why, sits_on });
            }
        }
        Ok(())
    }

    /// The names of the mechanisms that it can be put on.
    pub fn sits_on(&self) -> Vec<&'static str> {
        let fits = |mechanism: &&Mechanism| (self.apply)(&mut (*mechanism).clone()).is_ok();
        mechanisms().iter().filter(fits).map(|mechanism| mechanism.name).collect()
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Fault {}
