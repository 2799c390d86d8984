//! A hunt that finds nothing against [`OneToOne`], as long as no client logs on over HTTP/2. If two streams of one
//! connection log on at the same time, they share the one upstream connection, and IIS supports only one handshake on each
//! connection (`docs/findings/README.md`).

use example_balancer::OneToOne;
use stickler_conformance::Balancer;

fn one_to_one() -> Balancer {
    Balancer::l7(|farm, _entropy| OneToOne::new(farm))
}

stickler_conformance::hunt!(one_to_one, runs = 100, without = ["http2"]);
