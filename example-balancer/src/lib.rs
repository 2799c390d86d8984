//! Two small balancers, and how their author puts them to the test: see `README.md` and `tests/`.
//!
//! * [`OneToOne`]: decisions for Stickler's data plane.
//! * [`forward`]: a whole proxy of its own, generic over the network.

mod one_to_one;
mod proxy;

pub use one_to_one::OneToOne;
pub use proxy::forward;
