//! The settings of an engine, and the errors and endings that it reports.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// The settings with which an [`Engine`](super::Engine) is built. The defaults suit a farm in one data centre.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The seed of ChaCha8, which draws jitter and loss. The same seed gives the same packets.
    pub seed: u64,
    /// The number of kernels (TCP stacks) that carry the hosts. Every pass over the network visits each of them (about
    /// ten nanoseconds for an idle one), while the cost of a connect or close grows with the number of sockets in its
    /// kernel: with a connection for each request, 1,000 clients run twice as fast on 8 kernels as on one.
    pub kernels: usize,
    /// The maximum number of listening hosts, where each restart counts as another one. A host that only connects needs
    /// no slot, so this does not limit the number of clients.
    pub slots: usize,
    /// The quantum of time: arrivals are rounded up to its multiples. One pass over the network, which visits every
    /// socket, then serves many packets. Without jitter packets coincide anyway, and the setting has no effect. With
    /// jitter, 20 us instead of 50 cost a third of the speed at 1,000 connections, and more than 50 gained nothing. Zero
    /// delivers at the exact nanosecond. Latencies that are multiples of it stay exact. A value that divides a
    /// millisecond keeps timers and packets at the same times.
    pub quantum: Duration,
    /// The link between two hosts for which [`Engine::set_link`](super::Engine::set_link) set none.
    pub link: Link,
    /// The number of times that the engine may choose what comes next ([`Stats::turns`](super::Stats)), which limits
    /// the work of a run.
    pub turns: u64,
    /// The delay that a lost segment causes. A lost SYN causes [`SYN_RTO`](super::SYN_RTO).
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
    /// The delay in one direction. At least a nanosecond passes, even if it is zero.
    pub latency: Duration,
    /// The maximum additional delay of a packet, drawn evenly from the seed.
    pub jitter: Duration,
    /// The number of segments in a million that are lost, and therefore arrive one retransmission timeout later.
    pub loss_per_million: u32,
}

impl Link {
    /// Returns a link with constant `latency`, without loss.
    pub const fn new(latency: Duration) -> Self {
        Self { latency, jitter: Duration::ZERO, loss_per_million: 0 }
    }

    /// Returns the same link with jitter.
    #[must_use]
    pub const fn with_jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Returns the same link with loss. Values over a million count as a million.
    #[must_use]
    pub const fn with_loss_per_million(self, loss_per_million: u32) -> Self {
        Self { loss_per_million, ..self }
    }
}

/// Why the engine refuses a request.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The thread has an engine already. The simulated kernels belong to a thread, so one thread runs one world.
    #[error("this thread already runs a simulated network: drop its `Engine` first, or use another thread")]
    AnotherEngine,
    /// There is no slot left for a listening host, see [`Settings::slots`].
    #[error("{host} has no slot left to listen on: all {slots} are in use; raise `Settings::slots`")]
    OutOfSlots {
        /// The host that wanted to listen.
        host: IpAddr,
        /// The value of the setting.
        slots: usize,
    },
    /// The address already belongs to another host or router.
    #[error("the address {0} is already in use: give each host an address of its own")]
    AddressTaken(IpAddr),
    /// The address is not a unicast IPv4 address, or is inside 240.0.0.0/4, which the kernels use.
    #[error("the address {0} cannot belong to a host: use an IPv4 unicast address outside 240.0.0.0/4")]
    AddressUnusable(IpAddr),
    /// A host cannot choose this port as a source: it is 0, or one that the kernel assigns itself.
    #[error("a connection cannot use the source port {0}: choose a port from 1 to 49151")]
    PortUnusable(u16),
    /// A setting has a value outside its range.
    #[error("the setting `{name}` is {value}, but must be {expected}")]
    Setting {
        /// The name of the field in [`Settings`].
        name: &'static str,
        /// The value of the setting.
        value: usize,
        /// The description of the range.
        expected: &'static str,
    },
    /// The tokio runtime could not be built.
    #[error("the simulation's runtime cannot start: {0}")]
    Runtime(#[from] io::Error),
}

/// Why a run ended before its condition became true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The time limit was reached. The clock is exactly at its end.
    #[error("the run reached its time limit at {at:?} of simulated time")]
    Limit {
        /// The simulated time since the start.
        at: Duration,
    },
    /// No task is alive and no packet is in transit, so nothing can ever happen. Only
    /// [`run_until_true`](super::Engine::run_until_true) gives up so early, because a future may wait for its own timer.
    #[error("the simulation cannot continue: no task is alive and no packet is in transit")]
    Quiescent,
    /// The engine has done as much work as it may ([`Settings::turns`]).
    #[error("the run is too long: after {at:?} of simulated time it exceeds the number of steps that a run may have")]
    Exhausted {
        /// The simulated time since the start.
        at: Duration,
    },
    /// A task that was started with `Net::spawn` panicked.
    #[error("{0}")]
    Panicked(TaskPanic),
}

/// A panic in a task of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task of the host {host} panicked at {at:?} of simulated time: {message}")]
pub struct TaskPanic {
    /// The task's host.
    pub host: IpAddr,
    /// The simulated time of the panic.
    pub at: Duration,
    /// The message of the panic.
    pub message: String,
}
