//! So does the proxy that is all its own. The suite leaves the choice of an allocator to whoever uses it: this test has
//! one of its own.

mod forward;

use std::process::ExitCode;

use forward::Forward;
use mimalloc::MiMalloc;
use stickler_conformance::Balancer;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn proxy() -> Balancer {
    Balancer::proxy(Forward)
}

fn main() -> ExitCode {
    stickler_conformance::main(proxy)
}
