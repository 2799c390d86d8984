//! Finds failures that nobody has scripted: plans that make a balancer violate a requirement.
//!
//! A plan is drawn from a seed and played, and the oracle's verdicts say which failures it shows:
//!
//! ```
//! use stickler_hunt::{generate, judge::judge};
//! use stickler_model::BalancerSpec;
//! use stickler_sim::SimArm;
//!
//! let shown = |balancer: &str| {
//!     let plan = generate(7, BalancerSpec::named(balancer));   // the same steps over each balancer
//!     judge(&plan, &SimArm).shown.into_iter().map(|(kind, _)| kind.to_string()).collect::<Vec<_>>()
//! };
//! assert_eq!(shown("shared-pool"), ["ID-2 (an anonymous client, served as another user, after `pool`)"]);
//! assert!(shown("l4-nat").is_empty());
//! ```
//!
//! ```text
//! seed ──▶ generate ──▶ Plan ──▶ judge ──▶ Kind, Coverage ──▶ search ──▶ Finding ──▶ shrink ──▶ a plan of a few steps
//!              ▲                                                 │
//!              └──────────────── mutate ◀── corpus ──────────────┘
//! ```
//!
//! * [`generate()`]: draws a plan from a seed. A plan that reaches something new is changed slightly and played again.
//! * [`judge`](mod@judge): plays a plan, and determines which failures it shows. The oracle alone decides, because a plan
//!   has no expectations.
//! * [`search`](mod@search): plays plan after plan, on many threads.
//! * [`shrink`](mod@shrink): finds the shortest plan that shows the same failure.
//! * [`exhaustive`]: every plan of a few steps, in place of random ones.
//! * [`folder`]: the files of a hunt.
//!
//! Plans are valid by construction. An action that the world rejects is a defect of the generator. This crate returns
//! plans and findings. It depends on neither scripts nor reports, and does not know which arm plays the plans.

pub mod exhaustive;
pub mod folder;
mod generate;
pub mod judge;
pub mod search;
pub mod shrink;

pub use generate::{Features, Limits, generate, generate_within};
pub use judge::{Judged, Kind};
pub use search::{Finding, Found, Hunt, Unit, Watch, search};
pub use shrink::{Shrunk, shrink};
