//! The conformance suite for the author's own balancer.
//!
//! The whole test is one file of the author's crate, `tests/conformance.rs`:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use stickler_conformance::Balancer;
//! use stickler_conformance::lb_core::{BackendAware, FiveTuple, L4Decision, L4Policy, L4Work};
//! use stickler_conformance::model::Time;
//!
//! /// Spreads the connections over the backends by the ports of their clients.
//! struct ByPort {
//!     backends: usize,
//! }
//!
//! impl BackendAware for ByPort {
//!     type Work = L4Work;
//! }
//!
//! impl L4Policy for ByPort {
//!     fn connect(&mut self, _: Time, flow: FiveTuple) -> L4Decision {
//!         L4Decision::Backend(usize::from(flow.client.port()) % self.backends)
//!     }
//! }
//!
//! fn my_balancer() -> Balancer {
//!     Balancer::l4(|farm, _entropy| ByPort { backends: farm.backends.len() })   // or Balancer::l7, Balancer::proxy
//! }
//!
//! fn main() -> ExitCode {
//!     stickler_conformance::main(my_balancer)
//! }
//! ```
//!
//! In the manifest, this crate is a dev-dependency, and Cargo is told that the test has its own `main`:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! `cargo test` then has one test for each shipped scenario that applies to every balancer in front of IIS. The test has
//! the names of the group and the scenario: `handshake::lone_one_backend`. It fails if a MUST is violated. The end of the
//! output lists the requirements: how often each was put to the test, and where it was violated, with one example. A
//! SHOULD that is not followed is shown there, and fails no test.
//!
//! The scenarios are played from their recorded plans. With the feature `scripts`, the scripts themselves are played. A
//! test then also fails if an expectation of its script does not hold, and the few scenarios whose steps depend on answers
//! are not ignored. The feature builds Starlark, and therefore twice as many crates.
//!
//! A single scenario (`cargo test handshake::lone_one_backend`) shows all of its evidence.
//!
//! [`hunt!`] makes a second kind of test, which plays random plans instead of the shipped scenarios.
//!
//! Environment:
//! * `STICKLER_SEED=7` plays other interleavings.
//! * `STICKLER_EVIDENCE=1` shows all evidence of every scenario that fails.
//! * `STICKLER_TRANSCRIPT=1` shows all events, whether the scenario fails or not.
//!
//! Under a runner that starts a process for each test, such as cargo-nextest, each process plays one scenario and shows one
//! example for each requirement that it violates. There is no common end of the output.

pub mod hunt;
mod outcome;
mod running;
mod suite;
mod summary;

use std::process::ExitCode;

use libtest_mimic::{Arguments, FormatSetting};
pub use stickler_lb_core as lb_core;
pub use stickler_model as model;
pub use stickler_net as net;
pub use stickler_site::{Balancer, ForeignProxy};

use crate::suite::{Settings, Suite};

/// The examples of the README and of the book's page for authors of balancers, which the documentation's tests compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../book/src/authors.md")]
struct Examples;

/// Runs as the `main` of a test: plays the scenarios that the command line asks for over the balancers that `balancer`
/// creates, and shows the results. The command line is that of Rust's own tests.
pub fn main(balancer: impl Fn() -> Balancer + Send + Sync + 'static) -> ExitCode {
    let arguments = Arguments::from_args();
    let suite = match Settings::from_environment().and_then(|settings| Suite::new(balancer, settings)) {
        Ok(suite) => suite,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let conclusion = libtest_mimic::run(&arguments, suite.trials());
    if arguments.format != Some(FormatSetting::Json) {
        print!("{}", suite.summary());
    }
    conclusion.exit_code()
}
