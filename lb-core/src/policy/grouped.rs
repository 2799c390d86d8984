//! Pools that are separate for groups of client addresses, as with F5 OneConnect's source mask.

use std::collections::BTreeSet;
use std::net::IpAddr;

use indexmap::IndexMap;
use stickler_model::Time;

use super::pool::{Overflow, Pool, PoolKey, PoolRule, Put};
use crate::{Farm, UpstreamId};

/// The idle connections of a mechanism: one [`Pool`] for all clients, or one for each group of them.
///
/// A group without idle connections costs nothing. The cost of a decision grows with the logarithm of the number of
/// groups.
#[derive(Debug)]
pub struct Pools {
    rule: PoolRule,
    /// The pool of clients in no group. If clients are grouped, this pool stays empty and serves as the template of a
    /// group's pool.
    shared: Pool,
    /// The groups that have idle connections.
    groups: IndexMap<IpAddr, Pool>,
    /// The next deadline of each group.
    deadlines: BTreeSet<(Time, IpAddr)>,
    /// The number of idle connections in all groups.
    grouped: usize,
}

impl Pools {
    /// Returns empty pools for this farm.
    pub fn new(rule: PoolRule, farm: &Farm) -> Self {
        // The limit on all pools together does not apply within a group.
        let in_all = rule.in_all.filter(|_| rule.source.is_none());
        let own = PoolRule { in_all, ..rule.clone() };
        let (groups, deadlines) = (IndexMap::new(), BTreeSet::new());
        Self { rule, shared: Pool::new(own, farm), groups, deadlines, grouped: 0 }
    }

    /// Returns the group of a client at this address, or `None` if clients are not grouped.
    pub fn group(&self, client: IpAddr) -> Option<IpAddr> {
        self.rule.source.map(|mask| mask.apply(client))
    }

    /// Takes a connection with this key out of the pools, in the rule's order.
    pub fn take(&mut self, key: PoolKey) -> Option<UpstreamId> {
        match key.group {
            None => self.shared.take(key),
            Some(group) => self.within(group, |pool| pool.take(key)),
        }
    }

    /// Keeps a connection under this key; it is idle from now on.
    pub fn put(&mut self, now: Time, key: PoolKey, upstream: UpstreamId) -> Put {
        let Some(group) = key.group else { return self.shared.put(now, key, upstream) };
        let full = |len: usize| self.rule.in_all.is_some_and(|limit| len >= limit as usize);
        if full(self.grouped) && self.rule.overflow == Overflow::CloseNew {
            return Put::Refused;
        }
        let crowded = full(self.grouped);
        match self.within(group, |pool| pool.put(now, key, upstream)) {
            Put::Kept if crowded => {
                let oldest = self.deadlines.first().map(|&(_, group)| group);
                let evicted = oldest.and_then(|group| self.within(group, Pool::evict));
                evicted.map_or(Put::Kept, Put::InPlaceOf)
            }
            put => put,
        }
    }

    /// Removes a connection that has ended. It was kept under this key and had been idle since this time.
    pub fn remove(&mut self, key: PoolKey, since: Time, upstream: UpstreamId) {
        match key.group {
            None => self.shared.remove(key, since, upstream),
            Some(group) => self.within(group, |pool| pool.remove(key, since, upstream)),
        }
    }

    /// Takes out a connection that has been idle for longer than the limit.
    pub fn expire(&mut self, now: Time) -> Option<UpstreamId> {
        let due = self.deadlines.first().filter(|&&(deadline, _)| deadline <= now).map(|&(_, group)| group);
        match due {
            Some(group) => self.within(group, |pool| pool.expire(now)),
            None => self.shared.expire(now),
        }
    }

    /// Returns the time at which the next connection exceeds the idle limit.
    pub fn next_deadline(&self) -> Option<Time> {
        let of_groups = self.deadlines.first().map(|&(deadline, _)| deadline);
        self.shared.next_deadline().into_iter().chain(of_groups).min()
    }

    /// Returns all connections that are kept.
    pub fn iter(&self) -> impl Iterator<Item = UpstreamId> + '_ {
        self.shared.iter().chain(self.groups.values().flat_map(Pool::iter))
    }

    /// Runs `act` on a group's pool, which exists only while the group has idle connections.
    fn within<T>(&mut self, group: IpAddr, act: impl FnOnce(&mut Pool) -> T) -> T {
        let pool = self.groups.entry(group).or_insert_with(|| self.shared.clone());
        let (before, deadline) = (pool.len(), pool.next_deadline());
        let result = act(pool);
        let (after, next) = (pool.len(), pool.next_deadline());
        self.grouped = self.grouped + after - before;
        if after == 0 {
            self.groups.swap_remove(&group);
        }
        if deadline != next {
            deadline.map(|deadline| self.deadlines.remove(&(deadline, group)));
            next.map(|next| self.deadlines.insert((next, group)));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use stickler_model::Name;

    use super::super::persist::Mask;
    use super::*;
    use crate::Backend;

    fn rule() -> PoolRule {
        PoolRule { source: Some(Mask { v4: 24, v6: 64 }), ..PoolRule::shared(Duration::from_nanos(60)) }
    }

    fn pools(rule: PoolRule) -> Pools {
        let backend = Backend { name: Name::from("iis1"), address: SocketAddr::from(([10, 0, 0, 1], 80)) };
        Pools::new(rule, &Farm { backends: vec![backend] })
    }

    fn key(pools: &Pools, client: [u8; 4]) -> PoolKey {
        PoolKey { group: pools.group(client.into()), ..PoolKey::from(0) }
    }

    #[test]
    fn clients_of_one_network_share_and_others_do_not() {
        let mut pools = pools(rule());
        let (near, far) = (key(&pools, [10, 1, 0, 1]), key(&pools, [10, 1, 1, 1]));
        assert_eq!(near, key(&pools, [10, 1, 0, 200]));
        pools.put(Time(1), near, UpstreamId(1));
        assert_eq!((pools.take(far), pools.take(near), pools.take(near)), (None, Some(UpstreamId(1)), None));
        assert!(pools.groups.is_empty() && pools.deadlines.is_empty() && pools.grouped == 0);
    }

    #[test]
    fn the_oldest_of_all_groups_expires_first_and_makes_room() {
        let mut pools = pools(PoolRule { in_all: Some(2), ..rule() });
        let keys = [1, 2, 3].map(|net| key(&pools, [10, 1, net, 1]));
        assert_eq!(pools.put(Time(1), keys[0], UpstreamId(1)), Put::Kept);
        assert_eq!(pools.put(Time(2), keys[1], UpstreamId(2)), Put::Kept);
        assert_eq!(pools.next_deadline(), Some(Time(61)));
        assert_eq!(pools.put(Time(3), keys[2], UpstreamId(3)), Put::InPlaceOf(UpstreamId(1)));
        assert_eq!((pools.expire(Time(61)), pools.expire(Time(62))), (None, Some(UpstreamId(2))));
        pools.remove(keys[2], Time(3), UpstreamId(3));
        assert_eq!((pools.next_deadline(), pools.iter().count()), (None, 0));
    }

    #[test]
    fn a_full_set_of_pools_may_refuse_the_new_one() {
        let mut pools = pools(PoolRule { in_all: Some(1), overflow: Overflow::CloseNew, ..rule() });
        let keys = [1, 2].map(|net| key(&pools, [10, 1, net, 1]));
        assert_eq!(pools.put(Time(1), keys[0], UpstreamId(1)), Put::Kept);
        assert_eq!(pools.put(Time(2), keys[1], UpstreamId(2)), Put::Refused);
    }

    #[test]
    fn without_a_mask_all_clients_share_one_pool() {
        let mut pools = pools(PoolRule { source: None, ..rule() });
        let (near, far) = (key(&pools, [10, 1, 0, 1]), key(&pools, [10, 9, 1, 1]));
        pools.put(Time(1), near, UpstreamId(1));
        assert_eq!(pools.next_deadline(), Some(Time(61)));
        assert_eq!(pools.take(far), Some(UpstreamId(1)));
    }
}
