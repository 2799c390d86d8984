//! Measures in the simulation the costs of authentication, and the time for which users wait.
//!
//! * `measure.rs` plays one load on one site and counts its costs.
//! * `tables.rs` lists the loads that are compared, and writes the counts as CSV and, as plots, SVG.
//!
//! `cargo bench --profile release --bench capacity` writes all of it into `book/src/capacity/`. Nothing of it is a time that was
//! measured on a machine: the same version of Stickler writes the same bytes everywhere.

mod measure;
mod tables;

pub use measure::{Costs, Load, Scheme, costs};
pub use tables::{Tables, tables};
