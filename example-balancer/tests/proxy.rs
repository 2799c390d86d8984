//! So does the proxy that is all its own.

mod forward;

use forward::Forward;
use stickler_conformance::Balancer;

fn proxy() -> Balancer {
    Balancer::proxy(Forward)
}

stickler_conformance::suite!(proxy);
