//! So does the proxy that is all its own.

use stickler_conformance::Balancer;

fn proxy() -> Balancer {
    Balancer::proxy(|net, listener, _env, farm| example_balancer::forward(net, listener, farm))
}

stickler_conformance::suite!(proxy);
