//! Pooling: the idle upstream connections that any downstream connection may take.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use indexmap::IndexSet;
use stickler_model::Time;

use crate::{Farm, UpstreamId};

/// Which idle connections a pool keeps, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRule {
    /// An idle connection is closed after this time. nginx `keepalive_timeout`: 60 s.
    pub idle: Duration,
}

/// Idle upstream connections, keyed by the backend's address; the one that became idle last is taken first.
///
/// It knows numbers only. Taking and putting cost the same however many connections there are.
#[derive(Debug)]
pub struct Pool {
    rule: PoolRule,
    /// The stack of each backend, by its index in the farm: backends with one address share one.
    stack_of: Vec<usize>,
    /// Oldest first, so that the times in each are in order.
    stacks: Vec<VecDeque<(Time, UpstreamId)>>,
}

impl Pool {
    /// An empty pool for this farm.
    pub fn new(rule: PoolRule, farm: &Farm) -> Self {
        let mut addresses: IndexSet<SocketAddr> = IndexSet::new();
        let stack_of = farm.backends.iter().map(|backend| addresses.insert_full(backend.address).0).collect();
        Self { rule, stack_of, stacks: vec![VecDeque::new(); addresses.len()] }
    }

    /// Takes the connection to this backend that became idle last.
    pub fn take(&mut self, backend: usize) -> Option<UpstreamId> {
        let stack = *self.stack_of.get(backend)?;
        self.stacks[stack].pop_back().map(|(_, upstream)| upstream)
    }

    /// Keeps a connection to this backend, idle from now on.
    pub fn put(&mut self, now: Time, backend: usize, upstream: UpstreamId) {
        if let Some(&stack) = self.stack_of.get(backend) {
            self.stacks[stack].push_back((now, upstream));
        }
    }

    /// Forgets a connection to this backend that is idle since then, because it ended.
    pub fn remove(&mut self, backend: usize, since: Time, upstream: UpstreamId) {
        let Some(&stack) = self.stack_of.get(backend) else { return };
        let stack = &mut self.stacks[stack];
        let first = stack.partition_point(|&(at, _)| at < since);
        let found = stack.range(first..).position(|&(_, other)| other == upstream);
        if let Some(offset) = found {
            stack.remove(first + offset);
        }
    }

    /// Takes a connection that was idle for too long.
    pub fn expire(&mut self, now: Time) -> Option<UpstreamId> {
        let idle = self.rule.idle;
        let stack = self.stacks.iter_mut().find(|stack| stack.front().is_some_and(|&(at, _)| at + idle <= now))?;
        stack.pop_front().map(|(_, upstream)| upstream)
    }

    /// When the next connection will have been idle for too long.
    pub fn next_deadline(&self) -> Option<Time> {
        self.stacks.iter().filter_map(VecDeque::front).map(|&(at, _)| at + self.rule.idle).min()
    }

    /// All connections kept.
    pub fn iter(&self) -> impl Iterator<Item = UpstreamId> + '_ {
        self.stacks.iter().flatten().map(|&(_, upstream)| upstream)
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::Name;

    use super::*;
    use crate::Backend;

    const RULE: PoolRule = PoolRule { idle: Duration::from_nanos(60) };

    fn farm(ports: &[u16]) -> Farm {
        let backend = |&port: &u16| Backend {
            name: Name::from(format!("iis{port}")),
            address: SocketAddr::from(([10, 0, 0, 1], port)),
        };
        Farm { backends: ports.iter().map(backend).collect() }
    }

    #[test]
    fn the_last_in_is_the_first_out() {
        let mut pool = Pool::new(RULE, &farm(&[80]));
        pool.put(Time(1), 0, UpstreamId(1));
        pool.put(Time(2), 0, UpstreamId(2));
        assert_eq!(pool.take(0), Some(UpstreamId(2)));
        assert_eq!(pool.take(0), Some(UpstreamId(1)));
        assert_eq!(pool.take(0), None);
    }

    #[test]
    fn backends_share_connections_only_if_they_share_an_address() {
        let mut pool = Pool::new(RULE, &farm(&[80, 81, 80]));
        pool.put(Time(1), 0, UpstreamId(1));
        assert_eq!(pool.take(1), None);
        assert_eq!(pool.take(2), Some(UpstreamId(1)));
        assert_eq!(pool.take(9), None);
    }

    #[test]
    fn idle_connections_expire_oldest_first_and_at_their_deadline() {
        let mut pool = Pool::new(RULE, &farm(&[80, 81]));
        pool.put(Time(1), 1, UpstreamId(1));
        pool.put(Time(5), 0, UpstreamId(2));
        assert_eq!(pool.next_deadline(), Some(Time(61)));
        assert_eq!(pool.expire(Time(60)), None);
        assert_eq!(pool.expire(Time(61)), Some(UpstreamId(1)));
        assert_eq!(pool.expire(Time(61)), None);
        assert_eq!(pool.next_deadline(), Some(Time(65)));
    }

    #[test]
    fn a_connection_that_ended_is_forgotten_among_many_of_one_moment() {
        let mut pool = Pool::new(RULE, &farm(&[80]));
        for number in 1..=4 {
            pool.put(Time(u64::from(number / 2)), 0, UpstreamId(number));
        }
        pool.remove(0, Time(1), UpstreamId(3));
        pool.remove(0, Time(1), UpstreamId(9));
        assert_eq!(pool.iter().collect::<Vec<_>>(), [UpstreamId(1), UpstreamId(2), UpstreamId(4)]);
    }
}
