//! Which upstream connection is where, and whose. Both sides of a bond are written here, and nowhere else.

use std::net::{IpAddr, SocketAddr};

use stickler_model::Time;

use super::super::pin::Host;
use super::super::pool::PoolKey;
use super::Composed;
use crate::{DownstreamId, UpstreamId, Work};

/// Most pinned connections that wait for a client's address to come back.
const ORPHANS: usize = 4096;

/// An open upstream connection. It is in exactly one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upstream {
    pub(super) backend: usize,
    pub(super) location: usize,
    /// The clients that may share it, where they are told apart.
    pub(super) group: Option<IpAddr>,
    pub(super) place: Place,
    pub(super) tie: Tie,
    /// The place of the stream that it carries, or carried last; `None` for HTTP/1.1.
    pub(super) stream: Option<u32>,
    /// Since when it is idle, where that matters to its owner's limits.
    pub(super) rests: Option<Time>,
    /// It closes after the exchange under way, whatever the pool says.
    pub(super) spent: bool,
    /// Whole exchanges so far.
    pub(super) served: u32,
    pub(super) opened: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Pooled { since: Time },
    With(DownstreamId),
    Orphan(SocketAddr),
}

/// How it belongs to the downstream connection that it is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// For one exchange.
    Loose,
    /// Until one of them ends, but neither cares which.
    Private,
    /// By the pin rule.
    Pinned,
}

#[derive(Debug, Default)]
pub(super) struct Downstream {
    /// The connection that all its requests take.
    pub(super) pinned: Option<UpstreamId>,
    /// What carries the request under way.
    pub(super) busy: Option<UpstreamId>,
    /// What carries further requests at the same time, of other streams. None while `busy` is none.
    pub(super) others: Vec<UpstreamId>,
    /// Connections of its own besides: private, or pinned with the host re-picked, for another service, or while the
    /// first was busy. One at most for each backend and location, but for streams.
    pub(super) own: Vec<UpstreamId>,
    /// From now on its requests go over connections of its own.
    pub(super) dedicated: bool,
    pub(super) prefers_last: bool,
    pub(super) last: Option<usize>,
    /// It has sent a request before.
    pub(super) begun: bool,
    pub(super) needs_cookie: bool,
    pub(super) client: Option<SocketAddr>,
}

impl Downstream {
    /// Whether this connection carries a request of its.
    pub(super) fn carries(&self, id: UpstreamId) -> bool {
        self.busy == Some(id) || self.others.contains(&id)
    }

    pub(super) fn begin(&mut self, id: UpstreamId) {
        if self.busy.is_none() {
            self.busy = Some(id);
        } else {
            self.others.push(id);
        }
    }

    pub(super) fn end(&mut self, id: UpstreamId) {
        if self.busy == Some(id) {
            self.busy = self.others.pop();
        } else {
            self.others.retain(|other| *other != id);
        }
    }
}

impl Upstream {
    pub(super) const fn key(&self) -> PoolKey {
        PoolKey { backend: self.backend, location: self.location, group: self.group, proven: self.served > 1 }
    }
}

impl Composed {
    /// Moves a connection, and counts those in use.
    pub(super) fn place(&mut self, id: UpstreamId, place: Place) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        let used = |place| matches!(place, Place::With(_));
        match (used(std::mem::replace(&mut upstream.place, place)), used(place)) {
            (false, true) => self.backends.begin(upstream.backend),
            (true, false) => self.backends.end(upstream.backend),
            _ => {}
        }
    }

    /// Pins a connection, where there is a slot for it. If not, it is nobody's after this exchange.
    pub(super) fn pin_if_possible(&mut self, now: Time, downstream: DownstreamId, id: UpstreamId) -> bool {
        let pinned = self.upstreams.get(&id).is_some_and(|upstream| upstream.tie == Tie::Pinned);
        if pinned || self.has_slot(now) {
            self.pin(downstream, id);
            return true;
        }
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.spent = true;
        }
        false
    }

    /// Ties a connection that is with this downstream connection to it.
    pub(super) fn pin(&mut self, downstream: DownstreamId, id: UpstreamId) {
        self.wake(id);
        let first = self.downstreams.get(&downstream).and_then(|holder| holder.pinned);
        let beside_first = first.is_some_and(|first| first != id && self.serve_alike(first, id));
        let (Some(holder), Some(upstream)) = (self.downstreams.get_mut(&downstream), self.upstreams.get_mut(&id))
        else {
            return;
        };
        if let Some(place) = upstream.stream.filter(|_| self.rules.flaws.streams_share_pin) {
            self.by_stream.insert(place, id);
        }
        if std::mem::replace(&mut upstream.tie, Tie::Pinned) != Tie::Pinned {
            self.pins += 1;
        }
        let repicked = self.rules.pin.is_some_and(|pin| pin.host == Host::Repicked);
        holder.dedicated |= repicked;
        if repicked || beside_first {
            // The first stays what it is, with its user, and this is one more.
            if !holder.own.contains(&id) {
                holder.own.push(id);
            }
        } else {
            holder.own.retain(|own| *own != id);
            // The one of another service stays its own.
            holder.own.extend(holder.pinned.replace(id).filter(|other| *other != id));
        }
    }

    /// Whether two connections lead to backends of the same service.
    fn serve_alike(&self, one: UpstreamId, other: UpstreamId) -> bool {
        let service = |id| self.upstreams.get(&id).map(|upstream| upstream.backend % self.selections.len());
        service(one) == service(other)
    }

    /// Makes a connection nobody's in particular.
    pub(super) fn loosen(&mut self, id: UpstreamId) {
        self.wake(id);
        if let Some(upstream) = self.upstreams.get_mut(&id)
            && std::mem::replace(&mut upstream.tie, Tie::Loose) == Tie::Pinned
        {
            self.pins -= 1;
        }
    }

    /// Forgets an upstream connection wherever it is. Returns the downstream connection that it was pinned to.
    pub(super) fn forget(&mut self, id: UpstreamId) -> Option<DownstreamId> {
        self.wake(id);
        let entry = self.upstreams.swap_remove(&id)?;
        if !self.by_stream.is_empty() {
            self.by_stream.retain(|_, other| *other != id);
        }
        if entry.tie == Tie::Pinned {
            self.pins -= 1;
        }
        match entry.place {
            Place::Pooled { since } => {
                if let Some(pool) = &mut self.pool {
                    pool.remove(entry.key(), since, id);
                }
                None
            }
            Place::Orphan(client) => {
                self.orphans.swap_remove(&client);
                None
            }
            Place::With(downstream) => {
                self.backends.end(entry.backend);
                let holder = self.downstreams.get_mut(&downstream)?;
                holder.pinned = holder.pinned.filter(|pinned| *pinned != id);
                holder.end(id);
                holder.own.retain(|own| *own != id);
                self.tidy(downstream);
                (entry.tie == Tie::Pinned).then_some(downstream)
            }
        }
    }

    /// Forgets a connection and has it closed.
    pub(super) fn close(&mut self, now: Time, id: UpstreamId) {
        self.forget(id);
        self.due.push_back((now, Work::CloseUpstream(id)));
    }

    /// A pinned connection waits for the next downstream connection from this address.
    pub(super) fn orphan(&mut self, now: Time, client: SocketAddr, id: UpstreamId) {
        let crowded = if self.orphans.contains_key(&client) {
            self.orphans.get(&client).copied()
        } else {
            self.orphans.first().map(|(_, &first)| first).filter(|_| self.orphans.len() >= ORPHANS)
        };
        if let Some(other) = crowded {
            self.close(now, other);
        }
        self.wake(id);
        self.place(id, Place::Orphan(client));
        self.orphans.insert(client, id);
    }

    /// Gives a new downstream connection what was pinned to its client's address.
    pub(super) fn adopt(&mut self, now: Time, downstream: DownstreamId, client: SocketAddr) {
        if self.orphans.is_empty() {
            return;
        }
        if let Some(id) = self.orphans.swap_remove(&client) {
            self.place(id, Place::With(downstream));
            self.pin(downstream, id);
            self.rest(now, id);
        }
    }

    /// Drops a downstream connection's entry when it holds nothing any more, and nothing is to be remembered.
    pub(super) fn tidy(&mut self, downstream: DownstreamId) {
        let remembers = self.remembers();
        let idle = |entry: &Downstream| {
            let holds = entry.pinned.is_some() || entry.busy.is_some() || !entry.own.is_empty();
            !holds && !entry.dedicated && !entry.needs_cookie && !remembers
        };
        if self.downstreams.get(&downstream).is_some_and(idle) {
            self.downstreams.swap_remove(&downstream);
        }
    }

    /// Each upstream connection is in one place, and both sides agree on which.
    #[cfg(debug_assertions)]
    pub(super) fn check_invariants(&self) {
        let mut loads = vec![0; self.backends.len()];
        let pins = self.upstreams.values().filter(|upstream| upstream.tie == Tie::Pinned).count();
        assert_eq!(self.pins as usize, pins, "each pinned connection has a slot");
        let most = self.rules.pin.and_then(|pin| pin.slots).unwrap_or(u32::MAX);
        assert!(self.pins <= most, "{pins} pins in {most} slots");
        let resting = self.upstreams.iter().filter(|(_, upstream)| upstream.rests.is_some());
        let busy = |id| self.downstreams.values().any(|holder| holder.carries(id));
        assert!(resting.clone().all(|(id, _)| !busy(*id)), "what rests is idle");
        assert_eq!(self.resting.len(), resting.count(), "both sides know what rests");
        if let Some(queue) = &self.queue {
            queue.check_invariants(|service| self.free(service));
        }
        let pooled: Vec<_> = self.pool.iter().flat_map(super::Pools::iter).collect();
        for (id, upstream) in &self.upstreams {
            match upstream.place {
                Place::Pooled { .. } => {
                    assert_eq!(pooled.iter().filter(|other| *other == id).count(), 1, "{id} is pooled once");
                    assert_eq!(upstream.tie, Tie::Loose, "{id} belongs to nobody");
                }
                Place::Orphan(client) => assert_eq!(self.orphans.get(&client), Some(id), "{client} can find {id}"),
                Place::With(downstream) => {
                    loads[upstream.backend] += 1;
                    let holder = self.downstreams.get(&downstream).expect("a held connection has a holder");
                    let held = holder.pinned == Some(*id) || holder.carries(*id) || holder.own.contains(id);
                    assert!(held, "{downstream} knows of {id}");
                }
            }
        }
        for (id, downstream) in &self.downstreams {
            let held =
                downstream.pinned.iter().chain(&downstream.busy).chain(&downstream.others).chain(&downstream.own);
            assert!(downstream.busy.is_some() || downstream.others.is_empty(), "{id} has a first if it has others");
            for upstream in held {
                assert_eq!(self.upstreams[upstream].place, Place::With(*id), "{upstream} is with {id} alone");
            }
        }
        let in_pool = self.upstreams.values().filter(|up| matches!(up.place, Place::Pooled { .. })).count();
        assert_eq!(pooled.len(), in_pool, "the pool holds open connections only");
        let orphans = self.upstreams.values().filter(|up| matches!(up.place, Place::Orphan(_))).count();
        assert_eq!((self.orphans.len(), orphans <= ORPHANS), (orphans, true), "orphans are open connections");
        for (backend, &load) in loads.iter().enumerate() {
            assert_eq!(self.backends.load(backend), load, "the load of backend {backend}");
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the checks cost time, and run in debug builds only")]
    pub(super) const fn check_invariants(&self) {}
}
