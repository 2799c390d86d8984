//! Renders runs ([`Run`](stickler_runner::Run)): verdicts, evidence and traces. This crate does not know how a run is
//! repeated, so the caller passes the command.
//!
//! * [`transcript`] lists the messages on each connection with their senders, and the users as whom servers processed
//!   requests.
//! * [`pretty`] renders the verdict table and the evidence for a terminal.
//! * [`diagram`] draws a run as a sequence diagram: text, Mermaid or SVG.
//! * [`json`] writes the verdicts for programs.
//! * [`page`] renders a report as one HTML page. `table` renders tables that fit a terminal.
//! * [`mod@test_case`] converts runs to the cases of test runners; [`junit`], [`tap`] and [`github`] write them.
//! * [`sarif`] writes findings with their places in files, for code-scanning services.
//! * [`matrix`] shows the requirements that each balancer keeps, over many scenarios.
//! * [`cures`] finds the cures of violations over each product.

pub mod cures;
pub mod diagram;
pub mod github;
pub mod json;
#[cfg(feature = "formats")]
pub mod junit;
pub mod matrix;
pub mod page;
pub mod pretty;
#[cfg(feature = "formats")]
pub mod sarif;
mod table;
pub mod tap;
pub mod test_case;
pub mod transcript;
