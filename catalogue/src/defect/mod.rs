//! The defects that real products had, by name, so that the bench can prove that it catches them.
//!
//! A defect is a change of a mechanism's rules: `pin-on-401+B6` is the sound mechanism with one mistake. If rules
//! cannot express a defect, it is a flag among them ([`stickler_lb_core::policy::composed::Defects`]), or a setting of
//! the data plane ([`stickler_lb_core::Pipelining`], [`crate::Mechanism::tls_drifts`]).

mod definition;
mod list;

pub use self::definition::{Defect, DefectError};

/// Returns all defects, B1 to B20.
pub fn defects() -> &'static [Defect] {
    &list::DEFECTS
}

/// Returns the defect with this number (`B6`, `b6`) or name (`host-not-pinned`).
///
/// # Errors
/// There is no such defect.
pub fn find(name: &str) -> Result<&'static Defect, DefectError> {
    let named = |defect: &&Defect| defect.id.eq_ignore_ascii_case(name) || defect.name.eq_ignore_ascii_case(name);
    defects().iter().find(named).ok_or_else(|| DefectError::Unknown { name: name.chars().take(64).collect() })
}
