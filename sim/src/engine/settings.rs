//! What an engine is told at its start, and the errors and endings it reports.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// How an [`Engine`](super::Engine) is built. The defaults suit a farm in one data centre.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seeds ChaCha8, which draws jitter and loss. The same seed gives the same packets.
    pub seed: u64,
    /// How many kernels (TCP stacks) carry the hosts. Every pass over the network visits each (some
    /// ten nanoseconds for an idle one), while a connect or close costs time in the number of
    /// sockets that its kernel holds: with a connection per request, 1,000 clients run twice as
    /// fast on 8 kernels as on one.
    pub kernels: usize,
    /// How many listening hosts there can be, counting each restart of one as another. A host that
    /// only connects takes none, so the number of clients is not bounded by it.
    pub slots: usize,
    /// Arrivals are rounded up to a multiple of this, so that one pass over the network serves many
    /// packets; a pass visits every socket. Without jitter packets coincide anyway, and it changes
    /// nothing; with jitter, 20 us instead of 50 cost a third of the speed at 1,000 connections,
    /// and more than 50 gained nothing. Zero delivers at the exact nanosecond. Latencies that are
    /// multiples of it stay exact; one that divides a millisecond keeps timers and packets on one
    /// grid.
    pub quantum: Duration,
    /// The link between two hosts where [`Engine::set_link`](super::Engine::set_link) set none.
    pub link: Link,
    /// How often the engine may choose what comes next ([`Stats::turns`](super::Stats)), as a bound on the work of a run.
    pub turns: u64,
    /// What a lost segment costs: it arrives this much later. A lost SYN costs
    /// [`SYN_RTO`](super::SYN_RTO).
    pub rto: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            kernels: 8,
            slots: 64,
            quantum: Duration::from_micros(50),
            link: Link::new(Duration::from_micros(250)),
            turns: u64::MAX,
            rto: Duration::from_millis(200),
        }
    }
}

/// One direction of the path between two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// One-way delay. At least a nanosecond passes even where it is zero.
    pub latency: Duration,
    /// Up to this much is added to each packet, drawn evenly from the seed.
    pub jitter: Duration,
    /// How many of a million segments are lost, and so arrive one retransmission timeout later.
    pub loss_per_million: u32,
}

impl Link {
    /// A link of constant `latency`, without loss.
    pub const fn new(latency: Duration) -> Self {
        Self { latency, jitter: Duration::ZERO, loss_per_million: 0 }
    }

    /// The same with jitter.
    #[must_use]
    pub const fn with_jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// The same with loss; values over a million count as a million.
    #[must_use]
    pub const fn with_loss_per_million(self, loss_per_million: u32) -> Self {
        Self { loss_per_million, ..self }
    }
}

/// Why the engine refuses something.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The simulated kernels are per thread, so that one thread runs one world.
    #[error("this thread already runs a simulated network: drop its `Engine` first, or use another thread")]
    AnotherEngine,
    /// See [`Settings::slots`].
    #[error("{host} has no slot left to listen on: all {slots} are in use; raise `Settings::slots`")]
    OutOfSlots {
        /// The host that wanted to listen.
        host: IpAddr,
        /// The setting's value.
        slots: usize,
    },
    /// Two hosts, or a host and a router, cannot own one address.
    #[error("the address {0} is already in use: give each host an address of its own")]
    AddressTaken(IpAddr),
    /// Not a unicast IPv4 address, or one inside 240.0.0.0/4, which the kernels use.
    #[error("the address {0} cannot belong to a host: use an IPv4 unicast address outside 240.0.0.0/4")]
    AddressUnusable(IpAddr),
    /// A port that a host cannot choose to connect from: 0, or one that its kernel gives out by itself.
    #[error("a connection cannot use the source port {0}: choose a port from 1 to 49151")]
    PortUnusable(u16),
    /// Some setting has a value out of its range.
    #[error("the setting `{name}` is {value}, but must be {expected}")]
    Setting {
        /// The field of [`Settings`].
        name: &'static str,
        /// Its value.
        value: usize,
        /// The range.
        expected: &'static str,
    },
    /// The tokio runtime could not be built.
    #[error("the simulation's runtime cannot start: {0}")]
    Runtime(#[from] io::Error),
}

/// Why a run ended before its condition came true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The time given has passed; the clock stands exactly at its end.
    #[error("the run reached its time limit at {at:?} of simulated time")]
    Limit {
        /// Simulated time since the start.
        at: Duration,
    },
    /// No task lives and no packet is on its way: nothing can ever happen. Only
    /// [`run_until_true`](super::Engine::run_until_true) gives up so early, since a future may wait
    /// for a timer of its own.
    #[error("the simulation cannot continue: no task is alive and no packet is in transit")]
    Quiescent,
    /// The engine has done as much as it may ([`Settings::turns`]).
    #[error("the run is too long: after {at:?} of simulated time it exceeds the number of steps that a run may have")]
    Exhausted {
        /// Simulated time since the start.
        at: Duration,
    },
    /// A task started through `Net::spawn` panicked.
    #[error("{0}")]
    Panicked(TaskPanic),
}

/// A panic in a task of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task of the host {host} panicked at {at:?} of simulated time: {message}")]
pub struct TaskPanic {
    /// The task's host.
    pub host: IpAddr,
    /// When.
    pub at: Duration,
    /// What the panic said.
    pub message: String,
}
