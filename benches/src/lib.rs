//! The parts of the benchmarks: the code that they drive, their measurement, and their report.
//!
//! * [`handshake`]: NTLM in memory, and the bare primitives that its verification needs.
//! * [`tickets`]: Kerberos in memory, and the bare primitives of its verification.
//! * [`load`]: clients on the simulated world ([`load::Site`]), and the same exchanges without any of it
//!   ([`load::Bare`]): hyper over the same engine, network and number of hops.
//! * [`decisions`]: a balancer's decisions alone, among up to 100,000 open connections.
//! * [`plane`]: the data plane on loopback, beside nginx and HAProxy.
//! * [`worlds`]: small worlds from scratch, and an idle-heavy hour.
//! * [`capacity`]: the costs of authentication, and the time for which users wait, counted in the simulation.
//! * [`cpu_time`]: criterion's measurement: processor time of the one thread that works. [`plane`] alone is measured by
//!   the wall clock: it is the work of several threads and processes.
//! * [`calibration`]: a fixed piece of work, by which a change of the machine's speed shows.
//! * [`instructions`]: the instructions that a dozen pieces of work take, which alone fail a build.
//! * [`report`]: figures against their aims and against a stored baseline.
//!
//! The bench target `stickler` joins them: `cargo bench --bench stickler -- --help` describes its options, and CONTRIBUTING.md its
//! report.

pub mod calibration;
pub mod capacity;
pub mod cpu_time;
pub mod decisions;
pub mod handshake;
pub mod instructions;
pub mod load;
pub mod plane;
mod plot;
pub mod report;
pub mod tickets;
pub mod worlds;
