//! The script language, the shipped scripts and their expected outcomes.
//!
//! ```text
//! Scenario ──▶ run ──▶ Arm: World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Ending
//! (.star)    (script)                                              (expected.toml)
//!    ▲
//!    └─────── write ◀── Plan
//! ```
//!
//! * [`scenario`]: a script's source, with its title and description.
//! * [`suite`]: the shipped scenarios, and those loaded from files and folders.
//! * `run`: one script over one balancer with one seed gives a [`Run`](stickler_runner::Run); `site`: what a script describes,
//!   without what it does there.
//! * [`mod@lint`]: the mistakes of scripts and tables, found without running them.
//! * `script`: the script language, on [Starlark](https://github.com/bazelbuild/starlark). This module, `lint` and `run` exist
//!   only with the Cargo feature `scripts`, which is on by default.
//! * `plans`: the recorded plans of the shipped scenarios, which are played without Starlark.
//! * [`expected`]: the tables of expected outcomes. [`mod@catches`]: which scenario catches which defect.
//! * `stickler_model::standard`: the accounts that every scenario finds.
//! * [`declared`]: what balancers are declared to violate, by the tables, for hunts.
//! * `site`: what a script says of its site, as data, and back: what it has to say for a topology.
//! * [`mod@write`]: a plan as a script, with clients called by their names, a docstring and expectations.
//! * `shortened`: a finding of a hunt as people read it.
//! * [`limits`]: how much a script may compute and allocate.
//! * `panics`: panics of a script's thread become its error.
//!
//! # The script language
//!
//! Starlark (Python's syntax, without `while`, `import`, clock or randomness). A call that asks drives the world until the answer
//! is there. `docs/language.md` is the reference of its functions, methods and attributes, and of the pages of the site; it is written
//! from the documentation beside their code ([`reference()`]).
//!
//! A script's own mistake is an error with file, line and column ([`End::Failed`](stickler_runner::End)), and never a finding
//! against the balancer: what a user agent cannot be asked to send is refused before it is sent (`send_raw` sends
//! anything). What the script printed until then is kept, and what was seen until then is judged. A script that asks for
//! nothing is an error; one that puts nothing to the test and expects nothing is skipped, so that it is not green.
//!
//! A program that plays the scripts of others installs the counting allocator of [`limits`].

pub mod catches;
#[cfg(feature = "scripts")]
pub mod declared;
pub mod expected;
pub mod group;
pub mod limits;
#[cfg(feature = "scripts")]
pub mod lint;
mod nearest;
mod plans;
#[cfg(feature = "scripts")]
mod run;
pub mod scenario;
#[cfg(feature = "scripts")]
mod script;
mod shortened;
mod site;
pub mod suite;
pub mod write;

pub use catches::{Catch, catches};
pub use expected::{Expectations, FileError};
pub use group::Group;
#[cfg(feature = "scripts")]
pub use run::{run, site};
pub use scenario::{Scenario, ScenarioError};
#[cfg(feature = "scripts")]
pub use script::reference::reference;
pub use shortened::Shortened;
pub use suite::{Case, SuiteError, select, shipped};
pub use write::{Finding, Story, Unwritable, canonical, named_after_users, write_script};
