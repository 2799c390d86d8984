//! Transitions that end connections, and the work that they leave to the data plane.

use std::net::SocketAddr;

use stickler_model::Time;

use super::super::super::backends::BackendState;
use super::super::rules::OnDown;
use super::{ConnectionTable, Ownership, Place};
use crate::{DownstreamId, Finish, UpstreamId, Work};

/// The effect on other connections when a downstream connection closes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct AfterClose {
    /// The fate of idle connections that were pinned to it.
    pub(in super::super) pins: AbandonedPins,
    /// Whether an idle pin of another client is dropped too ([`super::super::Defects::cleanup_drops_another`]).
    pub(in super::super) drops_another: bool,
}

/// The fate of idle pinned connections whose owner has closed.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum AbandonedPins {
    /// The connections close with their owner.
    Close,
    /// The connections wait for the next downstream connection from this address and port.
    ParkFor(SocketAddr),
    /// The connections go to the pool; those that the pool refuses are closed.
    Pool,
}

impl ConnectionTable {
    /// Removes a downstream connection that has closed, and returns the upstream connections that close with it.
    pub(in super::super) fn on_downstream_closed(
        &mut self,
        now: Time,
        downstream: DownstreamId,
        next: AfterClose,
    ) -> Vec<UpstreamId> {
        let Some(entry) = self.downstreams.swap_remove(&downstream) else { return Vec::new() };
        if next.drops_another && entry.pinned.is_some() {
            self.drop_first_idle_pin(now);
        }
        let mut held: Vec<_> = entry.pinned.iter().chain(&entry.owned).copied().collect();
        for busy in entry.busy.iter().chain(&entry.others) {
            if !held.contains(busy) {
                held.push(*busy);
            }
        }
        held.retain(|&id| {
            let Some(upstream) = self.upstreams.get(&id) else { return false };
            let idle_pin = upstream.ownership == Ownership::Pinned && !entry.carries(id);
            let down = self.backends.state(upstream.backend) == BackendState::Down;
            match next.pins {
                AbandonedPins::ParkFor(client) if idle_pin && !down => {
                    self.park_for_client(now, client, id);
                    false
                }
                AbandonedPins::Pool if idle_pin && !down => {
                    self.unpin(id);
                    self.put_in_pool(now, id) == Finish::Close
                }
                _ => {
                    self.remove(id);
                    true
                }
            }
        });
        held
    }

    /// Removes an upstream connection that has closed, and returns the downstream connection that it was pinned to.
    pub(in super::super) fn on_upstream_closed(&mut self, id: UpstreamId) -> Option<DownstreamId> {
        self.remove(id)
    }

    /// Sets the state of a backend. If the backend is down now, its idle connections close, and `on_down` decides the
    /// fate of the clients that own its pinned connections.
    pub(in super::super) fn set_backend_state(
        &mut self,
        now: Time,
        backend: usize,
        state: BackendState,
        on_down: OnDown,
    ) {
        // In a farm that fails open, the backend may not count as down.
        if self.backends.set_state(backend, state) && self.backends.state(backend) == BackendState::Down {
            self.drop_idle_of(now, backend, on_down);
        }
    }

    fn drop_idle_of(&mut self, now: Time, backend: usize, on_down: OnDown) {
        let affected = self.upstreams.iter().filter(|(_, upstream)| upstream.backend == backend);
        let affected: Vec<_> = affected.map(|(&id, upstream)| (id, upstream.place, upstream.ownership)).collect();
        for (id, place, ownership) in affected {
            match place {
                Place::HeldBy(owner) if ownership == Ownership::Pinned => match on_down {
                    OnDown::Nothing => {}
                    OnDown::Closed => self.close_downstream(now, owner),
                    OnDown::Moved => self.give_up_pin(now, owner, id),
                },
                Place::HeldBy(_) => {}
                Place::ParkedFor(_) | Place::Pooled { .. } => self.close_upstream(now, id),
            }
        }
    }

    /// Ends all pins to a backend; the connections stay with their clients. A pinned connection that carries a request
    /// closes after that request.
    pub(in super::super) fn loosen_pins_to(&mut self, now: Time, backend: usize) {
        let held = self.upstreams.iter().filter_map(|(&id, upstream)| match upstream.place {
            Place::HeldBy(owner) if upstream.backend == backend && upstream.ownership == Ownership::Pinned => {
                Some((owner, id))
            }
            _ => None,
        });
        for (owner, id) in held.collect::<Vec<_>>() {
            let Some(holder) = self.downstreams.get_mut(&owner) else { continue };
            if holder.carries(id) {
                self.give_up_pin(now, owner, id);
                continue;
            }
            holder.dedicated = false;
            if holder.pinned.take_if(|pinned| *pinned == id).is_some() {
                holder.owned.push(id);
            }
            let since = self.upstreams.get(&id).and_then(|upstream| upstream.idle_since);
            self.mark_busy(id);
            if let Some(upstream) = self.upstreams.get_mut(&id) {
                upstream.ownership = Ownership::Private;
                self.pins -= 1;
            }
            if let Some(since) = since {
                self.mark_idle(since, id);
            }
        }
    }

    /// Ends a pin to a backend that is gone, so that the client's next request goes elsewhere. A pinned connection that
    /// carries a request closes after that request.
    fn give_up_pin(&mut self, now: Time, owner: DownstreamId, id: UpstreamId) {
        let carries = self.downstreams.get(&owner).is_some_and(|holder| holder.carries(id));
        if !carries {
            self.close_upstream(now, id);
            return;
        }
        if let Some(holder) = self.downstreams.get_mut(&owner) {
            holder.disown(id);
            holder.dedicated = false;
        }
        self.unpin(id);
        self.spend(id);
    }

    /// Schedules the resumption of a downstream connection's waiting requests.
    pub(in super::super) fn resume(&mut self, now: Time, downstream: DownstreamId) {
        self.due.push_back((now, Work::Resume(downstream)));
    }

    /// Returns the next unsolicited work that is due. At most one idle connection expires in each call.
    pub(in super::super) fn poll(&mut self, now: Time) -> Option<Work> {
        if let Some((_, work)) = self.due.pop_front() {
            return Some(work);
        }
        if self.expire_owned(now) {
            return self.due.pop_front().map(|(_, work)| work);
        }
        let expired = self.pools.iter_mut().find_map(|pool| pool.expire(now))?;
        self.remove_unpooled(expired);
        Some(Work::CloseUpstream(expired))
    }
}
