//! [`OneToOne`] keeps every requirement in every scenario.

use example_balancer::OneToOne;
use stickler_conformance::Balancer;

fn one_to_one() -> Balancer {
    Balancer::l7(|farm, _entropy| OneToOne::new(farm))
}

stickler_conformance::suite!(one_to_one);
