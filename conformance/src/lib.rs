//! The conformance suite for a balancer of your own.
//!
//! Add this crate as a dev-dependency, tell Cargo that the test has a `main` of its own,
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! and write in `tests/conformance.rs`:
//!
//! ```ignore
//! use std::process::ExitCode;
//!
//! use stickler_conformance::Balancer;
//!
//! fn my_balancer() -> Balancer {
//!     Balancer::l7(|farm, _entropy| MyPolicy::new(farm))       // decisions; or Balancer::l4, or Balancer::proxy
//! }
//!
//! fn main() -> ExitCode {
//!     stickler_conformance::main(my_balancer)
//! }
//! ```
//!
//! `cargo test` then has one test for each shipped scenario that holds for every balancer in front of IIS, by the name
//! of its group and its own: `handshake::lone_one_backend`. It fails where a MUST is violated. The end of the output has the
//! requirements: how often each was put to the test, and where it was violated, with one example. A SHOULD that is not
//! followed is shown there and fails nothing.
//!
//! The scenarios are played by their recorded plans. With the feature `scripts`, the scripts themselves are played: a test
//! then fails also where an expectation of its script does not hold, and those few scenarios are not ignored that decide by
//! what they are answered. The feature builds Starlark, and with it twice as many crates.
//!
//! One scenario alone (`cargo test handshake::lone_one_backend`) shows all the evidence that there is.
//!
//! [`hunt!`] makes a second kind of test, which plays random plans in place of the shipped scenarios.
//!
//! Environment:
//! * `STICKLER_SEED=7` plays other interleavings.
//! * `STICKLER_EVIDENCE=1` shows all evidence of every scenario that fails.
//! * `STICKLER_TRANSCRIPT=1` shows everything that was seen, whether it fails or not.
//!
//! Under a runner that starts a process for each test, such as cargo-nextest, each process plays its one scenario and
//! shows one example for each requirement that it violates; there is no end of the output that they share.

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
