//! The conformance suite for a balancer of your own.
//!
//! Add this crate as a dev-dependency, and write in `tests/conformance.rs`:
//!
//! ```ignore
//! use stickler_conformance::Balancer;
//!
//! fn my_balancer() -> Balancer {
//!     Balancer::l7(|farm, _entropy| MyPolicy::new(farm))       // decisions; or Balancer::l4, or Balancer::proxy
//! }
//!
//! stickler_conformance::suite!(my_balancer);
//! ```
//!
//! `cargo test` then has one test for each scenario and one for each requirement. A scenario's test fails where a MUST
//! is violated, or the script's own expectations do not hold; a requirement's test fails where any scenario violates
//! it. Both show the evidence. A SHOULD that is not followed is printed and fails nothing.
//!
//! Environment: `STICKLER_SEED=7` plays other interleavings; `STICKLER_TRANSCRIPT=1` shows everything that was seen.

mod suite;

pub use stickler_lb_core as lb_core;
pub use stickler_model as model;
pub use stickler_net as net;
pub use stickler_sim::Balancer;
pub use suite::Suite;

/// The groups of scenarios that hold for every balancer in front of IIS. (Group `acceptor` has servers of another kind.)
pub const GROUPS: [&str; 6] = ["handshake", "identity", "affinity", "failover", "health", "hostile"];

/// Makes one `#[test]` for each scenario and each requirement, of a function that returns a [`Balancer`].
#[macro_export]
macro_rules! suite {
    ($balancer:path) => {
        static SUITE: $crate::Suite = $crate::Suite::new($balancer);
        $crate::scenarios!([$crate::tests] scenario);
        $crate::requirements!([$crate::tests] requirement);
    };
}

/// A test for each name.
#[doc(hidden)]
#[macro_export]
macro_rules! tests {
    ($method:ident: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                SUITE.$method(stringify!($name));
            }
        )*
    };
}

/// The names as text, for the test that none is missing.
#[cfg(test)]
macro_rules! names {
    (all: $($name:ident)*) => { [$(stringify!($name)),*] };
}

/// Hands the scenarios, by group, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! scenarios {
    ([$($macro:tt)*] $method:ident) => {
        $($macro)*! { $method:
SCENARIO_NAMES
        }
    };
}

/// Hands the requirements to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! requirements {
    ([$($macro:tt)*] $method:ident) => {
        $($macro)*! { $method:
            hs_1 hs_2 hs_3 hs_4 hs_5 hs_6
            id_1 id_2 id_3 id_4 id_5
            st_1 st_2 st_3 st_4
            fo_1 fo_2 fo_3 fo_4 fo_5 fo_6 fo_7
            hc_1 hc_2
        }
    };
}
