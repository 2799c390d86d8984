//! The conformance suite over the complete proxy, which keeps every requirement in every scenario. The suite leaves the
//! choice of an allocator to its user: this test sets its own.

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
