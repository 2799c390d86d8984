//! Invents plans: sites, people and schedules that nobody has scripted.
//!
//! [`generate()`] draws a plan from a seed. The oracle alone judges what comes of it: a plan has no expectations of its own.
//!
//! Plans are valid by construction. An action that the world rejects is a defect of the generator.

mod generate;

pub use generate::{Features, generate};
