//! Renders runs ([`Run`](stickler_runner::Run)): verdicts, evidence and traces. How a run is made again is the caller's to
//! say: who renders a run hands in the command.
//!
//! * [`transcript`]: who sent what on which connection, and as whom the server took it.
//! * [`pretty`]: the verdict table and the evidence, for a terminal.
//! * [`diagram`]: the same as a picture: text, Mermaid, SVG.
//! * [`json`]: the verdicts for programs.
//! * [`page`]: a report as one HTML page. `table`: tables that fit a terminal.
//! * [`mod@test_case`]: runs as test runners know them; [`junit`], [`tap`] and [`github`] write them.
//! * [`sarif`]: findings with their places in files, for code-scanning services.
//! * [`matrix`]: which balancer keeps which requirement, over many scenarios.
//! * [`cures`]: what helps over which product.

pub mod cures;
pub mod diagram;
pub mod github;
pub mod json;
pub mod junit;
pub mod matrix;
pub mod page;
pub mod pretty;
pub mod sarif;
mod table;
pub mod tap;
pub mod test_case;
pub mod transcript;
