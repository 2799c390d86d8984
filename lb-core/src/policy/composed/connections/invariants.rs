//! The consistency checks of the table, for debug builds.

use std::collections::{BTreeMap, BTreeSet};

use stickler_model::Time;

use super::super::super::backends::BackendState;
use super::pins::MAX_PARKED;
use super::{ConnectionTable, Downstream, Ownership, Place, Upstream};
use crate::{DownstreamId, UpstreamId, Work};

impl ConnectionTable {
    /// Verifies that each upstream connection is in one place, that all parts of the table agree on that place, and
    /// that all limits hold.
    ///
    /// # Panics
    /// An invariant does not hold.
    pub(in super::super) fn check_invariants(&self) {
        self.check_places();
        self.check_holders();
        self.check_pins();
        self.check_idle_owned();
        self.check_load();
        self.check_due();
    }

    /// Verifies that each upstream connection is in the place that it names, and nowhere else.
    fn check_places(&self) {
        let mut pooled = BTreeSet::new();
        for id in self.pools.iter().flat_map(super::Pools::iter) {
            assert!(pooled.insert(id), "{id} is pooled once");
            assert!(self.upstreams.contains_key(&id), "the pool holds open connections only: {id}");
        }
        for (&id, upstream) in &self.upstreams {
            let Upstream { place, ownership, .. } = *upstream;
            assert_eq!(pooled.contains(&id), matches!(place, Place::Pooled { .. }), "{id} is in the pool or not");
            match place {
                Place::Pooled { .. } => {
                    assert_eq!(ownership, Ownership::Exchange, "{id} is pooled and belongs to nobody");
                    self.check_backend_serves(id, upstream);
                }
                Place::ParkedFor(client) => {
                    assert_eq!(self.parked.get(&client), Some(&id), "{client} can find {id}");
                    assert_eq!(ownership, Ownership::Pinned, "{id} is parked and pinned");
                    self.check_backend_serves(id, upstream);
                }
                Place::HeldBy(downstream) => self.check_held(id, ownership, downstream),
            }
        }
        let parked = self.upstreams.values().filter(|upstream| matches!(upstream.place, Place::ParkedFor(_))).count();
        assert_eq!(self.parked.len(), parked, "parked connections are open");
        assert!(parked <= MAX_PARKED, "{parked} connections are parked");
    }

    /// Verifies that the holder of a connection lists it in accordance with its ownership.
    fn check_held(&self, id: UpstreamId, ownership: Ownership, downstream: DownstreamId) {
        let holder = self.downstreams.get(&downstream).expect("a held connection has a holder");
        let (first, owned) = (holder.pinned == Some(id), holder.owned.contains(&id));
        let fits = match ownership {
            Ownership::Exchange => holder.carries(id) && !first && !owned,
            Ownership::Private => owned && !first,
            Ownership::Pinned => first != owned,
        };
        assert!(fits, "{downstream} lists {id} by its ownership, {ownership:?}: {holder:?}");
    }

    /// Verifies that a connection that waits for a client leads to a backend that is not down. A farm that fails open
    /// is exempt.
    fn check_backend_serves(&self, id: UpstreamId, upstream: &Upstream) {
        let down = self.backends.state(upstream.backend) == BackendState::Down;
        assert!(!down || self.backends.fails_open(), "{id} waits, and its backend is down");
    }

    /// Verifies that a downstream connection lists only open connections that it holds, each once for each purpose.
    fn check_holders(&self) {
        for (&downstream, holder) in &self.downstreams {
            let Downstream { pinned, busy, others, owned, .. } = holder;
            assert!(busy.is_some() || others.is_empty(), "{downstream} has a first exchange if it has others");
            for purpose in [pinned.iter().chain(owned).collect::<Vec<_>>(), busy.iter().chain(others).collect()] {
                for (index, id) in purpose.iter().enumerate() {
                    assert!(!purpose[..index].contains(id), "{downstream} lists {id} once");
                    let place = self.upstreams.get(*id).map(|upstream| upstream.place);
                    assert_eq!(place, Some(Place::HeldBy(downstream)), "{downstream} holds {id}");
                }
            }
        }
    }

    /// Verifies that each pinned connection has a slot, and that the index by stream contains open connections only.
    fn check_pins(&self) {
        let pinned = self.upstreams.values().filter(|upstream| upstream.ownership == Ownership::Pinned).count();
        assert_eq!(self.pins as usize, pinned, "pinned connections are counted");
        let slots = self.rules.pin.as_ref().and_then(|pin| pin.slots).unwrap_or(u32::MAX);
        assert!(self.pins <= slots, "{pinned} connections are pinned in {slots} slots");
        assert!(pinned == 0 || self.rules.pin.is_some(), "nothing is pinned without a rule");
        assert!(self.by_stream.is_empty() || self.rules.pins_by_stream, "pins are found by their holder alone");
        for (stream, id) in &self.by_stream {
            assert!(self.upstreams.contains_key(id), "{id}, pinned by stream {stream}, is open");
        }
    }

    /// Verifies that exactly the idle owned connections are tracked if a rule limits them.
    fn check_idle_owned(&self) {
        let tracked: BTreeMap<UpstreamId, (bool, Time)> =
            self.idle_owned.iter().map(|(pinned, since, id)| (id, (pinned, since))).collect();
        assert_eq!(tracked.len(), self.idle_owned.iter().count(), "an idle connection is tracked once");
        for id in tracked.keys() {
            assert!(self.upstreams.contains_key(id), "{id} is tracked as idle and open");
        }
        for (id, upstream) in &self.upstreams {
            let Upstream { ownership, idle_since, .. } = *upstream;
            let expected = idle_since.map(|since| (ownership == Ownership::Pinned, since));
            assert_eq!(tracked.get(id).copied(), expected, "{id} is tracked as idle by its ownership");
            let idle = match upstream.place {
                Place::HeldBy(holder) => !self.downstreams[&holder].carries(*id),
                // A parked connection waits for its client without a time limit.
                Place::ParkedFor(_) | Place::Pooled { .. } => false,
            };
            assert!(idle || idle_since.is_none(), "{id} is tracked as idle and carries nothing");
            // If pins are found by the stream's place, a pin that moved carries the request that moved it at once, or
            // is not tracked.
            let complete = self.tracks_idle_owned() && !self.rules.pins_by_stream;
            assert!(!complete || !idle || idle_since.is_some(), "{id} is idle and tracked");
        }
    }

    /// Verifies that the load of each backend is the number of its connections that downstream connections hold.
    fn check_load(&self) {
        let mut loads = vec![0; self.backends.len()];
        for upstream in self.upstreams.values().filter(|upstream| matches!(upstream.place, Place::HeldBy(_))) {
            loads[upstream.backend] += 1;
        }
        for (backend, &load) in loads.iter().enumerate() {
            assert_eq!(self.backends.load(backend), load, "the load of backend {backend}");
        }
    }

    /// Verifies that connections that are due to be closed are no longer in the table.
    fn check_due(&self) {
        for (since, work) in &self.due {
            if let Work::CloseUpstream(id) = work {
                assert!(!self.upstreams.contains_key(id), "{id} is removed before it is closed, since {since:?}");
            }
        }
        assert!(self.due.iter().is_sorted_by_key(|(since, _)| since), "work is due in the order of time");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::super::super::super::backends::Backends;
    use super::super::super::super::grouped::Pools;
    use super::super::super::super::pin::PinRule;
    use super::super::super::super::pool::{PoolKey, PoolRule};
    use super::super::super::rules::Rules;
    use super::super::{AfterExchange, TableRules};
    use super::*;
    use crate::{Exchange, Farm, Finish};

    const OWNER: DownstreamId = DownstreamId(1);
    const PINNED: UpstreamId = UpstreamId(1);
    const POOLED: UpstreamId = UpstreamId(2);
    const OTHER: DownstreamId = DownstreamId(3);
    const BUSY: UpstreamId = UpstreamId(3);

    /// Begins an exchange of another downstream connection.
    fn open_exchange(table: &mut ConnectionTable) {
        table.open(Time(1), OTHER, BUSY, PoolKey::from(0), None);
        table.check_invariants();
    }

    /// Returns a table with an idle pinned connection to one backend and a pooled one to the other.
    fn table() -> ConnectionTable {
        let backend = |port| crate::Backend {
            name: stickler_model::Name::from("iis"),
            address: SocketAddr::from(([10, 0, 0, 1], port)),
        };
        let farm = Farm { backends: vec![backend(80), backend(81)] };
        let pool = PoolRule::shared(Duration::from_mins(1));
        let pin = PinRule { slots: Some(2), ..PinRule::ON_401 };
        let rules = Rules { pin: Some(pin), pool: Some(pool.clone()), ..Rules::PLAIN };
        let backends = Backends::new(2, None);
        let mut table = ConnectionTable::new(TableRules::new(&rules, 1), backends, vec![Pools::new(pool, &farm)]);
        let client = SocketAddr::from(([10, 0, 1, 1], 40_000));
        let now = Time(1);
        assert!(table.accept_request(now, OWNER, client, None, 0));
        table.open(now, OWNER, PINNED, PoolKey::from(0), None);
        assert!(table.try_pin(now, OWNER, PINNED));
        let at = Exchange { downstream: OWNER, upstream: PINNED };
        assert_eq!(table.end_exchange(now, at, AfterExchange::StayPinned), Finish::Keep);
        let other = DownstreamId(2);
        table.open(now, other, POOLED, PoolKey::from(1), None);
        let at = Exchange { downstream: other, upstream: POOLED };
        assert_eq!(table.end_exchange(now, at, AfterExchange::Pool), Finish::Pool);
        table.check_invariants();
        table
    }

    #[test]
    fn whatever_contradicts_the_rest_of_the_table_is_found() {
        type Corruption = fn(&mut ConnectionTable);
        let corruptions: [(&str, Corruption); 21] = [
            ("an owner does not list its pin", |table| table.downstreams[&OWNER].pinned = None),
            ("an owner lists its pin twice", |table| table.downstreams[&OWNER].owned.push(PINNED)),
            ("an owner lists what another holds", |table| table.downstreams[&OWNER].owned.push(POOLED)),
            ("an exchange runs over what is closed", |table| table.downstreams[&OWNER].busy = Some(UpstreamId(9))),
            ("a further exchange runs without a first", |table| table.downstreams[&OWNER].others.push(PINNED)),
            ("a holder is missing", |table| drop(table.downstreams.swap_remove(&OWNER))),
            ("a pinned connection is not counted", |table| table.pins = 0),
            ("more are pinned than there are slots", |table| table.rules.pin.as_mut().unwrap().slots = Some(0)),
            ("a pool keeps what is closed", |table| {
                table.upstreams.swap_remove(&POOLED);
            }),
            ("a pool lost a connection", |table| {
                table.pools[0].take(PoolKey::from(1));
            }),
            ("a pooled connection belongs to a client", |table| {
                table.upstreams[&POOLED].ownership = Ownership::Private;
            }),
            ("a pooled connection leads to a dead backend", |table| {
                table.backends.set_state(1, BackendState::Down);
            }),
            ("an idle pin is not tracked", |table| table.upstreams[&PINNED].idle_since = None),
            ("an idle pin was never tracked", |table| table.mark_busy(PINNED)),
            ("a connection of one exchange is a pin as well", |table| {
                open_exchange(table);
                table.downstreams[&OTHER].pinned = Some(BUSY);
            }),
            ("a connection of one exchange is owned as well", |table| {
                open_exchange(table);
                table.downstreams[&OTHER].owned.push(BUSY);
            }),
            ("a connection of one exchange carries none", |table| {
                open_exchange(table);
                table.downstreams[&OTHER].busy = None;
            }),
            ("an owner does not list its private connection", |table| {
                open_exchange(table);
                table.upstreams[&BUSY].ownership = Ownership::Private;
            }),
            ("a busy pin is tracked as idle", |table| table.downstreams[&OWNER].busy = Some(PINNED)),
            ("a backend has a load that nobody causes", |table| table.backends.begin(1)),
            ("what is to be closed is still used", |table| {
                table.due.push_back((Time(1), Work::CloseUpstream(PINNED)));
            }),
        ];
        for (name, corrupt) in corruptions {
            let mut table = table();
            corrupt(&mut table);
            assert!(catch_unwind(AssertUnwindSafe(|| table.check_invariants())).is_err(), "{name}");
        }
    }

    #[test]
    fn a_downstream_connection_that_holds_nothing_is_kept_only_for_its_history() {
        let mut table = table();
        let other = DownstreamId(2);
        assert!(table.downstreams.contains_key(&OWNER) && !table.downstreams.contains_key(&other));
        for (dedicated, needs_cookie) in [(false, false), (true, false), (false, true)] {
            table.downstreams.insert(other, Downstream { dedicated, needs_cookie, ..Downstream::default() });
            table.drop_if_unused(other);
            let kept = table.downstreams.swap_remove(&other).is_some();
            assert_eq!(kept, dedicated || needs_cookie, "{dedicated} {needs_cookie}");
        }
    }
}
