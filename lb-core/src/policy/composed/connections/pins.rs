//! Transitions of pinned connections.

use std::net::SocketAddr;

use stickler_model::Time;

use super::super::super::pin::Host;
use super::{ConnectionTable, Downstream, Ownership, Place};
use crate::{DownstreamId, UpstreamId};

/// The highest number of pinned connections that are parked at once.
pub(super) const MAX_PARKED: usize = 4096;

impl ConnectionTable {
    /// Pins a connection to the downstream connection that holds it, and returns whether there was a slot for it. If
    /// not, the connection closes after its exchange.
    pub(in super::super) fn try_pin(&mut self, now: Time, downstream: DownstreamId, id: UpstreamId) -> bool {
        if self.is_pinned(id) || self.free_slot(now) {
            self.pin(downstream, id);
            return true;
        }
        if let Some(upstream) = self.upstreams.get_mut(&id) {
            upstream.spent = true;
        }
        false
    }

    /// Returns whether one more connection can be pinned; closes an idle pinned one if no slot is free.
    fn free_slot(&mut self, now: Time) -> bool {
        let Some(slots) = self.rules.pin.as_ref().and_then(|pin| pin.slots) else { return true };
        if self.pins < slots {
            return true;
        }
        let evicted = self.idle_owned.oldest_pinned().or_else(|| self.parked.first().map(|(_, &id)| id));
        let Some(evicted) = evicted else { return false };
        self.close_owned(now, evicted);
        true
    }

    fn pin(&mut self, downstream: DownstreamId, id: UpstreamId) {
        self.mark_busy(id);
        let first = self.downstreams.get(&downstream).and_then(|holder| holder.pinned);
        let beside_first = first.is_some_and(|first| first != id && self.serve_alike(first, id));
        let (Some(holder), Some(upstream)) = (self.downstreams.get_mut(&downstream), self.upstreams.get_mut(&id))
        else {
            return;
        };
        if let Some(stream) = upstream.stream.filter(|_| self.rules.pins_by_stream) {
            self.by_stream.insert(stream, id);
        }
        if std::mem::replace(&mut upstream.ownership, Ownership::Pinned) != Ownership::Pinned {
            self.pins += 1;
        }
        let repicked = self.rules.pin.as_ref().is_some_and(|pin| pin.host == Host::Repicked);
        holder.dedicated |= repicked;
        if repicked || beside_first {
            // The first pinned connection keeps its user, and this is an additional one.
            if !holder.owned.contains(&id) {
                holder.owned.push(id);
            }
        } else {
            holder.owned.retain(|owned| *owned != id);
            // The pinned connection of another service stays owned.
            holder.owned.extend(holder.pinned.replace(id).filter(|other| *other != id));
        }
    }

    /// Returns whether two connections lead to backends of the same service.
    fn serve_alike(&self, one: UpstreamId, other: UpstreamId) -> bool {
        let service = |id| self.upstreams.get(&id).map(|upstream| upstream.backend % self.rules.services);
        service(one) == service(other)
    }

    /// Ends the ownership of a connection that its holder no longer lists.
    pub(super) fn unpin(&mut self, id: UpstreamId) {
        self.mark_busy(id);
        if let Some(upstream) = self.upstreams.get_mut(&id)
            && std::mem::replace(&mut upstream.ownership, Ownership::Exchange) == Ownership::Pinned
        {
            self.pins -= 1;
        }
    }

    /// Parks a pinned connection for the next downstream connection from this address. Each address has at most one
    /// parked connection.
    pub(super) fn park_for_client(&mut self, now: Time, client: SocketAddr, id: UpstreamId) {
        let replaced = self.parked.get(&client).copied();
        let first = || self.parked.first().map(|(_, &first)| first).filter(|_| self.parked.len() >= MAX_PARKED);
        if let Some(other) = replaced.or_else(first) {
            self.close_upstream(now, other);
        }
        self.mark_busy(id);
        self.set_place(id, Place::ParkedFor(client));
        self.parked.insert(client, id);
    }

    /// Pins the connection that is parked for a client's address to a new downstream connection.
    pub(super) fn reclaim(&mut self, now: Time, downstream: DownstreamId, client: SocketAddr) {
        if let Some(id) = self.parked.swap_remove(&client) {
            self.set_place(id, Place::HeldBy(downstream));
            self.pin(downstream, id);
            self.mark_idle(now, id);
        }
    }

    /// Moves the pin of a stream's place to the downstream connection whose stream is in that place now, if the pinned
    /// connection is idle. This is defect B13 ([`super::super::Defects::streams_share_pin`]).
    pub(super) fn rebind_stream(&mut self, downstream: DownstreamId, stream: Option<u32>) {
        let Some(&id) = stream.and_then(|stream| self.by_stream.get(&stream)) else { return };
        let Some(Place::HeldBy(owner)) = self.upstreams.get(&id).map(|upstream| upstream.place) else { return };
        let Some(holder) = self.downstreams.get_mut(&owner).filter(|holder| owner != downstream && !holder.carries(id))
        else {
            return;
        };
        holder.disown(id);
        self.drop_if_unused(owner);
        self.set_place(id, Place::HeldBy(downstream));
        self.pin(downstream, id);
    }

    /// Closes the first idle pinned connection of any client. This is defect B4
    /// ([`super::super::Defects::cleanup_drops_another`]).
    pub(super) fn drop_first_idle_pin(&mut self, now: Time) {
        let idle = |holder: &Downstream| holder.pinned.filter(|_| holder.busy.is_none());
        let victim = self.downstreams.values().find_map(|holder| idle(holder).filter(|id| self.is_pinned(*id)));
        if let Some(id) = victim {
            self.close_upstream(now, id);
        }
    }
}
