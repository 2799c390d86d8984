//! Two small balancers, with the tests that their author would write for them: see `README.md` and `tests/`.
//!
//! * [`OneToOne`]: a policy for Stickler's data plane.
//! * [`forward`]: a complete proxy, generic over the network.

mod one_to_one;
mod proxy;

pub use one_to_one::OneToOne;
pub use proxy::forward;
