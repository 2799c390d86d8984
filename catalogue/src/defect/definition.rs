//! The definition of a defect, and how it is put on a mechanism.

use std::fmt;

use crate::{Mechanism, mechanisms};

/// A defect that can be put on a mechanism.
pub struct Defect {
    /// The number of the defect, from `B1` to `B20`.
    pub id: &'static str,
    /// The name of the defect in words, for example `host-not-pinned`.
    pub name: &'static str,
    /// What goes wrong, in one line.
    pub summary: &'static str,
    /// The product that had the defect, and where that is documented.
    pub source: &'static str,
    /// Changes the mechanism. The error says why the mechanism does not have the part that the defect changes.
    pub(super) apply: fn(&mut Mechanism) -> Result<(), &'static str>,
}

/// Why a defect cannot be put on a mechanism.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefectError {
    /// There is no such defect.
    #[error("there is no defect called `{name}`; the defects are B1 to B20, and are used as in `pin-on-401+B6`")]
    Unknown {
        /// The name that was given, cut to a sensible length.
        name: String,
    },
    /// The mechanism does not have the part that the defect changes.
    #[error("defect {defect} ({name}) cannot be put on `{mechanism}`: {why}; it can be put on: {}", .sits_on.join(", "))]
    Inapplicable {
        /// The number of the defect.
        defect: &'static str,
        /// The name of the defect.
        name: &'static str,
        /// The name of the mechanism.
        mechanism: String,
        /// What the mechanism lacks.
        why: &'static str,
        /// The mechanisms that have that part.
        sits_on: Vec<&'static str>,
    },
}

impl Defect {
    /// Returns the number of the defect, for example 6 for `B6`.
    pub fn number(&self) -> u32 {
        self.id.trim_start_matches('B').parse().unwrap_or(u32::MAX)
    }

    /// Changes a mechanism so that it has this defect. The mechanism's name does not change.
    ///
    /// # Errors
    /// The mechanism does not have the part that the defect changes.
    pub fn put_on(&self, mechanism: &mut Mechanism) -> Result<(), DefectError> {
        let (defect, name) = (self.id, self.name);
        let mut changed = mechanism.clone();
        match (self.apply)(&mut changed) {
            Ok(()) => *mechanism = changed,
            Err(why) => {
                let (mechanism, sits_on) = (mechanism.name.to_string(), self.sits_on());
                return Err(DefectError::Inapplicable { defect, name, mechanism, why, sits_on });
            }
        }
        Ok(())
    }

    /// Returns the names of the mechanisms on which the defect can be put.
    pub fn sits_on(&self) -> Vec<&'static str> {
        let fits = |mechanism: &&Mechanism| (self.apply)(&mut (*mechanism).clone()).is_ok();
        mechanisms().iter().filter(fits).map(|mechanism| &*mechanism.name).collect()
    }
}

impl fmt::Debug for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl PartialEq for Defect {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Defect {}
