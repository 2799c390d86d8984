//! The Starlark front end, the shipped scripts, and the conformance suite.
//!
//! ```text
//! Scenario ──▶ run ──▶ World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Expected::compare ──▶ Deviations
//! (.star)    (script)                                         (expected.toml)
//! ```
//!
//! * [`scenario`]: a script's source, with its title and description.
//! * [`suite`]: the shipped scenarios, and those loaded from files and folders.
//! * [`runner`]: one script over one balancer with one seed; [`Run`] says what came of it.
//! * `script`: the script language, on [Starlark](https://github.com/bazelbuild/starlark).
//! * [`expected`]: the expected outcome as data, and how a run differs from it.
//! * [`diagnostic`]: a message with its place in a script.
//! * [`directory`]: the accounts that every scenario finds.
//! * [`limits`]: how much a script may compute and allocate.
//! * `panics`: panics of a script's thread become its error.
//!
//! Linking this crate installs a counting global allocator ([`limits`]).

pub mod diagnostic;
pub mod directory;
pub mod expected;
pub mod limits;
mod panics;
pub mod runner;
pub mod scenario;
mod script;
pub mod suite;

pub use diagnostic::Diagnostic;
pub use expected::{Deviation, Expectations, Expected, ExpectedError};
pub use runner::{Run, WorldBuilder, run};
pub use scenario::{Scenario, ScenarioError};
pub use suite::{Case, SuiteError, select, shipped};
