//! The parts of the benchmarks: the code that they drive, their measurement, and their report.
//!
//! * [`handshake`]: NTLM in memory, and the bare primitives that its verification needs.
//! * [`tickets`]: Kerberos in memory, and the bare primitives of its verification.
//! * [`load`]: clients on the simulated world ([`load::Site`]), and the same exchanges without any of it
//!   ([`load::Bare`]): hyper over the same engine, network and number of hops.
//! * [`decisions`]: a balancer's decisions alone, among up to 100,000 open connections.
//! * [`plane`]: the data plane on loopback, beside nginx and HAProxy.
//! * [`worlds`]: small worlds that are built from scratch, and an hour in which a world is mostly idle.
//! * [`capacity`]: the costs of authentication, and the time for which users wait, counted in the simulation.
//! * [`cpu_time`]: the measurement that criterion uses, which is the processor time of the one thread that works. Only
//!   [`plane`] is measured by the wall clock, because its work is done by several threads and processes.
//! * [`calibration`]: a fixed piece of work, which shows changes of the machine's speed.
//! * [`instructions`]: the numbers of instructions of a dozen pieces of work. Only these can fail a build.
//! * [`report`]: the figures, compared with their targets and with a stored baseline.
//!
//! The bench target `stickler` joins them: `cargo bench --bench stickler -- --help` describes its options, and
//! CONTRIBUTING.md describes its report.

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
