//! Transitions of exchanges: from the arrival of a request to the end of its answer.

use std::net::SocketAddr;

use stickler_model::Time;

use super::super::super::pool::{PoolKey, Put};
use super::{ConnectionTable, Ownership, Place, Upstream};
use crate::{DownstreamId, Exchange, Finish, UpstreamId, Work};

/// The fate of an upstream connection whose exchange is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum AfterExchange {
    /// The connection stays pinned and waits for its owner's next request.
    StayPinned,
    /// The connection waits for the next request of the same downstream connection.
    KeepPrivate {
        /// The number of idle private connections that the downstream connection may have.
        slots: usize,
    },
    /// The connection waits for the next request of any client, if the pool takes it.
    Pool,
    /// The connection closes.
    Close,
}

impl ConnectionTable {
    /// Notes that a request came by this downstream connection. Its first request reclaims the connection that is
    /// parked for the client's address.
    ///
    /// A downstream connection that is new to the table is assigned to `worker`. Returns `false` and changes nothing if
    /// the downstream connection cannot have another request under way.
    pub(in super::super) fn accept_request(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        client: SocketAddr,
        stream: Option<u32>,
        worker: usize,
    ) -> bool {
        let holder = self.downstreams.entry(downstream).or_default();
        if holder.busy.is_some() && stream.is_none() {
            return false;
        }
        holder.requests = holder.requests.saturating_add(1);
        if holder.client.replace(client).is_none() {
            holder.worker = worker;
            self.reclaim(now, downstream, client);
        }
        self.rebind_stream(downstream, stream);
        true
    }

    /// Notes which backend a downstream connection's request goes to, and whether its answer must set the cookie.
    pub(in super::super) fn remember_backend(&mut self, downstream: DownstreamId, backend: usize, needs_cookie: bool) {
        // The entry may be gone, because the client's only connection was just lost.
        let holder = self.downstreams.entry(downstream).or_default();
        holder.last_backend = Some(backend);
        holder.needs_cookie = needs_cookie;
    }

    /// Notes that a downstream connection sends a request that no pinned connection takes, and returns whether it is
    /// the first such request.
    pub(in super::super) fn note_unpinned_request(&mut self, downstream: DownstreamId) -> bool {
        let holder = self.downstreams.get_mut(&downstream);
        holder.is_some_and(|holder| !std::mem::replace(&mut holder.sent_unpinned, true))
    }

    /// Notes that an answer has set the persistence cookie.
    pub(in super::super) fn note_cookie_set(&mut self, downstream: DownstreamId) {
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.needs_cookie = false;
        }
    }

    /// Notes that an answer matched the pin's trigger, and whether it has either of two effects on further requests.
    /// The effects of earlier answers remain.
    pub(in super::super) fn note_trigger(&mut self, downstream: DownstreamId, prefers_last: bool, dedicated: bool) {
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.prefers_last |= prefers_last;
            holder.dedicated |= dedicated;
        }
    }

    /// Begins an exchange over a new upstream connection.
    pub(in super::super) fn open(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        id: UpstreamId,
        key: PoolKey,
        stream: Option<u32>,
    ) {
        let PoolKey { backend, location, group, worker, .. } = key;
        self.backends.begin(backend);
        let opened = Upstream {
            backend,
            location,
            group,
            worker,
            place: Place::HeldBy(downstream),
            ownership: Ownership::Exchange,
            stream,
            idle_since: None,
            spent: false,
            served: 0,
            opened: now,
        };
        self.upstreams.insert(id, opened);
        self.downstreams.entry(downstream).or_default().begin(id);
    }

    /// Begins an exchange over an idle upstream connection that belongs to the downstream connection.
    pub(in super::super) fn reuse_owned(&mut self, downstream: DownstreamId, id: UpstreamId, stream: Option<u32>) {
        self.mark_busy(id);
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.stream = stream;
        }
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.begin(id);
            if let Some(index) = holder.owned.iter().position(|owned| *owned == id) {
                // The connection that was used last is the last in the list.
                holder.owned[index..].rotate_left(1);
            }
        }
    }

    /// Begins an exchange over an upstream connection from the pool, and returns its number.
    pub(in super::super) fn reuse_pooled(
        &mut self,
        downstream: DownstreamId,
        key: PoolKey,
        stream: Option<u32>,
    ) -> Option<UpstreamId> {
        let id = self.pools.get_mut(key.worker)?.take(key)?;
        self.set_place(id, Place::HeldBy(downstream));
        // The entry may be gone, because the client's only connection was just lost.
        self.downstreams.entry(downstream).or_default();
        self.reuse_owned(downstream, id, stream);
        Some(id)
    }

    /// Notes that an upstream connection closes after the exchange under way.
    pub(in super::super) fn spend(&mut self, id: UpstreamId) {
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.spent = true;
        }
    }

    /// Ends an exchange and moves its upstream connection to the place that `next` gives.
    pub(in super::super) fn end_exchange(&mut self, now: Time, at: Exchange, next: AfterExchange) -> Finish {
        let (Some(holder), Some(upstream)) =
            (self.downstreams.get_mut(&at.downstream), self.upstreams.get_mut(&at.upstream))
        else {
            return Finish::Close;
        };
        holder.end(at.upstream);
        upstream.served = upstream.served.saturating_add(1);
        if next == AfterExchange::StayPinned {
            self.mark_idle(now, at.upstream);
            return Finish::Keep;
        }
        if upstream.ownership == Ownership::Pinned {
            holder.disown(at.upstream);
            holder.dedicated = false;
            self.unpin(at.upstream);
        }
        let finish = match next {
            AfterExchange::StayPinned => Finish::Keep,
            AfterExchange::KeepPrivate { slots } => self.keep_private(now, at, slots),
            AfterExchange::Pool => self.put_in_pool(now, at.upstream),
            AfterExchange::Close => {
                self.remove(at.upstream);
                Finish::Close
            }
        };
        self.drop_if_unused(at.downstream);
        finish
    }

    fn keep_private(&mut self, now: Time, at: Exchange, slots: usize) -> Finish {
        let Some(holder) = self.downstreams.get_mut(&at.downstream) else { return Finish::Close };
        if !holder.owned.contains(&at.upstream) {
            holder.owned.push(at.upstream);
        }
        if let Some(upstream) = self.upstreams.get_mut(&at.upstream) {
            upstream.ownership = Ownership::Private;
        }
        let private =
            |id: &UpstreamId| self.upstreams.get(id).is_some_and(|upstream| upstream.ownership == Ownership::Private);
        let idle = || holder.owned.iter().copied().filter(|id| private(id) && !holder.carries(*id));
        // The connection that has been idle for longest comes first, because the one that was used last is the last in
        // the list.
        let excess = if idle().count() > slots { idle().next() } else { None };
        self.mark_idle(now, at.upstream);
        if let Some(oldest) = excess {
            self.close_upstream(now, oldest);
        }
        Finish::Keep
    }

    /// Puts a connection into the pool, or removes it if the pool refuses it.
    pub(super) fn put_in_pool(&mut self, now: Time, id: UpstreamId) -> Finish {
        let Some(upstream) = self.upstreams.get(&id) else { return Finish::Close };
        let Some(pool) = self.pools.get_mut(upstream.worker) else { return Finish::Close };
        match pool.put(now, upstream.key(), id) {
            Put::Refused => {
                self.remove(id);
                return Finish::Close;
            }
            Put::Kept => self.set_place(id, Place::Pooled { since: now }),
            Put::InPlaceOf(oldest) => {
                self.set_place(id, Place::Pooled { since: now });
                self.remove_unpooled(oldest);
                self.due.push_back((now, Work::CloseUpstream(oldest)));
            }
        }
        Finish::Pool
    }
}
