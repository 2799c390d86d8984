//! So does the proxy that is all its own.

use std::process::ExitCode;

use stickler_conformance::Balancer;

fn proxy() -> Balancer {
    Balancer::proxy(|net, listener, _env, farm, control| example_balancer::forward(net, listener, farm, control))
}

fn main() -> ExitCode {
    stickler_conformance::main(proxy)
}
