//! The script language, the shipped scripts and their expected outcomes.
//!
//! A script is played over a balancer, and the trace is judged:
//!
//! ```
//! # #[cfg(feature = "scripts")]
//! # {
//! use std::sync::Arc;
//!
//! use stickler_model::BalancerSpec;
//! use stickler_oracle::{Grade, Requirement};
//! use stickler_runner::Arm;
//! use stickler_scenarios::{Scenario, run};
//! use stickler_sim::SimArm;
//!
//! let script = r#"
//! site(backends = 1)
//! curl("alice").get("/inbox").expect(status = 200, user = "CORP\\alice")
//! curl("mallory", user = None).get("/inbox")
//! "#;
//! let scenario = Scenario::new("leak", "leak.star", script).unwrap();
//! let arm: Arc<dyn Arm> = Arc::new(SimArm);
//! let grade = |balancer| run(&scenario, &BalancerSpec::named(balancer), 1, &arm).grade(Requirement::Id2);
//! assert_eq!(grade("pin-on-401"), Grade::Ok);
//! assert_eq!(grade("shared-pool"), Grade::Violated);              // mallory was served as alice
//! # }
//! ```
//!
//! ```text
//! Scenario ──▶ run ──▶ Arm: World ──▶ Trace ──▶ oracle ──▶ Run ──▶ Ending
//! (.star)    (script)                                              (expected.toml)
//!    ▲
//!    └─────── write ◀── Plan
//! ```
//!
//! * [`scenario`]: the source of a script, with its title and description.
//! * [`suite`]: the shipped scenarios, and those loaded from files and folders.
//! * `run`: plays one script over one balancer with one seed, and returns a [`Run`](stickler_runner::Run). `site`:
//!   reads the site that a script describes, without performing its actions.
//! * [`mod@lint`]: the mistakes of scripts and tables, found without running them.
//! * `script`: the script language, on [Starlark](https://github.com/bazelbuild/starlark). This module, `lint` and
//!   `run` exist only with the Cargo feature `scripts`, which is on by default.
//! * `plans`: the recorded plans of the shipped scenarios, which are played without Starlark.
//! * [`expected`]: the tables of expected outcomes. [`mod@catches`]: the scenarios that catch each defect.
//! * `stickler_model::standard`: the accounts that exist in every scenario.
//! * [`declared`]: the violations that the tables declare for balancers, for use in hunts.
//! * `site`: a script's description of its site, as data; and the reverse, the description of a given topology.
//! * [`mod@write`]: writes a plan as a script, with names for its clients, a docstring and expectations.
//! * `shortened`: a finding of a hunt in the form in which people read it.
//! * [`limits`]: the limits on the computation and memory of a script.
//! * `panics`: turns a panic of a script's thread into an error of the script.
//!
//! # The script language
//!
//! Starlark has Python's syntax, without `while`, `import`, clock or randomness. A call that sends a request drives the
//! world until the answer has arrived. `docs/language.md` is the reference of the functions, methods and attributes,
//! and of the pages of the site; it is generated from the documentation beside their code ([`reference()`]).
//!
//! A mistake in a script is an error with file, line and column ([`End::Failed`](stickler_runner::End)), and never a
//! finding against the balancer. A request that no user agent would send is refused before it is sent (`send_raw` sends
//! anything). The lines that the script printed until then are kept, and the events until then are judged. A script
//! that asks for nothing is an error. A script that puts nothing to the test and expects nothing is skipped, so that it
//! does not count as passed.
//!
//! A program that plays scripts of other people should install the counting allocator of [`limits`].

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
