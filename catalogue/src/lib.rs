//! What there is to choose from: mechanisms, the mistakes of real products, and products by name, as data.
//!
//! * [`mechanism`]: the mechanisms of the field; [`fault`]: the mistakes, to be put on them.
//! * [`profile`]: products by name, every value with its source.
//! * [`find()`]: all of them by name, with faults appended (`pin-on-401+B6`).
//!
//! A mechanism makes a policy of `stickler-lb-core` ([`Mechanism::l4`], [`Mechanism::l7`]). Whoever assembles a balancer
//! hands it to a data plane, which this crate does not know.

pub mod fault;
mod find;
mod intern;
pub mod mechanism;
pub mod profile;

pub use fault::{Fault, Misfit, faults};
pub use find::{UnknownBalancer, find, names};
pub use mechanism::{Carriage, Mechanism, mechanisms};
pub use profile::{Profile, ProfileError, profiles};
