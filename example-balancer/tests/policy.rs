//! The conformance suite over [`OneToOne`], which keeps every requirement in every scenario.

use std::process::ExitCode;

use example_balancer::OneToOne;
use stickler_conformance::Balancer;

fn one_to_one() -> Balancer {
    Balancer::l7(|farm, _entropy| OneToOne::new(farm))
}

fn main() -> ExitCode {
    stickler_conformance::main(one_to_one)
}
