//! Workers: the processes or threads of a balancer, and how a client's connection is assigned to one of them.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use stickler_model::Entropy;

use super::error::RuleError;
use super::hash::hash;

/// The processes or threads of a balancer. Each has its own pool: a connection that lands on one worker does not find
/// what another one keeps. All workers share the state of the backends, the tables and the cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerRule {
    /// The number of workers, at least 1.
    pub count: u16,
    /// The rule by which a client's connection lands on a worker, where it stays.
    pub landing: Landing,
    /// The choice between one count of round robin's turns for each worker and one for all.
    pub turns: Turns,
}

/// The rule by which a connection lands on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Landing {
    /// A hash of the client's address and port names the worker: `SO_REUSEPORT` of Linux (socket(7)), nginx `reuseport`.
    Hash,
    /// The workers take connections in turn.
    RoundRobin,
    /// The kernel wakes any of the workers: the seed decides.
    Random,
    /// The first worker without a connection takes the new one, so the next client finds the connections that the last
    /// one left: prefork servers. If all workers are busy, the one with the fewest connections takes it.
    Idle,
}

/// The turns that round robin counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Turns {
    /// Each worker counts only its own turns: nginx without `zone`, Envoy, and threads of httpd that belong to
    /// different processes.
    Own,
    /// All workers share one count: HAProxy's threads.
    Shared,
}

impl WorkerRule {
    /// Checks that there is at least one worker.
    ///
    /// # Errors
    /// The number of workers is zero.
    pub const fn check(&self) -> Result<(), RuleError> {
        if self.count == 0 { Err(RuleError::Zero("the number of workers")) } else { Ok(()) }
    }

    /// Returns the number of workers that take turns separately.
    pub const fn takers(&self) -> u32 {
        match self.turns {
            Turns::Own => self.count as u32,
            Turns::Shared => 1,
        }
    }

    /// Returns the number of selections that take turns separately.
    pub(super) const fn turns(self) -> usize {
        self.takers() as usize
    }
}

/// Assigns connections to workers.
pub(super) struct Workers {
    landing: Landing,
    next: usize,
    draws: Entropy,
    /// The number of open connections of each worker.
    open: Vec<u32>,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("landing", &self.landing).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Workers {
    /// Returns the workers of this rule, without connections. `None` is one worker. All randomness comes from
    /// `entropy`.
    pub(super) fn new(rule: Option<WorkerRule>, entropy: Entropy) -> Self {
        let (count, landing) = rule.map_or((1, Landing::Idle), |rule| (rule.count, rule.landing));
        Self { landing, next: 0, draws: entropy, open: vec![0; usize::from(count.max(1))] }
    }

    /// Returns the number of workers.
    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    /// Assigns a connection of this client to a worker, and returns the worker.
    pub(super) fn land(&mut self, client: SocketAddr) -> usize {
        let count = self.open.len();
        let worker = match self.landing {
            Landing::Hash => {
                let digest = hash(&[client.ip().to_canonical().to_string().as_bytes(), &client.port().to_be_bytes()]);
                usize::try_from(digest % count as u64).unwrap_or(0)
            }
            Landing::RoundRobin => {
                let next = (self.next + 1) % count;
                std::mem::replace(&mut self.next, next)
            }
            Landing::Random => usize::try_from(self.draws.below(count as u64)).unwrap_or(0),
            Landing::Idle => (0..count).min_by_key(|&worker| self.open[worker]).unwrap_or(0),
        };
        self.open[worker] += 1;
        worker
    }

    /// Records that a connection of this worker has ended.
    pub(super) fn leave(&mut self, worker: usize) {
        if let Some(open) = self.open.get_mut(worker) {
            *open = open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(landing: Landing) -> Workers {
        let rule = WorkerRule { count: 3, landing, turns: Turns::Own };
        Workers::new(Some(rule), Entropy::new(0, "test"))
    }

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 9], port))
    }

    #[test]
    fn a_hash_lands_one_port_on_one_worker_and_others_elsewhere() {
        let mut workers = workers(Landing::Hash);
        let first: Vec<usize> = (1..40).map(|port| workers.land(client(port))).collect();
        let again: Vec<usize> = (1..40).map(|port| workers.land(client(port))).collect();
        assert_eq!(first, again);
        assert!((0..3).all(|worker| first.contains(&worker)), "{first:?}");
    }

    #[test]
    fn turns_and_draws_reach_every_worker() {
        let mut in_turn = workers(Landing::RoundRobin);
        assert_eq!([0; 4].map(|_| in_turn.land(client(1))), [0, 1, 2, 0]);
        let mut drawn = workers(Landing::Random);
        let seen: Vec<usize> = (0..40).map(|_| drawn.land(client(1))).collect();
        assert!((0..3).all(|worker| seen.contains(&worker)), "{seen:?}");
    }

    #[test]
    fn an_idle_worker_is_the_next_clients_and_a_busy_one_is_not() {
        let mut workers = workers(Landing::Idle);
        assert_eq!((workers.land(client(1)), workers.land(client(2))), (0, 1));
        workers.leave(0);
        assert_eq!((workers.land(client(3)), workers.land(client(4)), workers.land(client(5))), (0, 2, 0));
    }

    #[test]
    fn no_worker_at_all_is_refused() {
        let rule = WorkerRule { count: 0, landing: Landing::Hash, turns: Turns::Own };
        assert_eq!(rule.check(), Err(RuleError::Zero("the number of workers")));
    }

    #[test]
    fn the_state_names_the_rule_and_the_connections() {
        let mut workers = workers(Landing::Idle);
        workers.land(client(1));
        assert_eq!(format!("{workers:?}"), "Workers { landing: Idle, open: [1, 0, 0], .. }");
    }
}
