//! Measures in the simulation the costs of authentication, and the time for which users wait.
//!
//! * `measure.rs` plays one load on one site and counts its costs.
//! * `tables.rs` lists the loads that are compared, and writes the counts as CSV and, as plots, SVG.
//!
//! `cargo bench --profile release --bench capacity` writes everything into `book/src/capacity/`. No value depends on the
//! speed of a machine: the same version of Stickler writes the same bytes everywhere.

mod measure;
mod tables;

pub use measure::{Costs, Load, Scheme, costs};
pub use tables::{Tables, tables};
