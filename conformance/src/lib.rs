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
pub use stickler_site::{Balancer, ForeignProxy};
pub use suite::Suite;

/// The groups of scenarios that hold for every balancer in front of IIS. (Group `acceptor` has servers of another kind, group
/// `setup` sites that no balancer can mend, and group `claims` compares kinds of balancers.)
pub const GROUPS: [&str; 10] =
    ["handshake", "identity", "affinity", "failover", "health", "kerberos", "negotiate", "domain", "tls", "hostile"];

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
            lone_one_backend lone_two_backends parity interleaved mixed many_at_once negotiate_with_ntlm
            wrong_password lockout post_curl post_browser
            anonymous_after_user user_after_user address_reused leaves_in_turn re_authentication
            same_backend no_cookies forged_cookie behind_one_address spread services
            restart backend_crash power_loss hang crash_between_legs post_in_flight pinned_reset blame keep_alive_race
            drain all_down recovery flapping
            protected_site dc_unreachable_from_one dc_down connection_of_the_check
            service_account machine_account_alone kernel_mode_pool_credentials clock_skew one_shot persisted
            not_persisted replayed_ticket
            falls_back kdc_out_of_reach name_missing name_twice by_address second_hop
            trusted_user broken_trust partner_out_of_reach name_filtered slow_dc wrong_dc
            epa_none epa_require epa_require_same_certificate epa_proxy offloaded http2_alone http2_given_up
            rogue_backends half_an_answer not_http header_flood silent_backend big_cookie pipelining
            pipelining_with_credentials garbage_client
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
            tl_1 tl_2
        }
    };
}

#[cfg(test)]
mod tests {
    use stickler_oracle::Requirement;
    use stickler_scenarios::shipped;

    use super::*;

    #[test]
    fn there_is_a_test_for_each_scenario_and_each_requirement() {
        let wanted =
            shipped(&stickler_catalogue::names()).unwrap().into_iter().filter(|case| GROUPS.contains(&&*case.group));
        let names: Vec<String> = wanted.map(|case| case.scenario.name().replace('-', "_")).collect();
        assert_eq!(names, scenarios!([names] all));
        let ids: Vec<String> =
            Requirement::all().map(|id| id.to_string().replace('-', "_").to_ascii_lowercase()).collect();
        let tested = requirements!([names] all);
        let untested: Vec<_> = ids.iter().filter(|id| !tested.contains(&id.as_str())).collect();
        assert!(untested.is_empty(), "{untested:?}");
    }
}
