//! Requirements and verdicts, judged from traces alone.
//!
//! A run in which nothing happened puts no requirement to the test:
//!
//! ```
//! use stickler_model::trace::Promises;
//! use stickler_model::{BalancerSpec, Header, Trace, standard};
//! use stickler_oracle::judge;
//! use stickler_oracle::requirement::Requirement;
//!
//! let trace = Trace {
//!     header: Header {
//!         seed: 1,
//!         balancer: BalancerSpec::named("pin-on-401"),
//!         topology: standard::site(2),
//!         promises: Promises::default(),
//!     },
//!     events: Vec::new(),
//! };
//! let verdicts = judge(&trace);
//! assert_eq!(verdicts.len(), Requirement::all().count());
//! assert!(verdicts.iter().all(|verdict| verdict.exercised == 0));
//! ```
//!
//! * [`requirement`]: the table of the numbered requirements, each with its text, severity, source and judging
//!   function.
//! * [`verdict`]: a grade and the evidence for it.
//! * [`effort`]: how many HTTP requests, tickets and logons a run cost.
//! * [`judge`]: all verdicts on a trace.
//! * [`live`]: judges whether users are mixed up while events arrive, without keeping them.
//!
//! Inside, `requests` ties the events of a trace together by request ids. From it are built `logons` (the DCs'
//! decisions and their causes), `settings` (what servers and clients can do), `tls_connections`, `farm` (the
//! availability of the backends), `disruptions` (lost connections) and `faults` (the faults that the script injected,
//! and what they touched). `raw` has the bytes that clients sent unchanged. `index` is the facade over all of these.
//! `order` says which of two events comes first.
//! `excuses` determines whether somebody other than the balancer is at fault for a request's end. Each family of
//! requirements has a module that states its rules and the reasons: `handshake` (HS), `identity` (ID-1 to ID-3) and
//! `trust` (ID-4, ID-5), `persistence` (ST-1, ST-3, ST-5), `stability` (ST-2) and `spread` (ST-4), `failover` (FO),
//! `health` (HC), `tls` (TL). A judging function begins with the id of its requirement, reads the index and returns a
//! `finding`.
//!
//! The oracle sees what clients, servers and DCs saw. It never looks inside a balancer, so it can judge any balancer. A
//! violation is something that the trace *proves*; what can have another cause does not count.

mod disruptions;
pub mod effort;
mod excuses;
mod failover;
mod farm;
mod faults;
mod finding;
mod handshake;
mod health;
mod identity;
mod index;
mod judge;
mod left_behind;
pub mod live;
mod local;
mod logons;
mod order;
mod persistence;
mod ports;
mod raw;
mod requests;
pub mod requirement;
mod settings;
mod spread;
mod stability;
mod tls;
mod tls_connections;
mod trust;
mod upgrades;
pub mod verdict;

pub use effort::{Cost, Effort};
pub use judge::judge;
pub use live::{Leak, Live, Noticed};
pub use requirement::{Requirement, Severity};
pub use verdict::{Cited, Evidence, Failure, Grade, Party, Verdict};
