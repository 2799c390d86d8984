//! Renders runs ([`Run`](stickler_runner::Run)): verdicts, evidence and traces. This crate does not know how a run is
//! repeated, so the caller passes the command.
//!
//! A run is rendered as a table for a terminal, and as a test case for other programs:
//!
//! ```
//! use stickler_model::BalancerSpec;
//! use stickler_oracle::{Grade, Requirement, Verdict};
//! use stickler_report::{pretty, tap, test_case::TestCase};
//! use stickler_runner::{End, Expected, Run, Source};
//!
//! let scenario = "anonymous-after-user".to_owned();
//! let leak = Verdict { requirement: Requirement::Id2, grade: Grade::Violated, exercised: 3, evidence: Vec::new() };
//! let run = Run {
//!     source: Source { path: scenario.clone(), scenario },
//!     arm: "sim".into(),
//!     balancer: BalancerSpec::named("shared-pool"),
//!     seed: 1,
//!     trace: None,
//!     verdicts: vec![leak],
//!     failures: Vec::new(),
//!     printed: Vec::new(),
//!     end: End::Complete,
//!     expected: Expected::default(),
//! };
//! let case = TestCase::of(&run, "stickler run anonymous-after-user --balancer shared-pool", None, false);
//! assert!(tap::document(&[case], None).contains("\nnot ok 1 - shared-pool: anonymous-after-user\n"));
//! assert!(pretty::table_within(&[run], 80).contains("ID-2"));
//! ```
//!
//! * [`transcript`] lists the messages on each connection with their senders, and the users as whom servers processed
//!   requests.
//! * [`pretty`] renders the verdict table and the evidence for a terminal.
//! * [`diagram`] draws a run as a sequence diagram: text, Mermaid or SVG.
//! * [`json`] writes the verdicts for programs.
//! * [`mod@fit`] breaks long lines of text for a terminal.
//! * [`missing`] says which of the requested runs were not made.
//! * [`page`] renders a report as one HTML page. `table` renders tables that fit a terminal.
//! * [`mod@test_case`] converts runs to the cases of test runners; [`junit`], [`tap`] and [`github`] write them.
//! * [`sarif`] writes findings with their places in files, for code-scanning services.
//! * [`matrix`] shows the requirements that each balancer keeps, over many scenarios.
//! * [`cures`] finds the cures of violations over each product.

pub mod cures;
pub mod diagram;
pub mod fit;
pub mod github;
pub mod json;
#[cfg(feature = "formats")]
pub mod junit;
pub mod matrix;
pub mod missing;
pub mod page;
pub mod pretty;
#[cfg(feature = "formats")]
pub mod sarif;
mod table;
pub mod tap;
pub mod test_case;
pub mod transcript;
