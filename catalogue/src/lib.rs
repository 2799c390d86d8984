//! The catalogue of balancers: mechanisms, the defects of real products, and profiles of products, as data.
//!
//! A balancer is found by its name, and each value of a product's profile states its source:
//!
//! ```
//! use stickler_catalogue::profile::{Citation, Evidence};
//! use stickler_catalogue::{find, profiles};
//!
//! let mechanism = find("pin-on-401+B6").unwrap();                 // a mechanism with a defect
//! assert_eq!(mechanism.defects, ["B6"]);
//!
//! let haproxy = profiles().iter().find(|profile| profile.name == "haproxy-safe").unwrap();
//! let share = haproxy.facts.iter().find(|fact| fact.what == "pool.share").unwrap();
//! assert_eq!(share.value(), "safe");                              // `http-reuse safe`
//! assert!(matches!(share.citation, Citation::Known { evidence: Evidence::Source, .. }));
//!
//! let unknown = find("haproxy-save").unwrap_err();
//! assert_eq!(unknown.nearest, Some("haproxy-safe"));
//! ```
//!
//! * [`mechanism`]: the mechanisms that products use; [`defect`]: the defects that can be put on them.
//! * [`profile`]: the profiles of products, in which every value has its source.
//! * [`exception`]: the known differences between products and their profiles.
//! * [`mod@explanation`]: what each requirement means to an operator, and how to cure its violation.
//! * [`find()`]: finds any of them by name, with defects appended (`pin-on-401+B6`).
//!
//! A mechanism makes a policy of `stickler-lb-core` ([`Mechanism::l4`], [`Mechanism::l7`]). The code that assembles a
//! balancer passes the policy to a data plane, on which this crate does not depend.

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
