//! What there is to choose from: mechanisms, the defects of real products, and products by name, as data.
//!
//! * [`mechanism`]: the mechanisms of the field; [`defect`]: the defects, to be put on them.
//! * [`profile`]: products by name, every value with its source.
//! * [`exception`]: where a product is known to differ from its profile.
//! * [`mod@explanation`]: what each requirement means to an operator, and what cures its violation.
//! * [`find()`]: all of them by name, with defects appended (`pin-on-401+B6`).
//!
//! A mechanism makes a policy of `stickler-lb-core` ([`Mechanism::l4`], [`Mechanism::l7`]). Whoever assembles a balancer
//! hands it to a data plane, which this crate does not know.

pub mod defect;
pub mod exception;
pub mod explanation;
mod find;
pub mod mechanism;
pub mod profile;

pub use defect::{Defect, DefectError, defects};
pub use exception::{Exception, ExceptionError, exceptions};
pub use explanation::{Explanation, ExplanationError, explanation, explanations};
pub use find::{UnknownBalancer, find, names, nearest};
pub use mechanism::{Carriage, Mechanism, mechanisms};
pub use profile::{Profile, ProfileError, profiles};
