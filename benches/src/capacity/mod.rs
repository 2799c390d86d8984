//! What authentication costs, and how long users wait for it, measured in the simulation.
//!
//! * `measure.rs`: one site under one load, as counts.
//! * `tables.rs`: the loads that are compared, and what is written of each.
//! * `plot.rs`: the same as pictures.
//!
//! `cargo bench --profile release --bench capacity` writes all of it into `book/src/capacity/`. Nothing of it is a time that was
//! measured on a machine: the same version of Stickler writes the same bytes everywhere.

mod measure;
mod plot;
mod tables;

pub use measure::{Costs, Load, Scheme, costs};
pub use tables::{Tables, tables};
