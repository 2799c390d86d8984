//! Pooling: the idle upstream connections that any downstream connection may take.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use stickler_model::Time;

use super::error::RuleError;
use super::persist::Mask;
use crate::{Farm, List, Text, UpstreamId};

/// The rule that says which idle connections a pool keeps, which requests may take them, and how long they stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolRule {
    /// The time after which an idle connection is closed (nginx `keepalive_timeout`: 60 s).
    pub idle: Duration,
    /// The requests that may take a connection which another downstream connection has used (HAProxy `http-reuse`).
    pub share: Share,
    /// The order in which idle connections are taken.
    pub order: Order,
    /// Path prefixes. Requests with different prefixes share no connection. The longest prefix that matches counts
    /// (nginx locations, each with its own `keepalive`). Empty: the key is the backend's address alone.
    pub locations: List<Text>,
    /// The mask that groups clients: those whose addresses differ under it share no connection (F5 OneConnect's source
    /// mask). `None`: the client's address does not matter.
    pub source: Option<Mask>,
    /// The maximum number of idle connections with one key. `None`: there is no limit.
    pub per_key: Option<u32>,
    /// The maximum number of idle connections in all. `None`: there is no limit. nginx's `keepalive` is 32 here.
    pub in_all: Option<u32>,
    /// The connection that is closed if there are too many.
    pub overflow: Overflow,
    /// The number of requests after which a connection is closed. `None`: there is no limit. nginx's
    /// `keepalive_requests` is 1000.
    pub requests: Option<u32>,
    /// The age beyond which a connection is not kept. `None`: there is no limit. nginx's `keepalive_time` is 1 h.
    pub life: Option<Duration>,
}

/// The requests that may take an idle connection. The names and rules are HAProxy's. nginx and httpd are `Always`, and
/// httpd with `proxy-initial-not-pooled` is `Safe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Share {
    /// Only requests of the same downstream connection: each connection stays with its downstream connection and closes
    /// with it.
    Never {
        /// The maximum number of idle connections of one downstream connection. HAProxy `max-session-srv-conns`: 5;
        /// SKUDONET: 1.
        slots: u8,
    },
    /// Any request, except for the first request of a downstream connection, which opens a new connection.
    Safe,
    /// Any request. However, the first request of a downstream connection takes only a connection that was reused
    /// before, and that is therefore known to tolerate reuse.
    Aggressive,
    /// Any request.
    Always,
}

/// The order in which idle connections are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// The connection that became idle last is taken first.
    Lifo,
    /// The connection that became idle first is taken first.
    Fifo,
}

/// The treatment of a connection for which a full pool has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Overflow {
    /// The connection that has been idle for longest is closed to make room (nginx).
    CloseOldest,
    /// The new connection is closed (HAProxy `pool-max-conn`).
    CloseNew,
}

impl PoolRule {
    /// Returns the rule of one pool for all clients: LIFO, by address, without limits except for this idle time.
    pub const fn shared(idle: Duration) -> Self {
        Self {
            idle,
            share: Share::Always,
            order: Order::Lifo,
            locations: List::Borrowed(&[]),
            source: None,
            per_key: None,
            in_all: None,
            overflow: Overflow::CloseOldest,
            requests: None,
            life: None,
        }
    }

    /// Checks that the pool can keep connections.
    ///
    /// # Errors
    /// A limit is zero, or the mask has more bits than an address.
    pub fn check(&self) -> Result<(), RuleError> {
        self.source.map_or(Ok(()), Mask::check)?;
        let zero = |limit: Option<u32>, what| if limit == Some(0) { Err(RuleError::Zero(what)) } else { Ok(()) };
        zero(self.per_key, "the most idle connections of a key")?;
        zero(self.in_all, "the most idle connections in all")?;
        zero(self.requests, "the most requests of a connection")?;
        if matches!(self.share, Share::Never { slots: 0 }) { Err(RuleError::Zero("the private slots")) } else { Ok(()) }
    }

    /// Returns the number of the location of this path: 0 if no prefix matches, otherwise the place of the prefix in
    /// the rule, from 1.
    pub fn location(&self, path: &str) -> usize {
        longest_prefix(&self.locations, path)
    }

    /// Returns the number of classes of idle connections that are kept apart.
    const fn classes(&self) -> usize {
        if matches!(self.share, Share::Aggressive) { 2 } else { 1 }
    }

    /// Returns whether a connection that was opened at this time and has carried this many requests may be kept.
    pub fn keeps(&self, now: Time, opened: Time, served: u32) -> bool {
        self.requests.is_none_or(|limit| served < limit) && self.life.is_none_or(|life| now - opened < life)
    }
}

/// Returns the number, from 1, of the longest of these prefixes with which the path begins, or 0 if none matches.
pub(super) fn longest_prefix(prefixes: &[Text], path: &str) -> usize {
    let fits = prefixes.iter().enumerate().filter(|(_, prefix)| path.starts_with(&***prefix));
    fits.max_by_key(|(_, prefix)| prefix.len()).map_or(0, |(index, _)| index + 1)
}

/// The key under which a connection is kept: its backend, its location, and the other properties that separate
/// connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolKey {
    /// The backend's index in the farm.
    pub backend: usize,
    /// The location, as numbered by [`PoolRule::location`].
    pub location: usize,
    /// The part of the client's address that counts, or `None` if addresses do not matter.
    pub group: Option<IpAddr>,
    /// The worker that has the connection ([`super::workers::WorkerRule`]). Each worker has its own pool.
    pub worker: usize,
    /// Whether the connection was reused before. This matters under [`Share::Aggressive`] only. A request for `false`
    /// gets a connection of either kind, preferably one that was not reused.
    pub proven: bool,
}

impl From<usize> for PoolKey {
    fn from(backend: usize) -> Self {
        Self { backend, location: 0, group: None, worker: 0, proven: false }
    }
}

/// The result when a connection is put into the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The pool keeps the connection.
    Kept,
    /// The pool keeps the connection, and has given up this one for it.
    InPlaceOf(UpstreamId),
    /// The pool does not keep the connection.
    Refused,
}

/// Idle upstream connections, keyed by the backend's address and the location. [`super::grouped::Pools`] decides which
/// clients share them.
///
/// The pool knows numbers only. The cost of taking and returning a connection does not depend on the number of
/// connections.
#[derive(Debug, Clone)]
pub struct Pool {
    rule: PoolRule,
    /// The first stack of each backend, by the backend's index in the farm. Backends with the same address share their
    /// stacks.
    stack_of: Vec<usize>,
    /// The stacks of connections, each with the time since which it has been idle, the oldest first.
    stacks: Vec<VecDeque<(Time, UpstreamId)>>,
    len: usize,
}

impl Pool {
    /// Returns an empty pool for this farm.
    pub fn new(rule: PoolRule, farm: &Farm) -> Self {
        let mut addresses: IndexSet<SocketAddr> = IndexSet::new();
        let width = (rule.locations.len() + 1) * rule.classes();
        let stack_of = farm.backends.iter().map(|backend| addresses.insert_full(backend.address).0 * width).collect();
        Self { rule, stack_of, stacks: vec![VecDeque::new(); addresses.len() * width], len: 0 }
    }

    /// Takes a connection with this key out of the pool, in the rule's order.
    pub fn take(&mut self, key: impl Into<PoolKey>) -> Option<UpstreamId> {
        let key = key.into();
        let stacks = self.stacks_of(key)?;
        let stacks = if key.proven { stacks.end - 1..stacks.end } else { stacks };
        let stack = stacks.rev().find(|&index| !self.stacks[index].is_empty())?;
        let stack = &mut self.stacks[stack];
        let (_, upstream) = match self.rule.order {
            Order::Lifo => stack.pop_back(),
            Order::Fifo => stack.pop_front(),
        }?;
        self.len -= 1;
        Some(upstream)
    }

    /// Keeps a connection under this key; it is idle from now on.
    pub fn put(&mut self, now: Time, key: impl Into<PoolKey>, upstream: UpstreamId) -> Put {
        let key = key.into();
        let (Some(stack), Some(of_key)) = (self.stack(key), self.stacks_of(key)) else { return Put::Refused };
        let reached = |limit: Option<u32>, len: usize| limit.is_some_and(|limit| len >= limit as usize);
        let idle = of_key.clone().map(|index| self.stacks[index].len()).sum();
        let crowded = reached(self.rule.per_key, idle);
        let evicted = if !crowded && !reached(self.rule.in_all, self.len) {
            None
        } else if self.rule.overflow == Overflow::CloseNew {
            return Put::Refused;
        } else {
            let among = if crowded { of_key } else { 0..self.stacks.len() };
            self.oldest(among).and_then(|(_, oldest)| self.pop_oldest(oldest))
        };
        self.stacks[stack].push_back((now, upstream));
        self.len += 1;
        evicted.map_or(Put::Kept, Put::InPlaceOf)
    }

    /// Removes a connection that has ended. It was kept under this key and had been idle since this time.
    pub fn remove(&mut self, key: impl Into<PoolKey>, since: Time, upstream: UpstreamId) {
        let Some(stack) = self.stack(key.into()) else { return };
        let stack = &mut self.stacks[stack];
        let first = stack.partition_point(|&(at, _)| at < since);
        let found = stack.range(first..).position(|&(_, other)| other == upstream);
        if let Some(offset) = found {
            stack.remove(first + offset);
            self.len -= 1;
        }
    }

    /// Takes out a connection that has been idle for longer than the limit.
    pub fn expire(&mut self, now: Time) -> Option<UpstreamId> {
        let idle = self.rule.idle;
        let due = |stack: &VecDeque<(Time, UpstreamId)>| stack.front().is_some_and(|&(at, _)| at + idle <= now);
        let stack = self.stacks.iter().position(due)?;
        self.pop_oldest(stack)
    }

    /// Takes out the connection that has been idle for longest.
    pub fn evict(&mut self) -> Option<UpstreamId> {
        let (_, stack) = self.oldest(0..self.stacks.len())?;
        self.pop_oldest(stack)
    }

    /// Returns the number of connections that the pool keeps.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the pool is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the time at which the next connection exceeds the idle limit.
    pub fn next_deadline(&self) -> Option<Time> {
        self.oldest(0..self.stacks.len()).map(|(at, _)| at + self.rule.idle)
    }

    /// Returns all connections that the pool keeps.
    pub fn iter(&self) -> impl Iterator<Item = UpstreamId> + '_ {
        self.stacks.iter().flatten().map(|&(_, upstream)| upstream)
    }

    /// Returns the time since which the oldest connection of these stacks has been idle, and its stack.
    fn oldest(&self, among: Range<usize>) -> Option<(Time, usize)> {
        among.filter_map(|index| Some((self.stacks[index].front()?.0, index))).min()
    }

    fn pop_oldest(&mut self, stack: usize) -> Option<UpstreamId> {
        let (_, upstream) = self.stacks[stack].pop_front()?;
        self.len -= 1;
        Some(upstream)
    }

    /// Returns all stacks of this key, with those of reused connections last if they are kept apart.
    fn stacks_of(&self, key: PoolKey) -> Option<Range<usize>> {
        let first = self.stack_of.get(key.backend).filter(|_| key.location <= self.rule.locations.len())?;
        let first = first + key.location * self.rule.classes();
        Some(first..first + self.rule.classes())
    }

    fn stack(&self, key: PoolKey) -> Option<usize> {
        let stacks = self.stacks_of(key)?;
        Some(if key.proven { stacks.end - 1 } else { stacks.start })
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::Name;

    use super::*;
    use crate::{Backend, texts};

    const RULE: PoolRule = PoolRule::shared(Duration::from_nanos(60));

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

    #[test]
    fn the_first_in_is_the_first_out_where_the_rule_says_so() {
        let mut pool = Pool::new(PoolRule { order: Order::Fifo, ..RULE }, &farm(&[80]));
        pool.put(Time(1), 0, UpstreamId(1));
        pool.put(Time(2), 0, UpstreamId(2));
        assert_eq!((pool.take(0), pool.take(0), pool.take(0)), (Some(UpstreamId(1)), Some(UpstreamId(2)), None));
    }

    #[test]
    fn locations_share_nothing_and_the_longest_prefix_counts() {
        let rule = PoolRule { locations: texts(&["/a", "/a/b"]), ..RULE };
        assert_eq!(["/", "/a", "/abc", "/a/b/c"].map(|path| rule.location(path)), [0, 1, 1, 2]);
        let mut pool = Pool::new(rule, &farm(&[80, 81]));
        let key = |backend, location| PoolKey { backend, location, group: None, worker: 0, proven: false };
        pool.put(Time(1), key(1, 1), UpstreamId(1));
        for (backend, location) in [(1, 0), (1, 2), (0, 1), (1, 3), (0, 3)] {
            assert_eq!(pool.take(key(backend, location)), None, "{backend} {location}");
        }
        assert_eq!(pool.take(key(1, 1)), Some(UpstreamId(1)));
    }

    #[test]
    fn a_full_pool_closes_the_oldest_or_the_new_one() {
        let limited = PoolRule { per_key: Some(2), in_all: Some(3), ..RULE };
        let mut pool = Pool::new(limited.clone(), &farm(&[80, 81]));
        assert_eq!(pool.put(Time(1), 0, UpstreamId(1)), Put::Kept);
        assert_eq!(pool.put(Time(2), 1, UpstreamId(2)), Put::Kept);
        assert_eq!(pool.put(Time(3), 1, UpstreamId(3)), Put::Kept);
        assert_eq!(pool.put(Time(4), 1, UpstreamId(4)), Put::InPlaceOf(UpstreamId(2)), "of its key");
        assert_eq!(pool.put(Time(5), 0, UpstreamId(5)), Put::InPlaceOf(UpstreamId(1)), "in all");
        assert_eq!(pool.iter().count(), 3);

        let mut pool = Pool::new(PoolRule { overflow: Overflow::CloseNew, ..limited }, &farm(&[80]));
        assert_eq!([1, 2, 3].map(|id| pool.put(Time(1), 0, UpstreamId(id))), [Put::Kept, Put::Kept, Put::Refused]);
        assert_eq!(pool.put(Time(1), 7, UpstreamId(4)), Put::Refused, "no such backend");
    }

    #[test]
    fn a_connection_is_worn_out_by_requests_or_age() {
        let rule = PoolRule { requests: Some(2), life: Some(Duration::from_nanos(10)), ..RULE };
        assert!(rule.keeps(Time(9), Time(0), 1));
        assert!(!rule.keeps(Time(9), Time(0), 2) && !rule.keeps(Time(10), Time(0), 1));
        assert!(RULE.keeps(Time(u64::MAX), Time(0), u32::MAX));
    }

    #[test]
    fn a_limit_of_zero_is_an_error() {
        assert_eq!(RULE.check(), Ok(()));
        for rule in [
            PoolRule { per_key: Some(0), ..RULE },
            PoolRule { in_all: Some(0), ..RULE },
            PoolRule { requests: Some(0), ..RULE },
            PoolRule { share: Share::Never { slots: 0 }, ..RULE },
        ] {
            assert!(matches!(rule.check(), Err(RuleError::Zero(_))));
        }
    }

    #[test]
    fn an_aggressive_pool_tells_proven_connections_apart() {
        let rule = PoolRule { share: Share::Aggressive, per_key: Some(2), ..RULE };
        let mut pool = Pool::new(rule, &farm(&[80]));
        let key = |proven| PoolKey { backend: 0, location: 0, group: None, worker: 0, proven };
        pool.put(Time(1), key(true), UpstreamId(1));
        pool.put(Time(2), key(false), UpstreamId(2));
        assert_eq!(pool.put(Time(3), key(false), UpstreamId(3)), Put::InPlaceOf(UpstreamId(1)), "one limit for both");
        assert_eq!(pool.take(key(true)), None, "none is proven");
        pool.put(Time(4), key(true), UpstreamId(4));
        assert_eq!((pool.take(0), pool.take(0)), (Some(UpstreamId(4)), Some(UpstreamId(3))), "proven ones first");
    }

    #[test]
    fn the_number_of_connections_follows_each_change() {
        let mut pool = Pool::new(RULE, &farm(&[80]));
        assert!(pool.is_empty());
        for number in 1..=8 {
            pool.put(Time(u64::from(number)), 0, UpstreamId(number));
        }
        assert_eq!((pool.len(), pool.is_empty()), (8, false));
        pool.remove(0, Time(2), UpstreamId(2));
        assert_eq!((pool.len(), pool.iter().count()), (7, 7));
        assert_eq!((pool.evict(), pool.len()), (Some(UpstreamId(1)), 6));
        assert_eq!((pool.expire(Time(63)), pool.len()), (Some(UpstreamId(3)), 5));
        assert_eq!((pool.take(0), pool.len()), (Some(UpstreamId(8)), 4));
    }

    #[test]
    fn each_location_of_an_aggressive_pool_has_both_classes() {
        let rule = PoolRule { share: Share::Aggressive, locations: texts(&["/a"]), ..RULE };
        let mut pool = Pool::new(rule, &farm(&[80, 81]));
        let keys = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .flat_map(|(backend, location)| [false, true].map(|proven| (backend, location, proven)))
            .map(|(backend, location, proven)| PoolKey { backend, location, group: None, worker: 0, proven });
        let numbers: Vec<_> = (1..).map(UpstreamId).zip(keys).collect();
        for &(number, key) in &numbers {
            assert_eq!(pool.put(Time(1), key, number), Put::Kept);
        }
        for &(number, key) in numbers.iter().rev() {
            assert_eq!(pool.take(key), Some(number), "{key:?}");
        }
    }
}
