//! Load on a simulated network, in rounds: each client performs its share, one exchange after the other, and all
//! clients work at the same time.
//!
//! * [`Site`]: the whole simulated world, through one of its balancers.
//! * [`Bare`]: the same exchanges without the world: hyper at both ends, and between them a forwarder of packets or a
//!   plain proxy, without authentication, policy or trace. The application is the same: for requests, the server
//!   renders its JSON and the client reads and digests it.
//! * [`Plan`]: the number of exchanges in a round of `Site`, so `Bare` performs exactly as many.

mod bare;
mod site;

use std::future::Future;
use std::time::Duration;

use stickler_catalogue::Mechanism;
use stickler_lb_core::Layer;
use stickler_model::Answer;
use stickler_net::Net as _;
use stickler_sim::engine::{Engine, SimNet};
use tokio::sync::mpsc;

pub use bare::Bare;
pub(crate) use site::browser;
pub use site::{Site, standard_topology};

/// A simulated time that a round never needs.
const ROUND_LIMIT: Duration = Duration::from_hours(1);

/// The work of the clients in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Requests on a persistent connection, which is authenticated beforehand if the balancer allows that.
    Requests,
    /// A new connection, a handshake and the answer, each time.
    Authentications,
}

/// The hops between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hops {
    /// A router that rewrites each packet's addresses.
    Packets,
    /// A proxy with one upstream connection for each downstream one.
    Proxy,
    /// A proxy with a new upstream connection for each request.
    FreshProxy,
}

/// The size of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The number of clients.
    pub clients: usize,
    /// The work that they do.
    pub work: Work,
    /// The number of times that each does it.
    pub each: usize,
}

/// The result of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The number of HTTP exchanges of each piece of work, by client.
    pub exchanges: Vec<Vec<u32>>,
    /// The number of pieces of work that ended in 200.
    pub good: usize,
    /// The length of the last answer's body in bytes.
    pub body: u64,
}

impl Work {
    /// Returns the name of the work in benchmark ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Authentications => "authentications",
        }
    }
}

impl Hops {
    /// Returns the bare counterpart of a mechanism.
    pub fn of(mechanism: &Mechanism) -> Self {
        match (mechanism.layer, &*mechanism.name) {
            (Layer::L4, _) => Self::Packets,
            (Layer::L7, "close-per-request") => Self::FreshProxy,
            (Layer::L7, _) => Self::Proxy,
        }
    }

    /// Returns the name of the hops in benchmark ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packets => "bare-packets",
            Self::Proxy => "bare-proxy",
            Self::FreshProxy => "bare-fresh-proxy",
        }
    }
}

impl Shape {
    /// Returns a round that is just long enough to measure.
    pub fn new(work: Work, clients: usize) -> Self {
        let each = match work {
            Work::Requests => (1000 / clients).clamp(2, 200),
            Work::Authentications => (200 / clients).clamp(1, 20),
        };
        Self { clients, work, each }
    }

    /// Returns the number of pieces of work in a round.
    pub fn total(self) -> u64 {
        (self.clients * self.each) as u64
    }
}

impl Plan {
    /// Returns the number of HTTP exchanges in all.
    pub fn total(&self) -> u64 {
        self.exchanges.iter().flatten().map(|&count| u64::from(count)).sum()
    }

    fn note(&mut self, client: usize, answers: Vec<Answer>) {
        if self.exchanges.len() <= client {
            self.exchanges.resize(client + 1, Vec::new());
        }
        for answer in answers {
            self.exchanges[client].push(answer.requests);
            self.good += usize::from(answer.status == Some(200));
            self.body = answer.body_length;
        }
    }
}

/// Runs one task on each host, all at the same time, until all are done. Returns their results.
fn run_on_all<T, F>(engine: &mut Engine, tasks: impl Iterator<Item = (SimNet, F)>) -> Vec<(usize, T)>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut count = 0;
    for (index, (net, task)) in tasks.enumerate() {
        let sender = sender.clone();
        net.spawn(async move {
            // The receiver lives until all have sent, or the run has failed for another reason.
            let _ = sender.send((index, task.await));
        });
        count += 1;
    }
    drop(sender);
    let all = async move {
        let mut results = Vec::with_capacity(count);
        while let Some(result) = receiver.recv().await {
            results.push(result);
        }
        results
    };
    let results = engine.run_until(all, ROUND_LIMIT).unwrap_or_else(|stopped| panic!("a round of load: {stopped}"));
    assert_eq!(results.len(), count, "each task of a round comes to its end");
    results
}

#[cfg(test)]
mod tests {
    use stickler_catalogue::mechanisms;

    use super::*;

    #[test]
    fn the_bare_network_does_the_exchanges_of_the_whole_one() {
        for mechanism in mechanisms() {
            for work in [Work::Requests, Work::Authentications] {
                let shape = Shape { clients: 3, work, each: 2 };
                let mut site = Site::new(mechanism, shape);
                let plan = site.round();
                assert_eq!(plan.exchanges.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2], "{}", mechanism.name);
                drop(site);
                let mut bare = Bare::new(Hops::of(mechanism), work, &plan);
                assert_eq!(bare.round(), plan.total(), "{}", mechanism.name);
                assert_eq!(bare.round(), plan.total(), "{}", mechanism.name);
            }
        }
    }

    #[test]
    fn mechanisms_that_keep_a_connection_carry_all_of_the_load() {
        for name in ["l4-nat", "pin-on-401"] {
            let mechanism = stickler_catalogue::find(name).expect("it exists");
            let requests = Site::new(&mechanism, Shape { clients: 3, work: Work::Requests, each: 2 }).round();
            assert_eq!((requests.good, requests.total()), (6, 6), "{name}: authenticated before");
            let logons = Site::new(&mechanism, Shape { clients: 3, work: Work::Authentications, each: 2 }).round();
            assert_eq!((logons.good, logons.total()), (6, 18), "{name}: a handshake of three each");
        }
    }
}
